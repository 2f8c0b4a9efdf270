"""From a site's turns to how the room and its speakers sound: pure, bounded, and true to later revisions of a turn.

The last ``MAX_REMEMBERED_TURNS`` turns can still be revised. What came before them is summed up once; the rest is
counted anew, as it is known now, whenever one of them changes.
"""

from __future__ import annotations

import bisect
import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from emotrack.models.labels import canonical
from emotrack.tracker.events import Event, SessionStarted, SpeakerRenamed, SpeakersMerged, Turn
from emotrack.tracker.mqtt.format.payloads import (
    MAX_NAME_CHARS,
    MAX_REMEMBERED_TURNS,
    MAX_SPEAKERS,
    RememberedTurn,
    Shift,
    SpeakerState,
    State,
    Trend,
)
from emotrack.tracker.summary import shifts
from emotrack.tracker.summary.mood import Mood, believed

QUICK_HALF_LIFE_S: Final = 30.0
"""Where the mood is going is told by one that fades twice as quickly."""
TREND_FROM: Final = 0.15
"""The two must differ by this much for a trend, in pleasantness from -1 to 1 ..."""
STEADY_BELOW: Final = 0.08
"""... and by no more than this for it to be over."""

_PLEASANT: Final = frozenset({"joy", "positive"})
_UNPLEASANT: Final = frozenset({"anger", "sadness", "disgust", "fear", "negative", "frustrated", "frustration"})


def pleasantness(probabilities: Mapping[str, float]) -> float:
    """The pleasant emotions' share less the unpleasant ones', -1 to 1; neutral and surprise count for neither."""
    difference = sum(share * _sign(label) for label, share in probabilities.items())
    return max(-1.0, min(1.0, difference))  # shares that are rounded may add up to more than 1


def _sign(label: str) -> int:
    emotion = canonical(label) or label.lower()
    return (emotion in _PLEASANT) - (emotion in _UNPLEASANT)


@dataclass(slots=True)
class _Figure:
    """What the turns of a room or of one speaker add up to."""

    watch: shifts.ShiftWatch
    quick_mood: Mood = field(default_factory=lambda: Mood(QUICK_HALF_LIFE_S))
    trend: Trend = "steady"
    turns: int = 0
    latest: RememberedTurn | None = None
    shift: shifts.MoodShift | None = None
    """The latest one."""

    def add(self, turn: RememberedTurn) -> None:
        """Count a turn that came after the others."""
        heard = shifts.TurnMood(turn.turn_id, turn.start_s, turn.end_s, turn.speaker, believed(turn))
        self.shift = next(iter(self.watch.add(heard)), self.shift)
        self.quick_mood.add(believed(turn), turn.start_s, turn.end_s)
        self.trend = self._trend()
        self.turns += 1
        self.latest = turn

    def join(self, earlier: _Figure) -> None:
        """Count the turns of another figure, too; of what only one of the two can tell, this one's stands."""
        self.watch.mood.join(earlier.watch.mood)
        self.quick_mood.join(earlier.quick_mood)
        self.turns += earlier.turns

    @property
    def last_turn(self) -> int:
        """The id of the latest turn."""
        return self.latest.turn_id if self.latest else 0

    @property
    def mood(self) -> dict[str, float]:
        return self.watch.mood.probabilities

    def _trend(self) -> Trend:
        if not (self.mood and self.quick_mood.probabilities):
            return "steady"
        change = pleasantness(self.quick_mood.probabilities) - pleasantness(self.mood)
        going: Trend = "improving" if change > 0 else "worsening"
        if abs(change) >= TREND_FROM:
            return going
        return going if self.trend == going and abs(change) > STEADY_BELOW else "steady"


class SiteState:
    """How one site sounds: events in, what has changed out."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._session: str | None = None
        self._reset()

    @property
    def speakers(self) -> list[str]:
        """Everybody who has a state in this session."""
        return [speaker for speaker in self._now if speaker is not None]

    def has(self, speaker: str) -> bool:
        """Whether somebody has a state."""
        return speaker in self._now

    def forget(self, time: datetime) -> State:
        """Begin anew within the session; how the room then stands."""
        self._reset()
        return self._room(time)

    def _reset(self) -> None:
        self._recent: list[RememberedTurn] = []
        self._summed_up_to = 0
        self._summed: dict[str | None, _Figure] = {}
        """Of the turns that can no longer be revised; None is the room."""
        self._now: dict[str | None, _Figure] = {None: _Figure(shifts.ShiftWatch(None))}
        self._settled: dict[str | None, str | None] = {}
        """The emotion that whoever listens believes to be the lasting one."""

    def apply(self, event: Event) -> list[State | SpeakerState | Shift]:
        """Take in an event of the site; the payloads that it changes, in the order in which to send them."""
        match event:
            case SpeakerRenamed(speaker=speaker, name=name) | SpeakersMerged(speaker=speaker, into=name):
                return self._rename(speaker[:MAX_NAME_CHARS], name[:MAX_NAME_CHARS], event.time)
            case SessionStarted() | Turn():
                pass
            case _:
                return []
        if event.session != self._session:
            self._reset()
            self._session = event.session
        if isinstance(event, SessionStarted):
            return [self._room(event.time)]
        affected = self._remember(_remembered(event))
        changed = self._changed(affected, event.time)
        return changed + [shift for speaker in affected if (shift := self._shift(speaker, event))]

    def dump(self) -> tuple[RememberedTurn, ...]:
        """What ``restore`` needs elsewhere to go on from here."""
        return tuple(self._recent)

    def restore(self, session: str, turns: Iterable[RememberedTurn]) -> None:
        """Go on with a session whose latest turns another tracker has counted."""
        self._reset()
        self._session = session
        for speaker in {speaker for turn in turns for speaker in self._remember(turn)}:
            self._count_anew(speaker)
            self._settled[speaker] = self._now[speaker].watch.settled

    def _remember(self, turn: RememberedTurn) -> list[str | None]:
        """Keep a turn as it is known now; whose figures that changes, the room first."""
        index = bisect.bisect_left(self._recent, turn.turn_id, key=lambda kept: kept.turn_id)
        kept = self._recent[index] if index < len(self._recent) else None
        if kept is not None and kept.turn_id == turn.turn_id:
            if turn.revision <= kept.revision:
                return []
            self._recent[index] = turn
            return self._known(kept.speaker, turn.speaker)
        if turn.turn_id <= self._summed_up_to:
            return []
        self._recent.insert(index, turn)
        if len(self._recent) > MAX_REMEMBERED_TURNS:
            oldest = self._recent.pop(0)
            self._summed_up_to = oldest.turn_id
            for speaker in self._known(oldest.speaker):
                self._summed.setdefault(speaker, _Figure(shifts.ShiftWatch(speaker))).add(oldest)
        return self._known(turn.speaker)

    def _rename(self, speaker: str, name: str, time: datetime) -> list[State | SpeakerState | Shift]:
        """Count all turns of a speaker as those of another name."""
        if speaker == name or speaker not in self._now:
            return []
        self._recent = [
            turn.model_copy(update={"speaker": name}) if turn.speaker == speaker else turn for turn in self._recent
        ]
        summed = [figure for who in (speaker, name) if (figure := self._summed.pop(who, None)) is not None]
        if summed:
            *earlier, latest = sorted(summed, key=lambda figure: figure.last_turn)
            for figure in earlier:
                latest.join(figure)
            latest.watch.speaker = name
            self._summed[name] = latest
        settled = self._settled.pop(speaker, None)
        self._settled.setdefault(name, settled)
        del self._now[speaker]
        return self._changed([None, name], time)

    def _changed(self, affected: Iterable[str | None], time: datetime) -> list[State | SpeakerState | Shift]:
        """How the room and speakers stand now; those of whom no turn is left stand nowhere."""
        changed: list[State | SpeakerState | Shift] = []
        for speaker in affected:
            self._count_anew(speaker)
            if speaker is None:
                changed.append(self._room(time))
            elif self._now[speaker].turns:
                changed.append(self._speaker(speaker, time))
            else:
                del self._now[speaker]
                self._settled.pop(speaker, None)
        return changed

    def _known(self, *speakers: str | None) -> list[str | None]:
        """The room and those speakers who have, or now get, figures of their own."""
        known = {s: None for s in speakers if s in self._now or len(self._now) <= MAX_SPEAKERS}
        return list({None: None} | known)

    def _count_anew(self, speaker: str | None) -> None:
        figure = (
            copy.deepcopy(self._summed[speaker]) if speaker in self._summed else _Figure(shifts.ShiftWatch(speaker))
        )
        for turn in self._recent:
            if speaker is None or turn.speaker == speaker:
                figure.add(turn)
        self._now[speaker] = figure

    def _shift(self, speaker: str | None, event: Turn) -> Shift | None:
        """The change of the lasting emotion, if there is one; a revision may also take one back."""
        if (figure := self._now.get(speaker)) is None:
            return None
        before, after = self._settled.get(speaker), figure.watch.settled
        self._settled[speaker] = after
        if before is None or after is None or before == after:
            return None
        if figure.shift is not None and figure.shift.after == after:
            turn_id, at_s = figure.shift.turn_id, figure.shift.at_s
        else:  # a revision has taken the latest shift back
            turn_id, at_s = event.turn_id, event.end_s
        return Shift(**self._stamp(event.time), speaker=speaker, turn_id=turn_id, at_s=at_s, before=before, after=after)

    def _room(self, time: datetime) -> State:
        latest = self._now[None].latest
        return State(**self._stamp(time), **_standing(self._now[None]), speaker=latest.speaker if latest else None)

    def _speaker(self, speaker: str, time: datetime) -> SpeakerState:
        return SpeakerState(**self._stamp(time), **_standing(self._now[speaker]), speaker=speaker)

    def _stamp(self, time: datetime) -> dict[str, Any]:
        return {"site": self._site, "session": self._session, "time": time}


def _remembered(turn: Turn) -> RememberedTurn:
    values = {name: getattr(turn, name) for name in RememberedTurn.model_fields}
    return RememberedTurn(**values | {"speaker": (turn.speaker or "")[:MAX_NAME_CHARS] or None})


def _standing(figure: _Figure) -> dict[str, Any]:
    """What a room's and a speaker's state have in common."""
    turn = figure.latest
    return {
        "turn_id": turn.turn_id if turn else None,
        "revision": turn.revision if turn else 0,
        "at_s": turn.end_s if turn else None,
        "emotion": turn.emotion if turn else None,
        "confidence": turn.confidence if turn else None,
        "uncertain": turn.uncertain if turn else False,
        "doubt": turn.doubt if turn else None,
        "valence": turn.valence if turn else None,
        "arousal": turn.arousal if turn else None,
        "mood": figure.watch.mood.label,
        "mood_probabilities": figure.mood,
        "pleasantness": pleasantness(figure.mood) if figure.mood else None,
        "trend": figure.trend,
        "turns": figure.turns,
    }
