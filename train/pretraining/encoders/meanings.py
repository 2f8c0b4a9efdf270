"""The meaning of words: the mean state of a frozen text encoder, which CARE's semantic encoder learns to predict.

Every text is read once; the embeddings stay on disk, so that a run that was killed does not read them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from emotrack.models.encoders import AnyTextConfig
from emotrack.models.hub import load_tokenizer
from emotrack.models.hub_encoders import HubTextEncoder
from emotrack.train.pretraining.corpus.table import address
from emotrack.train.recipes.recipe import FrozenSpeechRecipe, Recipe
from emotrack.train.running.checkpoint import load_text_encoder
from emotrack.train.running.files import write_whole
from emotrack.train.running.ranks import rank_0_first, training_device
from emotrack.train.stages.text_stage import embed, read_dialogue


class MeanState(nn.Module):
    """A hub's text encoder, of which the last layer's mean over all tokens is taken and not the first token."""

    def __init__(self, encoder: HubTextEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: Tensor, padding: Tensor, own: Tensor) -> Tensor:  # noqa: ARG002
        """(B, N) ids, (B, N) True where there is no token, (B,) -> (B, D)."""
        present = (~padding).long()  # (B, N)
        states = self.encoder.model(input_ids=ids, attention_mask=present).last_hidden_state  # (B, N, D)
        mean: Tensor = (states * present.unsqueeze(-1)).sum(dim=1) / present.sum(dim=1, keepdim=True)  # (B, D)
        return mean


@torch.inference_mode()
def meanings(texts: Sequence[str], recipe: Recipe, data: dict[str, Path], folder: Path) -> Tensor:
    """The meaning of texts to the recipe's text encoder.

    Args:
        texts: each of them once, since what is on disk is known by them.
        recipe: its speech names the RoBERTa that CARE is made of, or else ...
        data: ... ``encoder`` is a small BERT's folder.
        folder: keeps the embeddings.

    Returns:
        (texts, D), half precision.

    Raises:
        HubError: the encoder cannot be had.
        TrainError: the same.
    """
    path, made_of = folder / "meanings.safetensors", address(_reader_name(recipe, data), *texts)
    with rank_0_first():
        if path.is_file():
            with safe_open(path, "pt") as file:
                kept = file.metadata()
            if kept == {"made_of": made_of}:
                return load_file(path)["meanings"]
        encoder, config, tokenizer = _reader(texts, recipe, data)
        readings = [read_dialogue([text], tokenizer, config)[0] for text in texts]
        found = embed(encoder.eval().to(training_device()), readings).half()  # (texts, D)
        write_whole({"meanings": found}, path, {"made_of": made_of})
        return found


def _reader_name(recipe: Recipe, data: dict[str, Path]) -> str:
    """Hub id or folder of the text encoder."""
    if isinstance(recipe.speech, FrozenSpeechRecipe) and recipe.speech.care:
        return recipe.speech.care[1]
    return str(data["encoder"].absolute())


def _reader(texts: Sequence[str], recipe: Recipe, data: dict[str, Path]) -> tuple[nn.Module, AnyTextConfig, Tokenizer]:
    """The text encoder, what it is, and its vocabulary."""
    name, longest = _reader_name(recipe, data), recipe.text.max_tokens
    if isinstance(recipe.speech, FrozenSpeechRecipe):
        encoder = HubTextEncoder.from_hub(name, longest)
        return MeanState(encoder), encoder.config, load_tokenizer(name, longest)
    small, tokenizer = load_text_encoder(Path(name), texts, longest)  # its embedding is the mean over all tokens
    return small, small.config, tokenizer
