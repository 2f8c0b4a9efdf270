"""A session as the report sees it: turns with a final emotion, emotions with a look, speakers with a lane."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from emotrack.tracker.dashboard.palette import GREY, look
from emotrack.tracker.events import Turn
from emotrack.tracker.messages.plain import plain_document
from emotrack.tracker.messages.wording import TOLD_OVERLAP, affect, doubted
from emotrack.tracker.sessions.reading.reader import Session
from emotrack.tracker.sessions.report.colours import DARK_LANE, letters
from emotrack.tracker.sessions.report.wording import percent
from emotrack.tracker.summary.mood import believed
from emotrack.tracker.summary.shifts import MoodShift, TurnMood, find_shifts

MAX_DRAWN = 20_000  # turns that are drawn and written out one by one: a browser takes no more with good grace
MAX_LANES = 12  # further speakers share the last lane
MAX_TURN_S = 600.0  # a turn that claims more is drawn this long
_STRENGTHS = (0.4, 0.55, 0.7, 0.85)  # confidence is drawn in five steps


@dataclass(frozen=True, slots=True)
class LabelStyle:
    """An emotion and how it looks."""

    key: str
    """As the session has it."""
    name: str
    """As the page shows it."""
    css: str
    """Its class on the page."""
    letter: str
    colour: str
    dark_letters: tuple[str, ...]
    """The colour of its letter on a dark page, for every step of confidence; on a light one it is black."""


@dataclass(frozen=True, slots=True)
class SeenTurn:
    """A turn with what a person may have said of it."""

    turn: Turn
    label: LabelStyle
    """The person's label where there is one, else the estimate."""
    estimate: LabelStyle
    corrected: bool
    speaker: str | None
    start_s: float
    end_s: float

    @property
    def id(self) -> int:
        return self.turn.turn_id

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s

    @property
    def uncertain(self) -> bool:
        return self.turn.uncertain and not self.corrected

    @property
    def doubt(self) -> str:
        """Why the estimate is not to be relied on; empty for no reason, and where a person has corrected it."""
        return "" if self.corrected else doubted(self.turn.doubt)

    @property
    def affect(self) -> str:
        """How pleasant and how aroused it sounds; empty for neither, and where a person has corrected the estimate."""
        return "" if self.corrected else affect(self.turn.valence, self.turn.arousal)

    @property
    def overlapped(self) -> str:
        """How much of it others speak in, where that is worth telling; else empty."""
        overlap = self.turn.overlap or 0.0
        return percent(overlap) if overlap >= TOLD_OVERLAP else ""

    @property
    def strength(self) -> int:
        """1 to 5: how strongly the colour is laid on."""
        return 5 if self.corrected else 1 + sum(self.turn.confidence >= step for step in _STRENGTHS)

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Of the emotions; a person's word is certain."""
        return {self.label.key: 1.0} if self.corrected else self.turn.probabilities


class View:
    """Everything that several parts of the page need of a session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._labels: dict[str, LabelStyle] = {}
        for name in session.labels:
            self.label(name)
        self.turns = [self._seen(turn) for turn in session.turns]
        self.drawn = self.turns[:MAX_DRAWN]
        """Those that have a place on the page; all count in its figures."""

    def label(self, name: str) -> LabelStyle:
        """The label of a name, also of one that the bundle does not know."""
        found = self._labels.get(name)
        if found is None:
            seen = look(name)
            colour = seen.fill.color.get_truecolor().hex if seen.fill.color is not None else GREY
            shown = plain_document(name) or "unnamed"
            found = self._labels[name] = LabelStyle(
                name, shown, f"e{len(self._labels)}", seen.letter, colour, letters(colour, DARK_LANE)
            )
        return found

    def draws(self, turn_id: int) -> bool:
        """Whether that turn has a place on the page."""
        return bool(self.drawn) and turn_id <= self.drawn[-1].id

    @property
    def labels(self) -> list[LabelStyle]:
        """The bundle's labels in its order, then others as they came up."""
        return list(self._labels.values())

    @cached_property
    def used(self) -> list[LabelStyle]:
        """The labels that some turn has, or that the bundle knows where they are few."""
        counts = Counter(turn.label.css for turn in self.turns)
        counts.update(turn.estimate.css for turn in self.turns)
        few = {label.css for label in self.labels[:12]}
        return [label for label in self.labels if counts[label.css] or label.css in few]

    @cached_property
    def seconds(self) -> float:
        """The length of the time axis: all that was listened to, and every turn and moment in it."""
        session = self.session
        known = [session.seconds, *(turn.end_s for turn in self.turns)]
        known += [event.at_s for event in (*session.marks, *session.losses)]
        return max([1.0, *(second for second in known if math.isfinite(second))])

    @cached_property
    def lanes(self) -> list[str | None]:
        """Who has a lane of their own, in the order in which they first spoke."""
        spoken: Counter[str | None] = Counter()
        for turn in self.turns:
            spoken[turn.speaker] += round(turn.seconds * 1000)
        if len(spoken) <= MAX_LANES:
            return list(spoken)
        loudest = {speaker for speaker, _ in spoken.most_common(MAX_LANES - 1)}
        return [speaker for speaker in spoken if speaker in loudest]

    @cached_property
    def lane_names(self) -> list[str]:
        names = [self.name(speaker) for speaker in self.lanes]
        return [*names, "others"] if self.crowded else names

    @cached_property
    def crowded(self) -> bool:
        """True when some speakers share a lane."""
        return len({turn.speaker for turn in self.turns}) > len(self.lanes)

    @cached_property
    def lane_of(self) -> dict[str | None, int]:
        return {speaker: number for number, speaker in enumerate(self.lanes)}

    def lane(self, turn: SeenTurn) -> int:
        return self.lane_of.get(turn.speaker, len(self.lanes))

    @staticmethod
    def name(speaker: str | None) -> str:
        return "unknown speaker" if speaker is None else plain_document(speaker) or "unnamed"

    @cached_property
    def shifts(self) -> list[MoodShift]:
        return find_shifts(
            TurnMood(turn.id, turn.start_s, turn.end_s, turn.speaker, believed(turn)) for turn in self.turns
        )

    def _seen(self, turn: Turn) -> SeenTurn:
        correction = self.session.corrections.get(turn.turn_id)
        start = turn.start_s if math.isfinite(turn.start_s) else 0.0
        end = turn.end_s if math.isfinite(turn.end_s) else start
        return SeenTurn(
            turn=turn,
            label=self.label(self.session.emotion(turn)),
            estimate=self.label(turn.emotion),
            corrected=correction is not None,
            speaker=turn.speaker,
            start_s=start,
            end_s=min(max(start, end), start + MAX_TURN_S),
        )
