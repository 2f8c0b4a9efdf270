"""What the dashboard knows of a session: bounded, and changed by events only."""

from __future__ import annotations

import bisect
import copy
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from emotrack.tracker.dashboard.naming import MAX_CHOICES, Naming, Speaker
from emotrack.tracker.events import (
    Correction,
    Event,
    Mark,
    OverloadEvent,
    Provisional,
    SessionEnded,
    SessionStarted,
    SourceLostEvent,
    SourceRestoredEvent,
    SpeakerRenamed,
    SpeakersMerged,
    Turn,
)
from emotrack.tracker.messages.plain import plain
from emotrack.tracker.messages.wording import affect, doubted
from emotrack.tracker.session.status import Status
from emotrack.tracker.site import DEFAULT_SITE
from emotrack.tracker.summary.mood import Mood, believed
from emotrack.tracker.summary.percentile import percentile

KEEP_TURNS = 1000  # turns the screen can look back on
KEEP_NOTES = 50
KEEP_NOTICES = 5
KEEP_LATENCIES = 1000  # the percentiles are over so many turns
MAX_SPEAKERS = 12  # further ones share the row OTHERS
OTHERS = "others"
MOOD_TURNS = 200  # older ones have faded from the mood
NAME_CHARS = 40
REASON_CHARS = 60
NOTICE_CHARS = 200


@dataclass(frozen=True, slots=True)
class ShownTurn:
    """A turn as the screen shows it; its words are already harmless."""

    turn_id: int
    revision: int
    start_s: float
    end_s: float
    speaker: str | None
    row: str | None
    """The speaker's row in the timeline: the name, OTHERS, or null for an unknown speaker."""
    text: str | None
    text_rejected: str | None
    emotion: str
    confidence: float
    uncertain: bool
    probabilities: Mapping[str, float]
    truncated: bool
    named: str | None = None
    """The speaker's name as events have it."""
    doubt: str = ""
    """Why the estimate is not to be relied on, in a few words; empty for no reason."""
    overlap: float = 0.0
    """How much of it others speak in; 0 where nobody looked."""
    affect: str = ""
    """How pleasant and how aroused it sounds; empty for neither, and where a person has corrected the estimate."""
    corrected: bool = False
    """The emotion is what a person said, not the estimate."""


@dataclass(frozen=True, slots=True)
class ShownProvisional:
    """How a turn that still goes on sounds so far."""

    start_s: float
    at_s: float
    speaker: str | None
    emotion: str
    confidence: float
    uncertain: bool
    probabilities: Mapping[str, float]
    affect: str = ""
    """How pleasant and how aroused it sounds; empty for neither."""

    def is_over(self, turn: ShownTurn) -> bool:
        """Whether it was a look at ``turn``, which has ended, or at what proved to be none."""
        return self.at_s <= (turn.end_s if self.speaker in {turn.speaker, None} else turn.start_s)


@dataclass(frozen=True, slots=True)
class Note:
    """Something other than a turn that belongs between two turns: a mark, a lost or restored source."""

    after_turn: int
    at_s: float
    text: str
    alarm: bool = False


@dataclass(slots=True)
class SpeakerTally:
    """What one speaker has shown so far."""

    turns: int = 0
    last_turn: int = 0
    emotions: Counter[str] = field(default_factory=Counter)

    def join(self, other: SpeakerTally) -> None:
        """Count the turns of another speaker, too."""
        self.turns += other.turns
        self.last_turn = max(self.last_turn, other.last_turn)
        self.emotions += other.emotions


@dataclass(slots=True)
class Playback:
    """How a saved session is being shown again; where it stands is the status's stream time."""

    file: str
    length_s: float
    speed: float
    marks_s: tuple[float, ...] = ()


@dataclass(slots=True)
class Watching:
    """How a session elsewhere is shown from the topics of a broker."""

    broker: str
    place: str = ""
    """Which of the watched sites it is, as in ``2 of 4``; empty for the only one."""
    problem: str | None = None
    """Why what is shown may be out of date, in a few words."""
    mood: Mapping[str, float] = field(default_factory=dict)
    """The mood as it was published, which turns from before the watching count for too."""


@dataclass(slots=True)
class DashboardState:
    """The picture of a session that ``render`` and ``summary`` draw."""

    site: str = DEFAULT_SITE
    saved_to: str | None = None
    keep_turns: int = KEEP_TURNS
    playback: Playback | None = None
    """Set where the session is a saved one that is replayed."""
    watching: Watching | None = None
    """Set where the session runs elsewhere."""

    started: SessionStarted | None = None
    ended: SessionEnded | None = None
    notice: str | None = None
    """The line that is meant for the person at the screen now."""
    stopping: bool = False
    """The person asked to stop; the turn under way is being finished."""
    naming: Naming | None = None
    """What the person is asked who is about to name a speaker."""
    lost_reason: str | None = None
    turns: list[ShownTurn] = field(default_factory=list)
    """The latest turns, in the order of their ids."""
    under_way: dict[int, ShownProvisional] = field(default_factory=dict)
    """The turn that still goes on, or has just ended, of each channel."""
    notes: deque[Note] = field(default_factory=lambda: deque(maxlen=KEEP_NOTES))
    notices: deque[str] = field(default_factory=lambda: deque(maxlen=KEEP_NOTICES))
    turn_count: int = 0
    uncertain_count: int = 0
    marks: int = 0
    emotions: Counter[str] = field(default_factory=Counter)
    speakers: dict[str | None, SpeakerTally] = field(default_factory=dict)
    last_after_end_ms: float | None = None
    after_end_ms: deque[float] = field(default_factory=lambda: deque(maxlen=KEEP_LATENCIES))
    stream_s: float = 0.0
    dropped_frames: int = 0
    dropped_turns: int = 0
    text_skipped: int = 0
    _forgotten_up_to: int = 0

    def __post_init__(self) -> None:
        self.site = plain(self.site, NAME_CHARS)

    def apply(self, event: Event) -> None:
        """Take one event of the session into the picture."""
        match event:
            case Turn():
                self._apply_turn(event)
            case Provisional():
                self._apply_provisional(event)
            case Correction():
                self._apply_correction(event)
            case SessionStarted():
                self.started = event
            case SessionEnded():
                self.ended = event
            case SourceLostEvent() | SourceRestoredEvent():
                self._apply_loss(event)
            case OverloadEvent():
                self._apply_overload(event)
            case SpeakerRenamed(speaker=speaker, name=name) | SpeakersMerged(speaker=speaker, into=name):
                self._rename(speaker, name, "proved to be" if isinstance(event, SpeakersMerged) else "is called")
            case Mark():
                self.marks += 1
                self.note(event.at_s, f"mark {self.marks}")

    def before_any_event(self) -> DashboardState:
        """The same session as it was before its first event."""
        kept = self.site, self.saved_to, self.keep_turns, self.playback, self.watching
        return DashboardState(*kept, notice=self.notice)

    def copy(self) -> DashboardState:
        """The same picture, which no later event changes."""
        return copy.deepcopy(self, {id(shared): shared for shared in (self.playback, self.watching)})

    def observe(self, status: Status) -> None:
        """Remember from the live figures what the summary will want after the session."""
        self.stream_s = max(self.stream_s, status.stream_s)
        self.dropped_frames = status.dropped_frames
        self.dropped_turns = status.dropped_turns
        self.text_skipped = status.text_skipped
        if self.notice:
            self.tell(self.notice)

    def tell(self, line: str) -> None:
        """Remember a notice for the summary."""
        notice = plain(line, NOTICE_CHARS)
        if notice and notice not in self.notices:
            self.notices.append(notice)

    @property
    def labels(self) -> tuple[str, ...]:
        """The bundle's labels in its own order, or those seen so far."""
        return tuple(plain(name, NAME_CHARS) for name in self.started.labels) if self.started else tuple(self.emotions)

    def mood(self) -> dict[str, float]:
        """The running mood as each emotion's share, the largest first; empty where too little was heard."""
        shares = self.watching.mood if self.watching else {}
        if not shares:
            mood = Mood()
            for turn in self.turns[-MOOD_TURNS:]:  # from the turns as they are now, so that revisions count
                mood.add({turn.emotion: 1.0} if turn.corrected else believed(turn), turn.start_s, turn.end_s)
            shares = mood.probabilities
        return dict(sorted(shares.items(), key=lambda item: -item[1]))

    def provisional(self, status: Status) -> list[ShownProvisional]:
        """Looks at the turns that still go on or have just ended, the one that began last being the last."""
        seen = [
            shown
            for channel, shown in self.under_way.items()
            if status.thinking or any(status.speaking[channel - 1 : channel])
        ]
        return sorted(seen, key=lambda shown: shown.start_s)

    def latency_ms(self, percent: float) -> float | None:
        """A percentile of the time from the end of a turn to its event."""
        return percentile(self.after_end_ms, percent)

    def latest(self, count: int) -> list[ShownTurn | Note]:
        """The last ``count`` turns and the notes between them, in order."""
        if count <= 0:
            return []
        turns = self.turns[-count:]
        first = turns[0].turn_id if len(turns) < len(self.turns) else 0
        items: list[tuple[int, int, ShownTurn | Note]] = [(turn.turn_id, 0, turn) for turn in turns]
        items += [(note.after_turn, 1, note) for note in self.notes if note.after_turn >= first]
        items.sort(key=lambda item: item[:2])
        return [item for _, _, item in items]

    def note(self, at_s: float, text: str, *, alarm: bool = False) -> None:
        """Say something between the turns so far and those to come; ``text`` must be harmless."""
        after_turn = self.turns[-1].turn_id if self.turns else 0
        self.notes.append(Note(after_turn, at_s, text, alarm))

    def ask_for_name(self) -> None:
        """Ask which of those who spoke last is to get which name; nothing where nobody is known."""
        latest: dict[str, Speaker] = {}
        for turn in reversed(self.turns):
            if turn.speaker is not None and turn.named is not None:
                latest.setdefault(turn.speaker, Speaker(turn.speaker, turn.named))
        recent = list(latest.values())[:MAX_CHOICES]
        if recent:
            rows: list[str | None] = [*self.speakers, *latest]
            in_order = sorted(recent, key=lambda speaker: rows.index(speaker.shown))
            self.naming = Naming(in_order, recent[0])

    def _apply_turn(self, event: Turn) -> None:
        index, shown = self.find(event.turn_id)
        if shown is not None:
            if event.revision >= shown.revision:
                revised = self._shown(event)
                self._replace(index, _corrected(revised, shown.emotion) if shown.corrected else revised)
            return
        if event.turn_id <= self._forgotten_up_to and event.revision > 0:
            return  # a revision of a turn that has left the screen: its first estimate stays counted
        turn = self._shown(event)
        self.under_way = {channel: look for channel, look in self.under_way.items() if not look.is_over(turn)}
        self._count(turn, +1)
        self.last_after_end_ms = event.latency_ms.after_end
        self.after_end_ms.append(event.latency_ms.after_end)
        if event.turn_id > self._forgotten_up_to:
            self.turns.insert(index, turn)
        if len(self.turns) > self.keep_turns:
            self._forgotten_up_to = self.turns.pop(0).turn_id

    def _apply_loss(self, event: SourceLostEvent | SourceRestoredEvent) -> None:
        if isinstance(event, SourceLostEvent):
            self.lost_reason = plain(event.reason, REASON_CHARS)
            self.note(event.at_s, f"source lost: {self.lost_reason}", alarm=True)
        else:
            self.lost_reason = None
            self.note(event.at_s, f"source is back, {event.seconds_lost:.0f} s missing")

    def _apply_overload(self, event: OverloadEvent) -> None:
        left_out = event.left_out.replace("_", " ")
        if event.left_out == "nothing":
            self.note(event.at_s, "the models keep up again")
        else:
            self.note(event.at_s, f"the models cannot keep up: {left_out} left out", alarm=True)

    def _apply_provisional(self, event: Provisional) -> None:
        self.under_way[event.channel] = ShownProvisional(
            start_s=event.start_s,
            at_s=event.at_s,
            speaker=plain(event.speaker, NAME_CHARS) or None if event.speaker else None,
            emotion=plain(event.emotion, NAME_CHARS),
            confidence=event.confidence,
            uncertain=event.uncertain,
            probabilities={plain(name, NAME_CHARS): p for name, p in event.probabilities.items()},
            affect=affect(event.valence, event.arousal),
        )

    def _apply_correction(self, event: Correction) -> None:
        index, shown = self.find(event.turn_id)
        if shown is not None:
            self._replace(index, _corrected(shown, plain(event.emotion, NAME_CHARS)))

    def _rename(self, speaker: str, name: str, how: str) -> None:
        """All turns of a speaker are of another name, those that have left the screen counted too."""
        old, new = plain(speaker, NAME_CHARS), plain(name, NAME_CHARS) or None
        self.note(self._latest_s, f"{old} {how} {new or 'nobody'}")
        if old != new and old in self.speakers:
            if new in self.speakers:
                self.speakers[new].join(self.speakers.pop(old))
            else:
                self.speakers = {new if row == old else row: tally for row, tally in self.speakers.items()}
        for index, turn in enumerate(self.turns):
            if turn.speaker == old:
                renamed = replace(turn, speaker=new, named=name, row=new if new in self.speakers else OTHERS)
                if turn.row == old:
                    self.turns[index] = renamed  # it is counted already
                else:
                    self._replace(index, renamed)
        self.under_way = {
            channel: replace(shown, speaker=new) if shown.speaker == old else shown
            for channel, shown in self.under_way.items()
        }

    @property
    def _latest_s(self) -> float:
        return max(self.stream_s, self.turns[-1].end_s if self.turns else 0.0)

    def _replace(self, index: int, turn: ShownTurn) -> None:
        self._count(turn, +1)  # before the other is taken away, so that a speaker with one turn keeps the row
        self._count(self.turns[index], -1)
        self.turns[index] = turn

    def find(self, turn_id: int) -> tuple[int, ShownTurn | None]:
        """A turn on the screen and its place in ``turns``; without one, the place where it belongs."""
        index = bisect.bisect_left(self.turns, turn_id, key=lambda turn: turn.turn_id)
        found = self.turns[index] if index < len(self.turns) else None
        return index, found if found is not None and found.turn_id == turn_id else None

    def _shown(self, event: Turn) -> ShownTurn:
        speaker = plain(event.speaker, NAME_CHARS) or None if event.speaker else None
        known = speaker in self.speakers or len(self.speakers) < MAX_SPEAKERS
        return ShownTurn(
            turn_id=event.turn_id,
            revision=event.revision,
            start_s=event.start_s,
            end_s=event.end_s,
            speaker=speaker,
            row=speaker if known else OTHERS,
            text=plain(event.text) or None if event.text else None,
            text_rejected=plain(event.text_rejected, REASON_CHARS).replace("_", " ") if event.text_rejected else None,
            emotion=plain(event.emotion, NAME_CHARS),
            confidence=event.confidence,
            uncertain=event.uncertain,
            probabilities={plain(name, NAME_CHARS): p for name, p in event.probabilities.items()},
            truncated=event.truncated,
            named=event.speaker,
            doubt=doubted(event.doubt),
            overlap=event.overlap or 0.0,
            affect=affect(event.valence, event.arousal),
        )

    def _count(self, turn: ShownTurn, step: int) -> None:
        tally = self.speakers.setdefault(turn.row, SpeakerTally())
        tally.turns += step
        tally.emotions[turn.emotion] += step
        tally.last_turn = max(tally.last_turn, turn.turn_id)
        self.turn_count += step
        self.uncertain_count += step * turn.uncertain
        self.emotions[turn.emotion] += step
        for counts in (tally.emotions, self.emotions):
            if not counts[turn.emotion]:
                del counts[turn.emotion]
        if not tally.turns:
            del self.speakers[turn.row]


def _corrected(turn: ShownTurn, emotion: str) -> ShownTurn:
    """What a person said stands, whatever the estimate."""
    return replace(turn, emotion=emotion, uncertain=False, affect="", corrected=True)
