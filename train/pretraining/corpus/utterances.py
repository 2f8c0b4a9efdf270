"""The utterances that CARE learns from: which they are, which are held out, and their sound, read ahead of its use."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from emotrack.models.bounds import SAMPLE_RATE
from emotrack.train.data.audio import read_audio
from emotrack.train.errors import TrainError
from emotrack.train.pretraining.corpus.rows import TurnRow
from emotrack.train.pretraining.corpus.table import Table, address

READING_THREADS = min(8, len(os.sched_getaffinity(0)))

Item = TypeVar("Item")
Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Utterance:
    """A turn with words, long enough to learn from."""

    path: Path
    start_s: float
    seconds: float
    text: str
    group: str
    """Who speaks, where that is known, or else the recording."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A stretch of an utterance."""

    index: int  # of the utterance
    start_s: float  # in its file
    seconds: float


@dataclass(frozen=True, slots=True)
class Utterances:
    """Those of a corpus."""

    train: list[Utterance]
    held_out: list[Utterance]
    without_words: int  # turns that are left out for that
    too_short: int  # the same
    address: str  # of their sound and words

    @property
    def texts(self) -> list[str]:
        """The texts, each once, in the order of the alphabet."""
        return sorted({utterance.text for utterance in [*self.train, *self.held_out]})


def read_utterances(corpus: Path, audio: Path, shortest_s: float, share: float) -> Utterances:
    """Read the turns that ``transcribe`` made.

    Args:
        corpus: the folder that has ``turns``.
        audio: the folder or list that was transcribed.
        shortest_s: shorter turns are left out.
        share: of the utterances, about which are held out: speakers, or recordings, as a whole.

    Raises:
        TrainError: there are no turns, recordings are missing, or one group or one text is all there is.
    """
    root = audio if audio.is_dir() else audio.parent
    found: list[Utterance] = []
    made_of: list[str] = []
    without_words = too_short = 0
    for turn in Table(corpus / "turns", TurnRow).rows():
        seconds = turn.end_s - turn.start_s
        if not (turn.text and turn.text.strip()):
            without_words += 1
        elif seconds < shortest_s:
            too_short += 1
        else:
            group = turn.speaker or turn.source_sha256
            found.append(Utterance(root / turn.source, turn.start_s, seconds, turn.text.strip(), group))
            made_of += [turn.turn_id, turn.text]
    if not found:
        raise TrainError(f"{corpus}: no turns of {shortest_s:g} s or more with words in {corpus / 'turns'}")
    if missing := sorted(path for path in {utterance.path for utterance in found} if not path.is_file()):
        raise TrainError(f"{missing[0]}: no such file, and {len(missing)} like it: is {audio} what was transcribed?")
    train, held_out = _split(found, share)
    if len({utterance.text for utterance in held_out}) < 2:
        raise TrainError(f"{corpus}: all {len(held_out)} utterances that were held out say the same")
    return Utterances(train, held_out, without_words, too_short, address(*made_of))


def _split(utterances: Sequence[Utterance], share: float) -> tuple[list[Utterance], list[Utterance]]:
    """Hold out groups in an order that depends on their names alone, until there are enough."""
    groups: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        groups.setdefault(utterance.group, []).append(utterance)
    if len(groups) < 2:
        raise TrainError("all utterances are of one speaker or recording: nothing could be held out")
    order = sorted(groups, key=lambda group: hashlib.sha256(group.encode()).digest())
    held_out: list[Utterance] = []
    while len(order) > 1 and len(held_out) < share * len(utterances):
        held_out += groups[order.pop()]
    return [utterance for group in order for utterance in groups[group]], held_out


def crop(index: int, utterance: Utterance, longest_s: float, place: float) -> Crop:
    """A stretch of at most ``longest_s``; ``place`` in [0, 1] says where in the utterance."""
    seconds = min(utterance.seconds, longest_s)
    return Crop(index, utterance.start_s + place * (utterance.seconds - seconds), seconds)


def read_crop(utterance: Utterance, stretch: Crop) -> Tensor:
    """-> (samples,) at 16 kHz, no more than were asked for. Raises ``TrainError``."""
    waveform = torch.from_numpy(read_audio(utterance.path, stretch.start_s, stretch.start_s + stretch.seconds))
    return waveform[: round(stretch.seconds * SAMPLE_RATE)]


def read_ahead(read: Callable[[Item], Read], items: Iterable[Item], ahead: int) -> Iterator[Read]:
    """What is read of items, in their order, by threads that are at most ``ahead`` items ahead of whoever takes it."""
    with ThreadPoolExecutor(READING_THREADS) as pool:
        waiting: deque[Future[Read]] = deque()
        for item in items:
            waiting.append(pool.submit(read, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
