"""Keys: what bytes from a terminal mean, what each key does to a session, and how that is told on the screen."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, runtime_checkable

SEEK_S: Final = 10.0

LIVE_HINTS: Final = (("q", "quit"), ("p", "pause"), ("m", "mark"), ("n", "name"))
WATCH_HINTS: Final = (("q", "quit"), ("n", "name"), ("← →", "other sites"), ("backspace", "all sites"))
CHOOSE_HINTS: Final = (("q", "quit"), ("← → ↑ ↓", "choose"), ("enter", "open"), ("1 to 9", "by number"))
REPLAY_HINTS: Final = (("q", "quit"), ("p", "pause"), ("← →", f"{SEEK_S:.0f} s"), ("↑ ↓", "speed"), ("home", "start"))

_NAMES: Final = {" ": "space", "\t": "tab", "\r": "enter", "\n": "enter", "\b": "backspace", "\x7f": "backspace"}
_FINAL: Final = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "1~": "home", "7~": "home"}
_PRESSED = re.compile(
    r"\x1b[\[O](?P<sequence>[0-?]*[ -/]*[@-~])"  # arrows and the like, in either of a terminal's two modes
    r"|(?P<unfinished>\x1b(?:\[[0-?]*[ -/]*|O))\Z"
    r"|(?P<escape>\x1b)\Z"
    r"|\x1b."  # a key with Alt
    r"|(?P<character>.)",
    re.DOTALL,
)


class KeyControls(Protocol):
    """What the keys can do to a live session."""

    def stop(self) -> None:
        """Finish the turn under way and end the session."""

    def toggle_pause(self) -> None:
        """Stop listening, or listen again."""

    def mark(self) -> None:
        """Mark this moment."""

    def rename(self, speaker: str, name: str) -> None:
        """Call a speaker by another name. Raises ``ValueError`` where that cannot be."""


@runtime_checkable
class ReplayControls(Protocol):
    """What the keys can do to the replay of a saved session."""

    def stop(self) -> None:
        """End the replay."""

    def toggle_pause(self) -> None:
        """Stand still, or go on."""

    def seek(self, by_s: float) -> None:
        """Go so many seconds of stream time on, or back."""

    def restart(self) -> None:
        """Go back to the start."""

    def faster(self) -> None:
        """Take the next higher speed."""

    def slower(self) -> None:
        """Take the next lower speed."""


def bindings(controls: KeyControls | ReplayControls) -> dict[str, Callable[[], None]]:
    """What each key does, by the name that ``KeyReader`` gives it."""
    common = {"q": controls.stop, "p": controls.toggle_pause}
    if not isinstance(controls, ReplayControls):
        return common | {"m": controls.mark}
    return common | {
        "space": controls.toggle_pause,  # in a replay only: a stray one must not make a live session deaf
        "left": partial(controls.seek, -SEEK_S),
        "right": partial(controls.seek, SEEK_S),
        "down": controls.slower,
        "[": controls.slower,
        "up": controls.faster,
        "]": controls.faster,
        "home": controls.restart,
    }


class KeyReader:
    """Turns what a terminal sends into names of keys; a sequence may come in two pieces."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._unfinished = ""

    def feed(self, pressed: bytes) -> list[str]:
        """The keys in ``pressed``: characters as they are, the others by name; unknown ones are left out."""
        text = self._unfinished + self._decoder.decode(pressed)
        self._unfinished = ""
        keys = []
        for found in _PRESSED.finditer(text):
            if character := found["character"]:
                keys.append(_NAMES.get(character, character))
            elif (sequence := found["sequence"]) in _FINAL:
                keys.append(_FINAL[sequence])
            elif found["escape"]:
                keys.append("escape")
            elif unfinished := found["unfinished"]:
                self._unfinished = unfinished
        return keys
