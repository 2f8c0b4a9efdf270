"""What was heard of a room and of each of its speakers so far: the baseline against which a voice is measured.

Sums over turns, from which means and deviations follow. So what was heard of two speakers who prove to be one is added,
a turn that proves to be another's moves from one to the other, and all of it is small and can be kept in a snapshot. It
lasts as long as the conversation, also for turns that have left the rolling window.

Notation: N turns, V numbers that tell a voice, C labels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Self

import torch
from torch import Tensor

LEAST_HEARD = 0.03  # turns; the shortest, by its evidence, is more, and nothing but rounding less
MAX_SPEAKERS = 12  # whose baselines are kept, beside those of whom a turn may still prove to be another's


@dataclass(frozen=True, slots=True)
class VoiceSums:
    """Sums over some turns; of several sums at once where there is a dimension before the ones named."""

    turns: Tensor  # (), each as far as there is evidence for it
    total: Tensor  # (C, V) of the turns' voices, each divided among the labels by how likely they sounded
    squares: Tensor  # (V,) of their squares
    believed: Tensor  # (C,) of what each turn sounded like by itself, as probabilities

    @classmethod
    def nothing(cls, voice: int, labels: int, device: torch.device) -> Self:
        """Of no turns."""
        return cls(*(torch.zeros(shape, device=device) for shape in ((), (labels, voice), voice, labels)))

    @classmethod
    def stacked(cls, sums: Sequence[VoiceSums]) -> Self:
        """Several, one a row."""
        return cls(*(torch.stack([getattr(each, part.name) for each in sums]) for part in fields(cls)))

    def tensors(self) -> dict[str, Tensor]:
        """By name."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    def rows(self) -> list[VoiceSums]:
        """Of several, each by itself."""
        return [VoiceSums(*each) for each in zip(self.turns, self.total, self.squares, self.believed, strict=True)]

    def __add__(self, other: VoiceSums) -> VoiceSums:
        return VoiceSums(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(self)))

    def __sub__(self, other: VoiceSums) -> VoiceSums:
        """Without some of the turns."""
        return VoiceSums(*(getattr(self, part.name) - getattr(other, part.name) for part in fields(self)))


@dataclass(frozen=True, slots=True)
class Baseline:
    """A conversation's: of the room, which is everybody, and of the speakers that are known, the latest last."""

    room: VoiceSums
    speakers: Mapping[str, VoiceSums] = field(default_factory=dict)

    @classmethod
    def of(cls, nothing: VoiceSums, turns: Iterable[tuple[str | None, VoiceSums]]) -> Self:
        """That of turns, each with who says it; ``nothing`` says how much tells a voice."""
        found = cls(nothing)
        for speaker, heard in turns:
            found = found.with_turn(speaker, heard)
        return found

    def with_turn(self, speaker: str | None, heard: VoiceSums) -> Self:
        """After another turn."""
        return type(self)(self.room + heard, self._with(self.speakers, speaker, heard))

    def moved(self, heard: VoiceSums, speaker: str | None, to: str | None) -> Self:
        """With a turn that was thought to be one speaker's passed on to another."""
        speakers = dict(self.speakers)
        if speaker is not None and speaker in speakers:
            left = speakers[speaker] - heard
            if float(left.turns) < LEAST_HEARD:
                del speakers[speaker]
            else:
                speakers[speaker] = left
        return type(self)(self.room, self._with(speakers, to, heard))

    def merged(self, speaker: str, into: str) -> Self:
        """With what was heard of one speaker counted to another, or under another name."""
        if speaker == into or speaker not in self.speakers:
            return self
        rest = {name: heard for name, heard in self.speakers.items() if name != speaker}
        return type(self)(self.room, self._with(rest, into, self.speakers[speaker]))

    def bounded(self, needed: Collection[str | None]) -> Self:
        """Without those who were not heard for longest, beyond ``MAX_SPEAKERS``: they are measured by the room again.

        Those who are ``needed`` stay: of what was forgotten nothing can be taken away later.
        """
        others = [name for name in self.speakers if name not in needed]
        surplus = set(others[: max(0, len(self.speakers) - MAX_SPEAKERS)])
        if not surplus:
            return self
        return type(self)(self.room, {name: heard for name, heard in self.speakers.items() if name not in surplus})

    def speaker(self, name: str | None) -> VoiceSums | None:
        """What was heard of a speaker; None where nothing was, or nobody knows who speaks."""
        return None if name is None else self.speakers.get(name)

    @staticmethod
    def _with(speakers: Mapping[str, VoiceSums], name: str | None, heard: VoiceSums) -> Mapping[str, VoiceSums]:
        if name is None:
            return speakers
        rest = {each: sums for each, sums in speakers.items() if each != name}
        latest = {name: heard + speakers[name] if name in speakers else heard}
        return rest | latest
