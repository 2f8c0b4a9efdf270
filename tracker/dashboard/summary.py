"""What is left on the terminal after a session."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment

from emotrack.tracker.dashboard.frame import Line, Row, bar, wrap
from emotrack.tracker.dashboard.palette import FAINT_LINE, QUIET, STRONG, TITLE, WARNING, look
from emotrack.tracker.dashboard.state import MAX_SPEAKERS, DashboardState
from emotrack.tracker.events import SpeculationShare
from emotrack.tracker.messages.plain import plain
from emotrack.tracker.messages.wording import clock, counted

MAX_WIDTH = 100
_NAME = 14  # cells for a speaker's or an emotion's name
_FACT = 10
_NOTICE_LINES = 3


class Summary:
    """The session in a page, as wide as the terminal but no wider than reads well."""

    def __init__(self, state: DashboardState) -> None:
        self._state = state

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._lines(min(MAX_WIDTH, options.max_width)):
            yield from line
            yield Segment.line()

    def _lines(self, width: int) -> list[Line]:
        state = self._state
        head = Row(width).add("── ", FAINT_LINE).add("emotrack", TITLE).add(f"  {state.site} ", QUIET)
        lines = [head.add("─" * head.room, FAINT_LINE).line(), *_facts(state, width)]
        if state.turn_count:
            lines += [Row(width).line(), *_emotions(state, width), Row(width).line(), *_speakers(state, width)]
        if state.notices:
            for notice in state.notices:
                first, *more = wrap(notice, width - 2, _NOTICE_LINES)
                lines.append(Row(width).add("▸ ", WARNING).add(first).line())
                lines += [Row(width).gap(2).add(line).line() for line in more]
        return lines


def summary(state: DashboardState) -> Summary:
    """The session's duration, emotions, speakers, mood, latency, losses, last notices, and where it was saved."""
    return Summary(state)


def _facts(state: DashboardState, width: int) -> list[Line]:
    ended = state.ended
    seconds = ended.seconds if ended else state.stream_s
    unsure = f", {state.uncertain_count} of them not sure" if state.uncertain_count else ""
    marks = f", {counted(state.marks, 'mark')}" if state.marks else ""
    facts = [("Listened", clock(seconds))]
    if state.playback is not None:
        facts = [("Replayed", f"up to {clock(state.stream_s)} of {clock(state.playback.length_s)}")]
    facts += [("Turns", f"{state.turn_count}{unsure}{marks}")]
    mood = plain(ended.mood) if ended and ended.mood else next(iter(state.mood()), None)
    if mood:
        facts.append(("Mood", f"{mood} in the latest turns"))
    elif state.turn_count:
        facts.append(("Mood", "too little was heard of what is certain"))
    if (latency := _latency(state)) is not None:
        facts.append(("Latency", latency))
    if ended and ended.speculation and (at_pauses := _at_pauses(ended.speculation)):
        facts.append(("At pauses", at_pauses))
    facts.append(("Dropped", _dropped(state)))
    if state.playback is not None:
        facts.append(("Session", plain(state.playback.file)))
    else:
        facts.append(("Saved to", plain(state.saved_to)) if state.saved_to else ("Recorded", "nothing"))
    return [Row(width).add(name, QUIET, _FACT).add(value).line() for name, value in facts]


def _latency(state: DashboardState) -> str | None:
    p50, p95 = state.latency_ms(50), state.latency_ms(95)
    if state.ended and (whole := state.ended.latency_ms.get("after_end")):
        p50, p95 = whole.p50, whole.p95
    return None if p50 is None or p95 is None else f"p50 {p50:.0f} ms, p95 {p95:.0f} ms after the end of a turn"


def _at_pauses(share: SpeculationShare) -> str | None:
    """How much of the work was begun before a turn had ended, and how much of that was in vain."""
    if not share.kept + share.wasted:
        return None
    spent = share.kept_s + share.wasted_s or 1.0
    wasted = f"{share.wasted} in vain ({share.wasted_s / spent:.0%} of that work)" if share.wasted else "none in vain"
    return f"{counted(share.kept + share.wasted, 'turn')} begun early, {wasted}"


def _dropped(state: DashboardState) -> str:
    known = state.ended or state
    lost = ((known.dropped_frames, "audio block"), (known.dropped_turns, "turn"))
    words = [counted(count, what) for count, what in lost if count]
    if known.text_skipped:
        words.append(f"the words of {counted(known.text_skipped, 'turn')}")
    return ", ".join(words) or "nothing"


def _emotions(state: DashboardState, width: int) -> list[Line]:
    most = max(state.emotions.values())
    lines = []
    for emotion, count in state.emotions.most_common():
        seen = look(emotion)
        row = Row(width).add(f" {seen.letter} ", seen.block).gap().add(emotion, STRONG, _NAME)
        row.add(f"{count}", None, 6, right=True).add(f"{count / state.turn_count:.0%}", QUIET, 6, right=True).gap(2)
        lines.append(row.add(bar(count / most, min(50, row.room)), seen.fill).line())
    return lines


def _speakers(state: DashboardState, width: int) -> list[Line]:
    lines = []
    by_turns = sorted(state.speakers.items(), key=lambda item: -item[1].turns)
    for name, tally in by_turns[: MAX_SPEAKERS + 1]:
        row = Row(width).gap(4).add(name or "unknown", STRONG if name else QUIET, _NAME)
        row.add(f"{tally.turns}", None, 6, right=True).gap(2)
        for emotion, count in tally.emotions.most_common():
            words = f"{emotion} {count}"
            if row.room < len(words) + 4:
                row.add(" …", QUIET)
                break
            row.add(look(emotion).letter, look(emotion).ink + STRONG).add(f" {words}  ")
        lines.append(row.line())
    return lines
