"""First weights for the text encoder, from a folder in the Hugging Face layout of a BERT, and back into such a folder.

    model.safetensors   BertModel's weights, with or without a "bert." prefix
    config.json         its dimensions
    tokenizer.json      a WordPiece vocabulary

Most of a small BERT is its vocabulary, so the tokens that no training text uses are left out. Every single-character
piece stays, so any word that could be spelt before still can be.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from emotrack.models.text_encoder import TextConfig, TextEncoder
from emotrack.train.errors import TrainError

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
EMBEDDINGS = "embeddings."
SEGMENTS = EMBEDDINGS + "token_type_embeddings.weight"
PLACES = EMBEDDINGS + "position_embeddings.weight"
# Ours and theirs, of every layer. Attention's queries, keys and values are one matrix here and three there.
PARTS = {
    "self_attn.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm2": "output.LayerNorm",
}
ATTENTION = ("query", "key", "value")
KINDS = ("weight", "bias")


def load_text_encoder(
    folder: Path, texts: Iterable[str] | None, max_tokens: int, turns_before: int = 0
) -> tuple[TextEncoder, Tokenizer]:
    """Read an encoder and its tokenizer, keeping the tokens that ``texts`` use; without texts, all of them.

    Raises:
        TrainError: a file is missing or not of this layout.
    """
    try:
        dimensions = json.loads((folder / "config.json").read_text())
        vocabulary = json.loads((folder / "tokenizer.json").read_text())
        weights = load_file(folder / "model.safetensors")
        tokenizer = _tokenizer(vocabulary)
        kept = _kept_tokens(tokenizer, texts)
        config = TextConfig(
            vocabulary=len(kept),
            width=dimensions["hidden_size"],
            layers=dimensions["num_hidden_layers"],
            heads=dimensions["num_attention_heads"],
            feed_forward=dimensions["intermediate_size"],
            max_tokens=max_tokens,
            turns_before=turns_before,
        )
        encoder = TextEncoder(config)
        encoder.load_state_dict(_renamed(weights, config, torch.tensor(kept)))
        return encoder, _pruned(vocabulary, tokenizer, kept, max_tokens)
    except FileNotFoundError as error:
        raise TrainError(f"{error.filename}: missing from the text encoder's folder") from error
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise TrainError(
            f"{folder}: not a BERT for this recipe, in the Hugging Face layout: {str(error).splitlines()[0]}"
        ) from error


def save_text_encoder(encoder: TextEncoder, origin: Path, folder: Path) -> None:
    """Write an encoder with all its tokens in the layout of the folder that it was loaded from.

    Args:
        encoder: loaded without texts, and trained since.
        origin: where from. Configuration, vocabulary and weights that the encoder does not have are taken over.
        folder: where to; it exists.
    """
    weights = load_file(origin / "model.safetensors")
    prefix = "bert." if f"bert.{SEGMENTS}" in weights else ""
    ours = _renamed_back(encoder, weights[prefix + SEGMENTS][0].float())
    longest = weights[prefix + PLACES].float().clone()  # (places, D), of which the encoder has the first ones
    longest[: len(ours[PLACES])] = ours[PLACES]
    trained = {prefix + name: value.contiguous() for name, value in (ours | {PLACES: longest}).items()}
    save_file(weights | trained, folder / "model.safetensors")
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(origin / name, folder / name)


def _kept_tokens(tokenizer: Tokenizer, texts: Iterable[str] | None) -> list[int]:
    """Ids of the tokens to keep, ascending."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if texts is None:
        return sorted(tokenizer.get_vocab().values())
    used = {index for encoding in tokenizer.encode_batch(list(texts)) for index in encoding.ids}
    every = tokenizer.get_vocab()
    letters = {index for token, index in every.items() if len(token.removeprefix("##")) == 1}
    return sorted(used | letters | {every[token] for token in SPECIAL_TOKENS})


def _pruned(document: dict[str, object], tokenizer: Tokenizer, kept: list[int], max_tokens: int) -> Tokenizer:
    """The tokenizer with the kept tokens alone, renumbered from 0."""
    names = [str(tokenizer.id_to_token(index)) for index in kept]
    new_id = {name: index for index, name in enumerate(names)}
    text = json.loads(json.dumps(document))
    text["model"]["vocab"] = new_id
    text["padding"] = None
    text["truncation"] = {"max_length": max_tokens, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    # Typographic apostrophes are how scripts are printed; recognisers write plain ones.
    text["normalizer"] = {
        "type": "Sequence",
        "normalizers": [{"type": "Replace", "pattern": {"String": "\u2019"}, "content": "'"}, text["normalizer"]],
    }
    for token in text["added_tokens"]:
        token["id"] = new_id[token["content"]]
    for name, token in text["post_processor"]["special_tokens"].items():
        token["ids"] = [new_id[name]]
    return _tokenizer(text)


def _tokenizer(document: object) -> Tokenizer:
    """The tokenizer that a ``tokenizer.json`` describes. Raises ``ValueError`` where it describes none."""
    try:
        return Tokenizer.from_str(json.dumps(document))
    except Exception as error:  # the tokenizers package raises nothing narrower
        raise ValueError(f"tokenizer.json: {error}") from error


def _renamed(weights: dict[str, Tensor], config: TextConfig, kept: Tensor) -> dict[str, Tensor]:
    """BertModel's state as the state of our encoder. Raises ``ValueError`` where it reads fewer tokens than that."""
    bert = {name.removeprefix("bert."): value.float() for name, value in weights.items()}
    if config.max_tokens > len(bert[PLACES]):
        raise ValueError(f"it reads {len(bert[PLACES])} tokens at most, not {config.max_tokens}")
    # One segment is all there is, so its embedding joins the positions'.
    segment = bert[SEGMENTS][0]  # (D,)
    state = {
        "tokens.weight": bert[EMBEDDINGS + "word_embeddings.weight"][kept],  # (V, D)
        "positions.weight": bert[PLACES][: config.max_tokens] + segment,  # (N, D)
        **{f"norm.{kind}": bert[f"{EMBEDDINGS}LayerNorm.{kind}"] for kind in KINDS},
    }
    for index in range(config.layers):
        ours, theirs = f"layers.layers.{index}.", f"encoder.layer.{index}."
        for kind in KINDS:
            attention = [bert[f"{theirs}attention.self.{part}.{kind}"] for part in ATTENTION]
            state[f"{ours}self_attn.in_proj_{kind}"] = torch.cat(attention)
            state |= {f"{ours}{mine}.{kind}": bert[f"{theirs}{other}.{kind}"] for mine, other in PARTS.items()}
    return state


def _renamed_back(encoder: TextEncoder, segment: Tensor) -> dict[str, Tensor]:
    """The state of our encoder as BertModel's, whose segment has the embedding ``segment`` (D,)."""
    state = encoder.state_dict()
    bert = {
        EMBEDDINGS + "word_embeddings.weight": state["tokens.weight"],  # (V, D)
        PLACES: state["positions.weight"] - segment,  # (N, D)
        **{f"{EMBEDDINGS}LayerNorm.{kind}": state[f"norm.{kind}"] for kind in KINDS},
    }
    for index in range(encoder.config.layers):
        ours, theirs = f"layers.layers.{index}.", f"encoder.layer.{index}."
        for kind in KINDS:
            parts = zip(ATTENTION, state[f"{ours}self_attn.in_proj_{kind}"].chunk(3), strict=True)
            bert |= {f"{theirs}attention.self.{part}.{kind}": value for part, value in parts}
            bert |= {f"{theirs}{other}.{kind}": state[f"{ours}{mine}.{kind}"] for mine, other in PARTS.items()}
    return bert
