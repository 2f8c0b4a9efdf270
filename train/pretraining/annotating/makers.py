"""The annotators that ``--llm`` names, as plain values that another process can take, too."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from emotrack.train.pretraining.annotating.annotators import Annotator, Maker
from emotrack.train.pretraining.annotating.prompt import VERSION
from emotrack.train.pretraining.annotating.server import Server

if TYPE_CHECKING:
    from emotrack.train.pretraining.annotating.llm import Llm

VADER = "vader"
VADER_THRESHOLD = 0.05  # of the compound score in [-1, 1]; the one that VADER's documentation names
CACHE = "answers.sqlite"


@dataclass(frozen=True, slots=True)
class VaderMaker:
    """VADER's lexicon and rules."""

    @property
    def name(self) -> str:
        """The annotator's name."""
        return VADER

    @property
    def workers(self) -> int | None:
        """Any number."""
        return None

    @property
    def made_by(self) -> str:
        """All that its labels depend on."""
        return f"{VADER} {version('vaderSentiment')}, threshold {VADER_THRESHOLD}"

    def make(self) -> Annotator:
        """Read the lexicon."""
        from emotrack.train.pretraining.annotating.vader import Vader

        return Vader(VADER_THRESHOLD)


@dataclass(frozen=True, slots=True)
class LlmMaker(Server):
    """A language model that a server runs."""

    @property
    def name(self) -> str:
        """The model's, wherever it is served."""
        return self.model

    @property
    def workers(self) -> int | None:
        """One, so that ``concurrency`` is the number of questions at a time."""
        return 1

    @property
    def made_by(self) -> str:
        """All that its labels depend on."""
        return f"{self.model}, prompt {VERSION}"

    def make(self) -> Llm:
        """Nothing is asked yet. Raises ``TrainError`` when the cache cannot be used."""
        from emotrack.train.pretraining.annotating.llm import Llm

        return Llm(self, os.environ.get("OPENAI_API_KEY") or "none")  # a local server wants none, the client one


def makers_of(names: Sequence[str], out: Path, concurrency: int) -> list[Maker]:
    """The annotators that ``vader`` and ``URL#MODEL`` name.

    Raises:
        ValueError: a name is none, or two are the same annotator's.
    """
    makers: list[Maker] = [VaderMaker() if name == VADER else _llm(name, out / CACHE, concurrency) for name in names]
    folders = [folder_of(maker.name) for maker in makers]
    if twice := [folder for folder in folders if folders.count(folder) > 1]:
        raise ValueError(f"--llm names {twice[0]} twice")
    return makers


def folder_of(name: str) -> str:
    """An annotator's name as that of a folder; empty if nothing of it can be kept."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")


def _llm(name: str, cache: Path, concurrency: int) -> LlmMaker:
    url, _, model = name.partition("#")
    parts = urlsplit(url)  # whose port raises where it is none
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0 or not folder_of(model):
        raise ValueError(f"--llm {name!r} is neither {VADER} nor URL#MODEL, as http://localhost:8000/v1#llama")
    return LlmMaker(url, model.strip(), cache, concurrency)
