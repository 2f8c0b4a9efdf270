"""What the formats have in common: the order of turns, and words that break no format."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from emotrack.tracker.events import Turn
from emotrack.tracker.messages.plain import plain_document
from emotrack.tracker.sessions.reading.reader import Session

_MIN_SECONDS = 0.001  # a label or subtitle of no length is refused by some programs


def one_line(text: str) -> str:
    """``text`` without control characters, every run of white space one space."""
    return " ".join(plain_document(" ".join(text.split())).split())


def by_start(session: Session) -> list[Turn]:
    """The turns in the order in which they begin; they are saved in the order in which they end."""
    return sorted(session.turns, key=lambda turn: (turn.start_s, turn.end_s, turn.turn_id))


def end_s(turn: Turn) -> float:
    """Stream time of the end of ``turn``, in seconds, a little after its start in any case."""
    return max(turn.end_s, turn.start_s + _MIN_SECONDS)


def caption(session: Session, turn: Turn) -> str:
    """``[joy] Ana: what she said``, in one line, as far as speaker and words are known."""
    who, words = one_line(turn.speaker or ""), one_line(turn.text or "")
    return f"[{one_line(session.emotion(turn))}] {': '.join(part for part in (who, words) if part)}".rstrip()


def distinct(names: Iterable[str], clean: Callable[[str], str]) -> dict[str, str]:
    """``clean(name)`` for each name, with a number behind it where another name would come out the same."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    numbers: dict[str, int] = {}  # the last one behind each wanted name: below it all are taken
    for name in dict.fromkeys(names):
        wanted = candidate = clean(name)
        while candidate in taken:
            numbers[wanted] = numbers.get(wanted, 1) + 1
            candidate = f"{wanted}_{numbers[wanted]}"
        taken.add(candidate)
        found[name] = candidate
    return found
