"""Naming a speaker with the keyboard: first whom, then the name. Pure: a key in, what is asked next out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from emotrack.tracker.session.controls import MAX_NAME

MAX_CHOICES: Final = 9  # as many as there are keys for


@dataclass(frozen=True, slots=True)
class Speaker:
    """Somebody who may be meant."""

    shown: str
    """The name as the screen has it ..."""
    named: str
    """... and as events have it."""


@dataclass(frozen=True, slots=True)
class NewName:
    """What a person wants a speaker to be called."""

    speaker: str
    """As events have it."""
    name: str


@dataclass(frozen=True, slots=True)
class Naming:
    """What is asked."""

    speakers: Sequence[Speaker]
    """Those who may be meant, by number."""
    latest: Speaker
    """Who spoke last."""
    chosen: Speaker | None = None
    name: str = ""
    """As far as it is typed."""

    @property
    def makes_one(self) -> bool:
        """Whether the name as it is typed is somebody else's, so that the two would be one."""
        return any(speaker.named == self._said for speaker in self.speakers if speaker != self.chosen)

    @property
    def _said(self) -> str:
        """The name as it is typed, in single spaces."""
        return " ".join(self.name.split())

    def press(self, key: str) -> Naming | NewName | None:
        """What a key leads to; None ends it without a name."""
        if key == "escape":
            return None
        return self._choose(key) if self.chosen is None else self._type(self.chosen, key)

    def _choose(self, key: str) -> Naming:
        if key == "enter":
            return replace(self, chosen=self.latest)
        if key.isdecimal() and 1 <= int(key) <= len(self.speakers):
            return replace(self, chosen=self.speakers[int(key) - 1])
        return self

    def _type(self, chosen: Speaker, key: str) -> Naming | NewName | None:
        if key == "enter":
            return NewName(chosen.named, self._said) if self._said else None
        if key == "backspace":
            return replace(self, name=self.name[:-1])
        letter = " " if key == "space" else key
        if len(letter) == 1 and letter.isprintable() and len(self.name) < MAX_NAME:
            return replace(self, name=self.name + letter)
        return self
