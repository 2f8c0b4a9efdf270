"""Recipes: every choice that makes a bundle what it is, in one TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from emotrack.models.speech_encoder import SpeechConfig
from emotrack.train.acted import ACTED
from emotrack.train.errors import TrainError
from emotrack.train.loop import LoopOptions

PACKAGED = Path(__file__).parent / "recipes"
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class TextPhase:
    """One corpus that the text encoder is trained on, with a head of its own."""

    corpus: str
    loop: LoopOptions


@dataclass(frozen=True, config=_STRICT)
class TextRecipe:
    """Stage I, words. The phases follow one another; the last one, on MELD, gives the classifier."""

    max_tokens: int
    vocabulary: tuple[str, ...]  # corpora whose training texts say which tokens are kept
    phases: tuple[TextPhase, ...]


@dataclass(frozen=True, config=_STRICT)
class SpeechRecipe:
    """Stage I, voice."""

    draws: dict[str, float]  # how often each clip of a corpus is drawn in an epoch
    frame_imitation: float  # weight of the teacher's states among the losses
    summary_imitation: float  # weight of their mean and deviation over the utterance
    smoothing: float  # of labels
    dropout: float  # of the embedding
    encoder: SpeechConfig
    loop: LoopOptions


@dataclass(frozen=True, config=_STRICT)
class FusionRecipe:
    """The conversation: context, calibration and when to be uncertain."""

    context: int  # turns
    prior_trust: float  # in the corpora's proportions of emotions, 0 to 1
    penalty: float  # on the weights of the past
    right_when_certain: float  # share of the certain turns on dev that are right


@dataclass(frozen=True, config=_STRICT)
class Recipe:
    """How a bundle is made."""

    name: str
    text: TextRecipe
    speech: SpeechRecipe
    fusion: FusionRecipe

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of the data it is made of."""
        return (
            "encoder",
            "teacher",
            *self.text.vocabulary,
            *(phase.corpus for phase in self.text.phases),
            *self.speech.draws,
        )


def load_recipe(name_or_path: str) -> Recipe:
    """Read a packaged recipe or a file.

    Raises:
        TrainError: there is none, or it says something that a recipe cannot say.
    """
    path = PACKAGED / f"{name_or_path}.toml"
    if not path.is_file():
        path = Path(name_or_path)
    if not path.is_file():
        packaged = ", ".join(sorted(recipe.stem for recipe in PACKAGED.glob("*.toml")))
        raise TrainError(f"no recipe {name_or_path!r}: give a TOML file, or one of {packaged}")
    try:
        recipe = TypeAdapter(Recipe).validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise TrainError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise TrainError(f"{path}: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
    if not recipe.text.phases or recipe.text.phases[-1].corpus != "meld":
        raise TrainError(f"{path}: text.phases: the last phase is on meld")
    if unknown := set(recipe.speech.draws) - set(ACTED):
        raise TrainError(f"{path}: speech.draws: no acted corpus {unknown.pop()!r}")
    return recipe
