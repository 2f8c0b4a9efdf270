"""Conversations put together from single sentences, each of one actor in one mood, as one microphone hears them.

A speaker therefore sounds different from turn to turn. Clips are trimmed of silence, of equal level, follow each other
after -0.3 to 0.8 s, and lie in a little noise.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.diarisation import Span
from benchmarks.speech import CONVERSATION, mono
from emotrack.tracker.audio import SAMPLE_RATE, Samples

GAP_S: Final = (-0.3, 0.8)
GOES_ON: Final = 0.2  # how often whoever spoke last may speak again
LEVEL: Final = 0.06  # root mean square of a clip
NOISE: Final = 8e-4  # of the room
LEAD_S: Final = 0.5  # before the first
RAVDESS_ACTORS: Final = range(1, 21)  # the others are kept for tests

Voices = Mapping[str, Sequence[Samples]]
"""Clips, (samples,) each, by speaker."""


@dataclass(frozen=True, slots=True)
class Said:
    """A clip in its place."""

    speaker: str
    clip: int
    """Its number among the speaker's."""
    start: int
    """Stream index."""
    samples: Samples

    @property
    def span(self) -> Span:
        return Span(self.start / SAMPLE_RATE, (self.start + len(self.samples)) / SAMPLE_RATE, self.speaker)


def corpora(folder: Path | None) -> list[dict[str, list[Path]]]:
    """Files of clips by speaker, of each corpus in ``folder``.

    The names say who speaks: ``..-ACTOR.ogg`` in ravdess, ``SPEAKER...`` (two characters) in emodb, ``SPEAKER_...`` in
    nemo.
    """
    found = []
    for corpus in ("ravdess", "emodb", "nemo") if folder else ():
        assert folder
        files: dict[str, list[Path]] = {}
        for path in sorted((folder / corpus).glob("*.ogg")):
            if (speaker := _speaker(corpus, path.stem)) is not None:
                files.setdefault(speaker, []).append(path)
        if files:
            found.append(files)
    return found


def bundled() -> Voices:
    """The clips there are with no folder: the lines of the bundled conversation."""
    audio = mono(CONVERSATION)
    voices: dict[str, list[Samples]] = {}
    for line in json.loads(CONVERSATION.with_suffix(".json").read_text())["turns"]:
        start, end = (round(line[key] * SAMPLE_RATE) for key in ("start", "end"))
        voices.setdefault(line["speaker"], []).append(trimmed(audio[start:end]))
    return voices


def cast(found: Sequence[Mapping[str, Sequence[Path]]], count: int, seed: int) -> Voices:
    """``count`` speakers of one corpus. Raises ``ValueError`` if none has so many."""
    draw = random.Random(1000 * count + seed)  # noqa: S311  # the same people at every run
    large = [files for files in found if len(files) >= count]
    if not large:
        raise ValueError(f"no corpus has {count} speakers")
    files = draw.choice(large)
    people = draw.sample(sorted(files), count)
    return {
        person: [trimmed(mono(path)) for path in draw.sample(files[person], min(24, len(files[person])))]
        for person in people
    }


def conversation(voices: Voices, seed: int) -> Iterator[Said]:
    """What is said, one after the other, without an end."""
    draw = random.Random(seed)  # noqa: S311  # the same words at every run
    last, at = "", LEAD_S * SAMPLE_RATE
    while True:
        people = sorted(voices)
        others = [person for person in people if person != last]
        before, last = last, draw.choice(people if draw.random() < GOES_ON else others or people)
        clip = draw.randrange(len(voices[last]))
        gap_s = draw.uniform(*GAP_S)
        start = max(
            0, round(at + (abs(gap_s) if last == before else gap_s) * SAMPLE_RATE)
        )  # nobody overlaps themselves
        samples = voices[last][clip]
        yield Said(last, clip, start, samples)
        at = start + len(samples)


def sound(said: Sequence[Said], seed: int) -> Samples:
    """As the microphone hears it, (samples,), from the stream's beginning to a second after its end."""
    end = max(each.start + len(each.samples) for each in said) + SAMPLE_RATE
    heard = np.random.default_rng(seed).normal(0.0, NOISE, end).astype(np.float32)
    for each in said:
        heard[each.start : each.start + len(each.samples)] += each.samples
    return np.clip(heard, -1.0, 1.0)


def trimmed(samples: Samples) -> Samples:
    """A clip, (samples,), without the silence around it, at LEVEL."""
    frame = SAMPLE_RATE // 100
    loud = np.sqrt((samples[: len(samples) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1))
    places = np.flatnonzero(loud > max(0.03 * float(loud.max(initial=0.0)), 1e-4))
    if len(places):
        samples = samples[max(0, places[0] - 3) * frame : (places[-1] + 4) * frame]
    return samples * np.float32(LEVEL / max(float(np.sqrt((samples**2).mean())), 1e-6))


def _speaker(corpus: str, name: str) -> str | None:
    if corpus == "ravdess":
        actor = name.rpartition("-")[2]
        return actor if actor.isdecimal() and int(actor) in RAVDESS_ACTORS else None
    return name[:2] if corpus == "emodb" else name.partition("_")[0]
