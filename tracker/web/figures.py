"""What a viewer knows of a session, from the same picture that the dashboard draws, as a message for the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from emotrack.tracker.dashboard.palette import ALARM, look
from emotrack.tracker.dashboard.state import NOTICE_CHARS, DashboardState
from emotrack.tracker.dashboard.view import LISTENING, state_chip
from emotrack.tracker.messages.plain import plain
from emotrack.tracker.session.status import Status
from emotrack.tracker.sessions.report.colours import DARK_LANE, letters
from emotrack.tracker.sessions.report.wording import file_name, without_folders
from emotrack.tracker.web.messages import Figures, LabelLook, SpeakerFigure

MAX_LABELS = 64
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class _Known:
    """What only events change."""

    events: object
    mood: dict[str, float]
    speakers: tuple[SpeakerFigure, ...]
    p50_ms: float | None
    p95_ms: float | None

    @classmethod
    def of(cls, state: DashboardState, events: object) -> _Known:
        mood = {label: round(share, _DIGITS) for label, share in state.mood().items()}
        return cls(events, mood, tuple(_speakers(state)), state.latency_ms(50), state.latency_ms(95))


class FiguresOf:
    """The figures of one session; what only events change is worked out when there was one."""

    def __init__(self, kept: str, *, microphone: bool = False) -> None:
        """``kept`` says what is recorded, ``microphone`` whether a browser is to be the microphone."""
        self._kept = kept
        self._has_microphone = microphone
        self._known: _Known | None = None

    def now(
        self, state: DashboardState, status: Status, events: object, notice: str | None, *, is_connected: bool = False
    ) -> Figures:
        """The figures; ``events`` is another one as soon as there was an event."""
        words, style = state_chip(state, status)
        if self._has_microphone and not is_connected and words == LISTENING:
            words = "○ no microphone"
        if self._known is None or self._known.events != events:
            self._known = _Known.of(state, events)
        known = self._known
        started = state.started
        microphone: Literal["none", "wanted", "connected"] = "connected" if is_connected else "wanted"
        return Figures(
            site=state.site,
            doing=words,
            is_alarm=style == ALARM,
            source=file_name(started.source) if started else None,
            recogniser=without_folders(started.recogniser) if started and started.recogniser else None,
            bundle=without_folders(started.bundle.name) if started else None,
            stream_s=round(status.stream_s, 1),
            levels_dbfs=tuple(round(level) for level in status.levels_dbfs),
            speaking=status.speaking,
            thinking=status.thinking,
            paused=status.paused,
            source_lost=state.lost_reason or "it delivers nothing" if status.source_lost else None,
            left_out=status.left_out,
            dropped_frames=status.dropped_frames,
            dropped_turns=status.dropped_turns,
            text_skipped=status.text_skipped,
            turns=state.turn_count,
            uncertain=state.uncertain_count,
            marks=state.marks,
            latest_ms=state.last_after_end_ms,
            p50_ms=known.p50_ms,
            p95_ms=known.p95_ms,
            mood=known.mood,
            speakers=known.speakers,
            labels=looks([*state.labels, *state.emotions]),
            notice=plain(without_folders(notice), NOTICE_CHARS) if notice else None,
            kept=self._kept,
            told=started is not None and started.notice_given,
            microphone=microphone if self._has_microphone else "none",
        )


def looks(labels: Iterable[str]) -> tuple[LabelLook, ...]:
    """How the labels look, on every page of emotrack."""
    return tuple(_look(label) for label in list(dict.fromkeys(labels))[:MAX_LABELS])


@cache
def _look(label: str) -> LabelLook:
    seen = look(label)
    colour = seen.fill.color.get_truecolor().hex if seen.fill.color is not None else "#a3a3a3"
    return LabelLook(name=label, letter=seen.letter, colour=colour, dark_letters=letters(colour, DARK_LANE))


def _speakers(state: DashboardState) -> Iterable[SpeakerFigure]:
    """Who spoke, in the order of their rows."""
    named = {turn.row: turn.named for turn in state.turns if turn.row == turn.speaker}
    for name, tally in state.speakers.items():
        emotions = dict(tally.emotions.most_common(MAX_LABELS))
        yield SpeakerFigure(name=name, speaker=named.get(name), turns=tally.turns, emotions=emotions)
