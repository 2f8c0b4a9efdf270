"""The transcript: every turn with what was said, how it sounded, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from emotrack.tracker.messages.plain import plain_document
from emotrack.tracker.messages.wording import clock
from emotrack.tracker.sessions.report.moments import Moment
from emotrack.tracker.sessions.report.view import SeenTurn, View
from emotrack.tracker.sessions.report.wording import percent, rejected

CHAPTER_S = 300.0
CHAPTER_TURNS = 100  # a browser lays out whole chapters as they come into sight; it also looks at each in every frame
_REASONS = (("speech", "voice"), ("text", "words"), ("context", "context"))
_CHARS_IN_LINE = 70


@dataclass(frozen=True, slots=True)
class Reason:
    """How far one thing moved the probability of the emotion."""

    name: str
    points: str
    """Signed percentage points."""
    side: str
    """`for` or `against`: on which side of the middle its bar lies."""
    width: str


@dataclass(frozen=True, slots=True)
class Said:
    """One turn of the transcript."""

    seen: SeenTurn
    speaker: str
    at: str
    confidence: str
    text: str | None
    silence: str
    """Why there are no words; empty when there are."""
    reasons: list[Reason]
    moments: list[Moment]
    """What happened during this turn, or between it and the next."""
    notes: str


@dataclass(frozen=True, slots=True)
class Chapter:
    """Some minutes of the transcript."""

    start: str
    end: str
    turns: list[Said]

    @property
    def height(self) -> int:
        """About how many lines it fills: what a browser assumes before it has laid the chapter out."""
        return sum(
            max(3, 2 + -(-len(said.text or said.silence) // _CHARS_IN_LINE)) + len(said.moments) for said in self.turns
        )


def chapters(view: View, moments: list[Moment]) -> list[Chapter]:
    """The turns in the order of their ids, some minutes at a time."""
    at_turn: dict[int | None, list[Moment]] = {}
    for moment in moments:
        at_turn.setdefault(moment.turn_id, []).append(moment)
    found = []
    for turns in _divided(view.drawn):
        start, end = min(turn.start_s for turn in turns), max(turn.end_s for turn in turns)
        found.append(Chapter(clock(start), clock(end), [_said(view, turn, at_turn.get(turn.id, [])) for turn in turns]))
    return found


def _divided(turns: list[SeenTurn]) -> Iterator[list[SeenTurn]]:
    chapter: list[SeenTurn] = []
    for turn in turns:
        if chapter and (len(chapter) == CHAPTER_TURNS or _number(turn) > _number(chapter[0])):
            yield chapter
            chapter = []
        chapter.append(turn)
    if chapter:
        yield chapter


def _number(turn: SeenTurn) -> int:
    return int(turn.start_s / CHAPTER_S)


def _said(view: View, seen: SeenTurn, moments: list[Moment]) -> Said:
    text = seen.turn.text
    return Said(
        seen=seen,
        speaker=view.name(seen.speaker),
        at=clock(seen.start_s),
        confidence=percent(seen.turn.confidence),
        text=plain_document(text) if text is not None else None,
        silence="" if text is not None else _silence(view, seen),
        reasons=_reasons(seen),
        moments=moments,
        notes="; ".join(_notes(seen)),
    )


def _notes(seen: SeenTurn) -> Iterator[str]:
    if seen.turn.truncated:
        yield "cut short, or part of its audio was lost"
    if seen.overlapped:
        yield f"others speak in {seen.overlapped} of it"
    if seen.doubt:
        yield seen.doubt


def _silence(view: View, seen: SeenTurn) -> str:
    turn = seen.turn
    if "text" in turn.modalities:
        return "Voice and words; the words were not saved."
    if turn.text_rejected is not None:
        return f"Voice only: {rejected(turn.text_rejected)}."
    started = view.session.started
    if started is not None and started.recogniser is None:
        return "Voice only: no recogniser was in use."
    return "Voice only: there were no words for this turn."


def _reasons(seen: SeenTurn) -> list[Reason]:
    why = seen.turn.why
    if why is None:
        return []
    found = []
    for key, name in _REASONS:
        value = why.get(key)  # type: ignore[call-overload]
        if value is not None:
            points = round(100 * value)
            sign = "+" if points > 0 else "\N{MINUS SIGN}" if points < 0 else "±"
            side = "against" if points < 0 else "for"
            found.append(Reason(name, f"{sign}{abs(points)}", side, f"{min(50.0, abs(50 * value)):.0f}%"))
    return found
