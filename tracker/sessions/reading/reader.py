"""Reading saved sessions, also those that a crash cut off or an older version wrote.

A file may hold several sessions, since ``--save`` appends. Whatever can be read is read; what could not is said in
``Session.problems``. Nothing that a file may hold raises anything but ``SessionError``, and what is kept of a file is
bounded, so that one which is no session at all is refused rather than filling the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emotrack.errors import EmotrackError
from emotrack.tracker.events import (
    Correction,
    Event,
    Mark,
    SessionEnded,
    SessionStarted,
    SourceLostEvent,
    SourceRestoredEvent,
    SpeakerRenamed,
    SpeakersMerged,
    Turn,
)
from emotrack.tracker.sessions.reading.event_parser import Problems, lines, parse_line, slim
from emotrack.tracker.sessions.reading.garbage import without_collecting
from emotrack.tracker.sessions.reading.speaker_names import SpeakerNames

MAX_EVENTS = 1_000_000  # three weeks of talk without a break
MAX_SESSIONS = 1_000
MAX_MISSING_LINES = 20  # a person reads no more
MAX_LABELS = 100  # emotions of a session: no bundle knows more, and tables have a column for each


class SessionError(EmotrackError):
    """The file holds no session that can be read."""


@dataclass(slots=True)
class Session:
    """One tracked conversation, as far as it was saved."""

    path: Path
    name: str
    """The ``session`` of its events."""
    started: SessionStarted | None = None
    turns: list[Turn] = field(default_factory=list)
    """In the order of their ids, each in its newest revision, its speaker by the name that was given last."""
    corrections: dict[int, Correction] = field(default_factory=dict)
    """The newest correction of each corrected turn, by turn id."""
    marks: list[Mark] = field(default_factory=list)
    losses: list[SourceLostEvent | SourceRestoredEvent] = field(default_factory=list)
    ended: SessionEnded | None = None
    problems: list[str] = field(default_factory=list)
    """What is missing or could not be read, one line each."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions the session's bundle knows."""
        if self.started is not None:
            return self.started.labels
        return tuple(self.turns[0].probabilities) if self.turns else ()

    @property
    def seconds(self) -> float:
        """Stream time listened to."""
        if self.ended is not None:
            return self.ended.seconds
        return max((turn.end_s for turn in self.turns), default=0.0)

    def emotion(self, turn: Turn) -> str:
        """The emotion of ``turn``: a person's correction where there is one, else the estimate."""
        correction = self.corrections.get(turn.turn_id)
        return correction.emotion if correction else turn.emotion


def read_session(path: Path, name: str | None = None) -> Session:
    """The session called ``name`` in a file, or the last one. Raises ``SessionError``."""
    sessions = read_sessions(path)
    if name is None:
        return sessions[-1]
    for session in sessions:
        if session.name == name:
            return session
    there = ", ".join(repr(session.name) for session in sessions[-10:])
    raise SessionError(f"{path}: no session {name!r}; there {'are' if len(sessions) > 1 else 'is'} {there}")


def read_sessions(path: Path) -> list[Session]:
    """Every session in a file, in the order in which they began. Raises ``SessionError``."""
    sessions: dict[str, Session] = {}
    turns: dict[str, dict[int, Turn]] = {}
    names: dict[str, SpeakerNames] = {}
    labels: dict[str, set[str]] = {}
    problems = Problems()
    events = 0
    try:
        with path.open("rb") as file, without_collecting():
            for line in lines(file):
                event = parse_line(line, problems)
                if event is None:
                    continue
                if event.session not in sessions:
                    if len(sessions) == MAX_SESSIONS:
                        problems.add(f"there are more than {MAX_SESSIONS} sessions; the rest is left out")
                        continue
                    sessions[event.session] = Session(path, event.session)
                    turns[event.session], names[event.session] = {}, SpeakerNames()
                if not _knows(labels.setdefault(event.session, set()), event):
                    problems.add(f"there are more than {MAX_LABELS} emotions; what has others is left out")
                    continue
                _add(sessions[event.session], turns[event.session], names[event.session], event)
                events += 1
                if events == MAX_EVENTS:
                    problems.add(f"there are more than {MAX_EVENTS} events; the rest is left out")
                    break
    except OSError as error:
        raise SessionError(f"{path}: {error.strerror}") from error
    found = problems.lines()
    if not sessions:
        raise SessionError(f"{path}: holds no session" + (f" ({found[0]})" if found else ""))
    for name, session in sessions.items():
        session.turns = [_named(turns[name][turn_id], names[name].speaker(turn_id)) for turn_id in sorted(turns[name])]
        session.problems = _missing(session) + found
    return list(sessions.values())


def missing_lines(sessions: Sequence[Session]) -> list[str]:
    """What is missing in sessions of one file, one line each, for every command that reads them to say."""
    common = [problem for problem in sessions[0].problems if all(problem in other.problems for other in sessions)]
    lines = [f"{sessions[0].path}: {problem}" for problem in common]
    for session in sessions:
        own = (problem for problem in session.problems if problem not in common)
        lines += [f"{session.path}: session {session.name}: {problem}" for problem in own]
    more = len(lines) - MAX_MISSING_LINES
    return [*lines[:MAX_MISSING_LINES], f"{sessions[0].path}: {more} more of the kind"] if more > 0 else lines


def _knows(labels: set[str], event: Event) -> bool:
    """Whether the emotions of ``event`` are among the session's ``labels``, or are added to them."""
    match event:
        case Turn():
            named = {event.emotion, *event.probabilities}
        case Correction():
            named = {event.emotion}
        case SessionStarted():
            named = {*event.labels}
        case _:
            return True
    if named <= labels:
        return True
    if len(labels | named) > MAX_LABELS:
        return False
    labels |= named
    return True


def _named(turn: Turn, speaker: str | None) -> Turn:
    return turn if turn.speaker == speaker else slim(turn.model_copy(update={"speaker": speaker}))


def _add(session: Session, turns: dict[int, Turn], names: SpeakerNames, event: Event) -> None:
    match event:
        case Turn():
            known = turns.get(event.turn_id)
            if known is None or event.revision >= known.revision:
                turns[event.turn_id] = event
                names.hear(event.turn_id, event.speaker)
        case SpeakerRenamed(speaker=speaker, name=name) | SpeakersMerged(speaker=speaker, into=name):
            names.rename(speaker, name)
        case SessionStarted():
            session.started = event
        case SessionEnded():
            session.ended = event
        case Mark():
            session.marks.append(event)
        case Correction():
            session.corrections[event.turn_id] = event
        case SourceLostEvent() | SourceRestoredEvent():
            session.losses.append(event)


def _missing(session: Session) -> list[str]:
    missing = []
    if session.started is None:
        missing.append("its beginning is missing: bundle and recogniser are unknown")
    if session.ended is None:
        missing.append("its end is missing: it was cut off, or is still going on")
        skipped = session.turns[-1].turn_id - len(session.turns) if session.turns else 0
        if skipped:
            missing.append(f"{skipped} turns are missing between the others")
    elif session.ended.turns > len(session.turns):
        missing.append(f"{session.ended.turns - len(session.turns)} of its {session.ended.turns} turns are missing")
    known = {turn.turn_id for turn in session.turns}
    orphans = sum(turn_id not in known for turn_id in session.corrections)
    if orphans:
        missing.append(f"{orphans} corrections are of turns that are missing")
    return missing
