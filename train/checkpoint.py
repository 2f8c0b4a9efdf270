"""First weights for the text encoder, from a folder in the Hugging Face layout of a BERT.

    model.safetensors   BertModel's weights, with or without a "bert." prefix
    config.json         its dimensions
    tokenizer.json      a WordPiece vocabulary

Most of a small BERT is its vocabulary, so the tokens that no training text uses are left out. Every single-character
piece stays, so any word that could be spelt before still can be.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from emotrack.models.text_encoder import TextConfig, TextEncoder
from emotrack.train.errors import TrainError

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def load_text_encoder(
    folder: Path, texts: Iterable[str], max_tokens: int, turns_before: int = 0
) -> tuple[TextEncoder, Tokenizer]:
    """Read an encoder and its tokenizer, keeping the tokens that ``texts`` use.

    Raises:
        TrainError: a file is missing or not of this layout.
    """
    try:
        dimensions = json.loads((folder / "config.json").read_text())
        vocabulary = json.loads((folder / "tokenizer.json").read_text())
        weights = load_file(folder / "model.safetensors")
        tokenizer = Tokenizer.from_str(json.dumps(vocabulary))
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
    except FileNotFoundError as error:
        raise TrainError(f"{error.filename}: missing from the text encoder's folder") from error
    except (KeyError, ValueError, RuntimeError, SafetensorError) as error:
        raise TrainError(f"{folder}: not a BERT in the Hugging Face layout: {str(error).splitlines()[0]}") from error
    return encoder, _pruned(vocabulary, tokenizer, kept, max_tokens)


def _kept_tokens(tokenizer: Tokenizer, texts: Iterable[str]) -> list[int]:
    """Ids of the tokens to keep, ascending."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
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
    return Tokenizer.from_str(json.dumps(text))


def _renamed(weights: dict[str, Tensor], config: TextConfig, kept: Tensor) -> dict[str, Tensor]:
    """BertModel's state as the state of our encoder."""
    bert = {name.removeprefix("bert."): value.float() for name, value in weights.items()}
    embeddings = "embeddings."
    # One segment is all there is, so its embedding joins the positions'.
    segment = bert[embeddings + "token_type_embeddings.weight"][0]  # (D,)
    state = {
        "tokens.weight": bert[embeddings + "word_embeddings.weight"][kept],  # (V, D)
        "positions.weight": bert[embeddings + "position_embeddings.weight"][: config.max_tokens] + segment,  # (N, D)
        "norm.weight": bert[embeddings + "LayerNorm.weight"],
        "norm.bias": bert[embeddings + "LayerNorm.bias"],
    }
    parts = {
        "self_attn.out_proj": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm2": "output.LayerNorm",
    }
    for index in range(config.layers):
        ours, theirs = f"layers.layers.{index}.", f"encoder.layer.{index}."
        for kind in ("weight", "bias"):
            queries, keys, values = (
                bert[f"{theirs}attention.self.{part}.{kind}"] for part in ("query", "key", "value")
            )
            state[f"{ours}self_attn.in_proj_{kind}"] = torch.cat([queries, keys, values])
            state |= {f"{ours}{mine}.{kind}": bert[f"{theirs}{other}.{kind}"] for mine, other in parts.items()}
    return state
