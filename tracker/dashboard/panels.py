"""The parts of the dashboard, each a function from the state to lines of a given size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from rich.style import Style

from emotrack.tracker.dashboard.frame import Line, Row, bar, crop, wrap
from emotrack.tracker.dashboard.naming import Naming
from emotrack.tracker.dashboard.palette import BAR_STRONG, GREEN, QUIET, SKY, STRONG, VERMILLION, WARNING, look
from emotrack.tracker.dashboard.state import DashboardState, Note, Playback, ShownProvisional, ShownTurn
from emotrack.tracker.messages.plain import plain
from emotrack.tracker.messages.wording import TOLD_OVERLAP, clock, counted
from emotrack.tracker.session.status import Status

LEVEL_FLOOR_DBFS = -60.0  # the left end of a meter
LOUD_DBFS = -6.0  # a mean level above this is about to clip
_LISTENING = Style(color=SKY)
_SPEAKING = Style(color=GREEN)
_LOUD = Style(color=VERMILLION, bold=True)
_VOICE_ONLY = Style(dim=True, italic=True)
TOO_LITTLE = "Too little certain for a mood."


def label_width(state: DashboardState) -> int:
    """Cells for an emotion's name: the bundle's longest, within reason."""
    return min(12, max(map(len, state.labels), default=8))


@dataclass(frozen=True, slots=True)
class _Columns:
    """Widths of the transcript's fields before the words; 0 leaves one out."""

    time: int
    speaker: int
    label: int


_CHANNEL = len("speaker 1")  # whose number would be cut off first


def _columns(width: int, label: int) -> _Columns:
    if width >= 70:
        return _Columns(time=7, speaker=_CHANNEL if width < 100 else 14, label=label)
    return _Columns(time=0, speaker=_CHANNEL, label=label) if width >= 48 else _Columns(time=0, speaker=0, label=0)


def transcript(state: DashboardState, status: Status, width: int, height: int) -> list[Line]:
    """The latest turns, the newest last: when, who, which emotion, how sure, and the words; below, who speaks now."""
    label = label_width(state)
    under_way = state.provisional(status)[-max(0, height) :] if height > 0 else []
    if not state.turns and not state.notes and not under_way:
        return _nothing_yet(state, width, height)
    most = 1 if height < 10 else 2 if height < 24 else 3
    lines = [_provisional_line(shown, label, width) for shown in under_way]
    for item in reversed(state.latest(height)):
        room = height - len(lines)
        if room <= 0:
            break
        if isinstance(item, Note):
            lines[:0] = [_note_line(item, width)]
        else:
            lines[:0] = turn_lines(item, label, width, min(most, room))
    return lines


def _nothing_yet(state: DashboardState, width: int, height: int) -> list[Line]:
    if state.playback is not None:
        words = "No turn has ended yet."
    elif state.watching is not None:
        words = "Each turn appears here when it ends."
    else:
        words = "Listening. Each turn appears here when it ends." if state.started else "Getting the models ready …"
    indent = max(0, (width - len(words)) // 2)
    above = [Row(width).line() for _ in range(max(0, (height - 1) // 2))]
    return [*above, Row(width).gap(indent).add(words, QUIET).line()]


def turn_lines(turn: ShownTurn, label: int, width: int, most: int) -> list[Line]:
    """A turn on at most ``most`` lines, its emotion in a field of ``label`` cells where there is room for it."""
    columns = _columns(width, label)
    seen = look(turn.emotion)
    row = _when_and_who(turn, columns, width)
    if turn.uncertain:
        row.add(f" {seen.letter.lower()} ", seen.ink).gap()
        row.add(crop(turn.emotion, columns.label) + "?" if columns.label else "?", QUIET, columns.label + 1)
    else:
        row.add(f" {seen.letter} ", seen.block).gap()
        row.add(crop(turn.emotion, columns.label) + ("✓" if turn.corrected else ""), STRONG, columns.label + 1)
    sure = "" if turn.corrected else f"{turn.confidence:.0%}"
    row.add(sure, QUIET if turn.uncertain else None, 4, right=True).gap(2)
    words, style = _words(turn)
    indent = row.used
    first, *more = wrap(words, row.room, most)
    lines = [row.add(first, style).line()]
    return lines + [Row(width).gap(indent).add(line, style).line() for line in more]


def _when_and_who(said: ShownTurn | ShownProvisional, columns: _Columns, width: int) -> Row:
    """How the row of anything that was said begins."""
    row = Row(width)
    if columns.time:
        row.add(clock(said.start_s), QUIET, columns.time, right=True).gap()
    if columns.speaker:
        row.add(said.speaker or "\N{EN DASH}", STRONG if said.speaker else QUIET, columns.speaker).gap()
    return row


def _provisional_line(shown: ShownProvisional, label: int, width: int) -> Line:
    """A turn that still goes on: small letters, as it is not sure yet."""
    columns = _columns(width, label)
    seen = look(shown.emotion)
    row = _when_and_who(shown, columns, width)
    row.add(f" {seen.letter.lower()} ", seen.ink).gap()
    row.add(crop(shown.emotion, columns.label) + "…", QUIET, columns.label + 1)
    row.add(f"{shown.confidence:.0%}", QUIET, 4, right=True).gap(2)
    return row.add("so far, by the voice", _VOICE_ONLY).line()


def _words(turn: ShownTurn) -> tuple[str, Style | None]:
    marks = " [cut]" if turn.truncated else ""
    if turn.overlap >= TOLD_OVERLAP:
        marks += f" [overlap {turn.overlap:.0%}]"
    if turn.doubt and not turn.corrected:
        marks += f" [{turn.doubt}]"
    if turn.text is not None:
        return turn.text + marks, None
    reason = f" ({turn.text_rejected})" if turn.text_rejected else ""
    return f"voice only{reason}{marks}", _VOICE_ONLY


def _note_line(note: Note, width: int) -> Line:
    style = WARNING if note.alarm else _LISTENING
    row = Row(width).add("! " if note.alarm else "◆ ", style).add(f"{clock(note.at_s)}  {note.text} ", style)
    return row.add("─" * row.room, QUIET).line()


def timeline(state: DashboardState, width: int, height: int, cell: int) -> list[Line]:
    """A row per speaker and a column per turn, ``cell`` cells wide: who felt what, and in answer to what."""
    name_width = _CHANNEL if width < 100 else 14
    columns = max(0, (width - name_width - 1) // cell)
    turns = state.turns[-columns:] if columns else []
    lines = []
    for speaker in shown_speakers(state, height):
        row = Row(width).add(speaker or "unknown", STRONG if speaker else QUIET, name_width).gap()
        silent = 0
        for turn in turns:
            if turn.row != speaker:
                silent += 1
                continue
            row.add("·".ljust(cell) * silent, QUIET)
            silent = 0
            seen = look(turn.emotion)
            if turn.uncertain:
                row.add((seen.letter.lower() + "?")[:cell], seen.ink)
            else:
                row.add(seen.letter.ljust(cell), seen.block)
        row.add("·".ljust(cell) * silent, QUIET)
        lines.append(row.line())
    return lines or [_no_turns(state, width)]


def _no_turns(state: DashboardState, width: int) -> Line:
    return Row(width).add("No turns seen yet." if state.watching else "No turns yet.", QUIET).line()


def shown_speakers(state: DashboardState, rows: int) -> list[str | None]:
    """The speakers who spoke last, as many as there are rows, in the order in which they first spoke."""
    latest = sorted(state.speakers, key=lambda name: -state.speakers[name].last_turn)[:rows]
    return [name for name in state.speakers if name in latest]


def speakers(state: DashboardState, width: int, height: int) -> list[Line]:
    """How each speaker's turns so far divide among the emotions, as one bar per speaker."""
    lines = []
    for name in shown_speakers(state, height):
        tally = state.speakers[name]
        row = Row(width).add(name or "unknown", STRONG if name else QUIET, 13).gap()
        row.add(f"{tally.turns}", QUIET, 5, right=True).gap(2)
        share = row.room / tally.turns
        done, drawn = 0, 0
        for emotion, count in tally.emotions.most_common():
            done += count
            cells = round(done * share) - drawn
            drawn += cells
            row.add(look(emotion).letter.ljust(cells), look(emotion).block, cells)
        lines.append(row.line())
    return lines or [_no_turns(state, width)]


def bars(values: dict[str, float], width: int, height: int) -> list[Line]:
    """A bar per emotion, in the order given; the longest stands out."""
    label = min(12, max(map(len, values), default=8))
    top = max(values, key=lambda name: values[name], default=None)
    lines = []
    for emotion, value in list(values.items())[:height]:
        seen = look(emotion)
        row = Row(width).add(seen.letter, seen.ink + STRONG).gap()
        row.add(emotion, STRONG if emotion == top else None, label).gap()
        row.add(bar(value, row.room - 5), seen.fill, row.room - 5)
        lines.append(row.add(f"{value:.0%}", STRONG if emotion == top else QUIET, 5, right=True).line())
    return lines


def mood(state: DashboardState, width: int, height: int) -> list[Line]:
    """The running mood: all emotions in the bundle's order where there is room, else the strongest."""
    values = state.mood()
    if not values:
        if not state.turns:
            return [_no_turns(state, width)]
        return [Row(width).add(words, QUIET).line() for words in wrap(TOO_LITTLE, width, max(1, height))]
    if height >= len(values):
        values = {name: values[name] for name in dict.fromkeys([*state.labels, *values]) if name in values}
    return bars(values, width, height)


def newest_turn(state: DashboardState, status: Status) -> ShownTurn | ShownProvisional | None:
    """The turn that goes on, else the newest one."""
    turns = state.provisional(status) or state.turns
    return turns[-1] if turns else None


def newest(state: DashboardState, status: Status, width: int, height: int) -> list[Line]:
    """The probabilities of the turn that goes on, else of the newest one, in the bundle's order."""
    turn = newest_turn(state, status)
    if turn is None:
        return [_no_turns(state, width)]
    seen = look(turn.emotion)
    is_sure = isinstance(turn, ShownTurn) and not turn.uncertain
    row = Row(width).add(f" {turn.emotion} ", seen.block if is_sure else seen.ink)
    if isinstance(turn, ShownProvisional):
        row.add("  so far", QUIET)
    else:
        row.add("  not sure" if turn.uncertain else "  as a person heard it" if turn.corrected else "", QUIET)
    row.add(f"  {turn.speaker or 'unknown speaker'}, {clock(turn.start_s)}", QUIET)
    known = turn.probabilities
    values = {name: known[name] for name in dict.fromkeys([*state.labels, *known]) if name in known}
    return [row.line(), Row(width).line(), *bars(values, width, height - 2)]


def levels(status: Status, width: int, height: int) -> list[Line]:
    """A level meter per channel; side by side where there are fewer lines than channels."""
    channels = status.levels_dbfs
    if not channels:
        return [Row(width).add("Level   no sound yet", QUIET).line()]
    per_line = -(-len(channels) // max(1, height))
    each = (width - 2 * (per_line - 1)) // per_line
    lines = []
    for start in range(0, len(channels), per_line):
        row = Row(width)
        for channel in range(start, min(start + per_line, len(channels))):
            if channel > start:
                row.gap(2)
            name = "Level" if len(channels) == 1 else f"Ch {channel + 1}"
            _add_meter(row, name, channels[channel], any(status.speaking[channel : channel + 1]), each)
        lines.append(row.line())
    return lines


def position(playback: Playback, status: Status, width: int) -> Line:
    """Where a replay stands: whether somebody speaks there, a bar with the marks on it, the time, the speed."""
    times = f" {clock(status.stream_s)} / {clock(playback.length_s)} "
    speed = f" {playback.speed:g}x"
    row = Row(width).add("● " if any(status.speaking) else "○ ", _SPEAKING if any(status.speaking) else QUIET)
    cells = max(0, row.room - len(times) - len(speed))
    per_second = cells / playback.length_s if playback.length_s else 0.0
    done = round(status.stream_s * per_second)
    track = ["█" if cell < done else "·" for cell in range(cells)]
    for at_s in playback.marks_s[:cells]:
        track[min(cells - 1, int(at_s * per_second))] = "◆"
    for look_of, run in groupby(track):
        row.add("".join(run), {"◆": WARNING, "█": _LISTENING}.get(look_of, QUIET))
    return row.add(times).add(speed, STRONG).line()


def path_end(path: str, width: int) -> str:
    """The end of a path, which tells more than its beginning."""
    name = plain(path)
    return name if len(name) <= width else "…" + name[len(name) - width + 1 :]


def key_hints(hints: Iterable[tuple[str, str]], width: int) -> Row:
    """Keys and what they do, as many as fit."""
    return _add_hints(Row(width).gap(), hints)


def _add_hints(row: Row, hints: Iterable[tuple[str, str]]) -> Row:
    for key, what in hints:
        if row.room < len(key) + len(what) + 3:
            break
        row.add(f" {key} ", BAR_STRONG).add(f" {what}").gap(2)
    return row


def naming(asked: Naming, width: int) -> Row:
    """The line on which a person names a speaker."""
    if asked.chosen is None:
        choices = [(str(number), speaker.shown) for number, speaker in enumerate(asked.speakers, 1)]
        row = Row(width).gap().add("Name whom?", STRONG).gap(2)
        return _add_hints(row, [("enter", asked.latest.shown), *choices, ("esc", "nobody")])
    row = Row(width).gap().add(f"{crop(asked.chosen.shown, width // 3)} is called ")
    row.add(path_end(asked.name, max(8, row.room - 30)) + "_", STRONG).gap(2)
    done = "makes the two one, for good" if asked.makes_one else "done"
    return _add_hints(row, [("enter", done), ("esc", "leave it")])


def _add_meter(row: Row, name: str, dbfs: float, speaking: bool, width: int) -> None:
    roomy = width >= 24
    row.add(name if roomy else name[-1], QUIET, 6 if roomy else 2)
    row.add("● " if speaking else "○ ", _SPEAKING if speaking else QUIET)
    meter = max(0, width - (17 if roomy else 4))
    loud = dbfs > LOUD_DBFS
    filled = bar(1 - dbfs / LEVEL_FLOOR_DBFS, meter)
    row.add(filled, _LOUD if loud else _SPEAKING if speaking else _LISTENING).add("·" * (meter - len(filled)), QUIET)
    if roomy:
        words = (
            "quiet"
            if dbfs <= LEVEL_FLOOR_DBFS
            else f"{dbfs:.0f} dB".replace("-", "\N{MINUS SIGN}") + ("!" if loud else "")
        )
        row.add(words, _LOUD if loud else QUIET, 9, right=True)


def latency(state: DashboardState, width: int) -> Line:
    """How long after the end of a turn its emotion appears: the last turn, the median, the slow ones."""
    p50, p95 = state.latency_ms(50), state.latency_ms(95)
    if state.last_after_end_ms is None or p50 is None or p95 is None:
        return Row(width).add("Latency ", QUIET).add("no turns yet", QUIET).line()
    row = Row(width).add("Latency ", QUIET).add(f"{state.last_after_end_ms:.0f} ms", STRONG)
    return row.add(f"  p50 {p50:.0f}  p95 {p95:.0f}", QUIET).line()


def drops(status: Status, width: int) -> Line:
    """What was lost or left out because something could not keep up."""
    row = Row(width).add("Dropped ", QUIET)
    for count, what in ((status.dropped_frames, "audio block"), (status.dropped_turns, "turn")):
        row.add(counted(count, what), WARNING if count else QUIET).gap(2)
    skipped = "Words skipped" if row.room >= 18 else "Words"
    row.add(f"{skipped} ", QUIET).add(f"{status.text_skipped}", WARNING if status.text_skipped else QUIET)
    return row.line()
