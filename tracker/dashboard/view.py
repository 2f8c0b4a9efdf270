"""The whole screen: a pure function from what is known to a frame of exactly the size asked for."""

from __future__ import annotations

from functools import cache

from rich.cells import cell_len
from rich.style import Style

from emotrack.tracker.dashboard import panels
from emotrack.tracker.dashboard.frame import Frame, Line, Row, box, side_by_side
from emotrack.tracker.dashboard.keys import LIVE_HINTS, REPLAY_HINTS, WATCH_HINTS
from emotrack.tracker.dashboard.palette import (
    ALARM,
    BAR,
    BAR_STRONG,
    GREEN,
    GREY,
    QUIET,
    SKY,
    STRONG,
    TITLE,
    WARNING,
    YELLOW,
    look,
)
from emotrack.tracker.dashboard.state import NOTICE_CHARS, DashboardState
from emotrack.tracker.messages.plain import plain
from emotrack.tracker.messages.wording import clock, counted
from emotrack.tracker.session.status import Status

_CONSENT = (
    "Everyone here should know that emotions are being estimated.",
    "Everyone here should know that emotions are estimated.",
    "Tell everyone: emotions are estimated.",
    "Emotions are estimated here.",
)
_TOLD = (
    "Everyone here was told that emotions are being estimated.",
    "Everyone here was told: emotions are estimated.",
    "Everyone was told. Emotions are estimated.",
    "Emotions are estimated here.",
)
_REPLAY = (
    "Replay of a saved session; nothing is being listened to.",
    "Replay of a saved session, nothing live.",
    "Replay of a saved session.",
)
_NOT_RECORDED = "Nothing is recorded."
_NOT_HERE = "Nothing is recorded here."  # what is done where the session runs, a watcher cannot know
LISTENING = "○ listening"


@cache
def _chip(colour: str) -> Style:
    return Style(color="#000000", bgcolor=colour, bold=True)


def render(state: DashboardState, status: Status, width: int, height: int) -> Frame:
    """The dashboard as ``width`` by ``height`` cells."""
    if width >= 110 and height >= 28:
        lines = _wide(state, status, width, height)
    elif width >= 72 and height >= 20:
        lines = _normal(state, status, width, height)
    else:
        lines = _small(state, status, width, height)
    return Frame(lines, width, height)


def _wide(state: DashboardState, status: Status, width: int, height: int) -> list[Line]:
    rows = min(8, max(4, len(state.speakers))) if height >= 40 else 4
    body = height - 1 - (rows + 2) - 3
    side = 60 if width >= 160 else 46
    text = width - side
    return [
        _header(state, status, width),
        *side_by_side(
            box(
                panels.transcript(state, status, text - 4, body - 2),
                text,
                body,
                "Conversation",
                _totals(state, status, text - 7),
            ),
            _side(state, status, side, body),
        ),
        *_timeline_box(state, width, rows + 2, cell=2),
        *_footer(state, status, width),
    ]


def _side(state: DashboardState, status: Status, width: int, height: int) -> list[Line]:
    """The right-hand column: as many of its boxes as there is height for, which depends on the screen alone."""
    inner = width - 4
    channels = state.started.channels if state.started else len(status.levels_dbfs)
    labels = max(4, len(state.labels))
    meters = 1 if state.playback else min(4, max(1, channels))
    sound = box(_sound(state, status, inner, meters), width, meters + 2, "Position" if state.playback else "Sound")
    facts = _figures(state, status, inner)
    rest = height - len(sound)
    session = max(5, min(len(facts) + 2, rest - labels - 2))
    lower = [*sound, *box(facts, width, session, "Session")]
    rest -= session
    upper: list[Line] = []
    if rest >= 2 * labels + 6:
        upper = box(panels.newest(state, status, inner, labels + 2), width, labels + 4, "Newest turn")
        rest -= len(upper)
    mood = min(rest, labels + 2) if rest >= labels + 6 else rest
    upper += box(panels.mood(state, inner, mood - 2), width, mood, "Running mood")
    if rest := rest - mood:
        upper += box(panels.speakers(state, inner, rest - 2), width, rest, "Speakers so far")
    return upper + lower


def _sound(state: DashboardState, status: Status, width: int, height: int) -> list[Line]:
    """What is heard; in a replay, where it stands."""
    if state.playback is not None:
        return [panels.position(state.playback, status, width)]
    return panels.levels(status, width, height)


def _figures(state: DashboardState, status: Status, width: int) -> list[Line]:
    lines = [panels.latency(state, width), panels.drops(status, width)]
    facts = []
    if state.playback is None:
        facts.append(("In work", counted(status.thinking, "turn")))
    if (started := state.started) is not None:
        facts += [
            ("Source", f"{plain(started.source)} ({started.channels} ch)"),
            ("Bundle", f"{plain(started.bundle.name)} {plain(started.bundle.fingerprint)[:8]}"),
            ("Words", plain(started.recogniser) if started.recogniser else "none, voice only"),
            ("Context", f"{started.context_turns} turns"),
        ]
    return lines + [Row(width).add(name, QUIET, 8).add(value).line() for name, value in facts]


def _normal(state: DashboardState, status: Status, width: int, height: int) -> list[Line]:
    rows = 4 if height >= 24 else 2
    text = height - 1 - (rows + 2) - 5
    side = 30  # the mood's box
    lower = side_by_side(
        _timeline_box(state, width - side, rows + 2, cell=1),
        box(panels.mood(state, side - 4, rows), side, rows + 2, "Running mood"),
    )
    return [
        _header(state, status, width),
        *box(
            panels.transcript(state, status, width - 4, text - 2),
            width,
            text,
            "Conversation",
            _totals(state, status, width - 7),
        ),
        *lower,
        *([*Row(1).line(), *line] for line in _measures(state, status, width - 1)),
        *_footer(state, status, width),
    ]


def _measures(state: DashboardState, status: Status, width: int, *, narrow: bool = False) -> list[Line]:
    """Two lines of figures, the more important first, for layouts without a column for them."""
    if state.playback is not None:
        return [panels.position(state.playback, status, width), panels.latency(state, width)]
    meter = max(0, width - 35) if narrow else width // 2 - 2
    sound = panels.levels(status, meter, 1)[0]
    return [
        [*sound, *Row(2).line(), *panels.latency(state, width - meter - 2)],
        panels.drops(status, width),
    ]


def _small(state: DashboardState, status: Status, width: int, height: int) -> list[Line]:
    lower: list[Line] = []
    if height >= 12:
        rows = 2 if height >= 15 else 1
        timeline = panels.timeline(state, width, rows, cell=1)
        lower += [*timeline, *(Row(width).line() for _ in range(rows - len(timeline)))]
        lower += [_mood_line(state, width)]
    if height >= 10:
        lower += _measures(state, status, width, narrow=True)[:1]
    if height >= 14:
        lower += [panels.drops(status, width)]
    if state.naming is not None:
        lower += [panels.naming(state.naming, width).line()]
    elif height >= 8:
        keys = _keys(state, status, width if state.playback else min(width, 33))
        lower += [[*keys.line(), *_notice(state, status, width - keys.width).line()]]
    if height >= 5:
        lower += [_consent(state, width)]
    text = max(0, height - 1 - len(lower))
    words = panels.transcript(state, status, width, text)
    blank = [Row(width).line() for _ in range(text - len(words))]
    return [_header(state, status, width), *words[:text], *blank, *lower]


def _header(state: DashboardState, status: Status, width: int) -> Line:
    words, style = state_chip(state, status)
    tail = Row(min(width, 28)).add(f" {words} ", style).add(f" {clock(status.stream_s)} ", BAR_STRONG)
    head = Row(width - tail.used).add(" emotrack ", BAR_STRONG).add(f" {state.site} ", BAR)
    if state.watching is not None and state.watching.place:
        head.add(f"({state.watching.place}) ", BAR)
    if state.started is not None:
        recogniser = state.started.recogniser
        models = [plain(state.started.bundle.name), plain(recogniser) if recogniser else "voice only"]
        words = f"· {' · '.join(models)} "
        if cell_len(words) > head.room and recogniser:  # then the model's name rather than the engine's
            words = f"· {models[0]} · {models[1].rsplit(' ', 1)[-1]} "
        head.add(words, BAR)
    return head.end(tail).line(BAR)


def state_chip(state: DashboardState, status: Status) -> tuple[str, Style]:
    """What the session is doing, in two words or three, and their look."""
    problem = state.watching.problem if state.watching else None
    states = (
        (problem is not None, f"! {problem}", ALARM),
        (state.ended is not None or _is_over(state, status), "■ ended", _chip(GREY)),
        (state.stopping, "■ stopping", _chip(GREY)),
        (state.playback is not None and status.paused, "‖ paused", _chip(GREY)),
        (state.playback is not None, "▸ replay", _chip(SKY)),
        (status.source_lost, "! source lost", ALARM),
        (status.paused, "‖ paused", _chip(GREY)),
        (state.started is None, "○ starting", _chip(GREY)),
        (any(status.speaking), "● speaking", _chip(GREEN)),
        (status.thinking > 0, "◆ thinking", _chip(YELLOW)),
        (True, LISTENING, _chip(SKY)),
    )
    return next((words, style) for applies, words, style in states if applies)


def _is_over(state: DashboardState, status: Status) -> bool:
    """Whether a replay has reached the end of what was saved, which a crash may have cut off."""
    return state.playback is not None and status.stream_s >= state.playback.length_s


def _timeline_box(state: DashboardState, width: int, height: int, cell: int) -> list[Line]:
    hidden = len(state.speakers) - (height - 2)
    title = "Emotions over the turns" + (f", {counted(hidden, 'more speaker')}" if hidden > 0 else "")
    legend = "  ".join(f"{look(name).letter} {name}" for name in state.labels)
    sure = "small letter: not sure"
    foot = f"{legend}   {sure}" if legend and len(legend) + len(sure) + 12 <= width else sure
    return box(panels.timeline(state, width - 4, height - 2, cell), width, height, title, foot)


def _mood_line(state: DashboardState, width: int) -> Line:
    row = Row(width).add("Mood ", TITLE)
    if not state.mood():
        return row.add(f" {panels.TOO_LITTLE}", QUIET).line()
    for emotion, share in list(state.mood().items())[:4]:
        words = f" {emotion} {share:.0%} "
        if row.room > len(words):
            row.add(f" {look(emotion).letter}", look(emotion).ink + STRONG).add(words)
    return row.line()


def _totals(state: DashboardState, status: Status, width: int) -> str:
    """How many turns there were and, where there is room, how the one that goes on or is the newest sounds."""
    unsure = f", {state.uncertain_count} not sure" if state.uncertain_count else ""
    words = [counted(state.turn_count, "turn") + unsure] if state.turn_count else []
    turn = panels.newest_turn(state, status)
    if turn is not None and turn.affect:
        words.append(f"now {turn.affect}{'?' if turn.uncertain else ''}")
    every = "   ".join(words)
    return every if len(every) <= width else words[0]


def _footer(state: DashboardState, status: Status, width: int) -> list[Line]:
    """What the person should know, what they can press, and what everyone in the room should be told."""
    return [
        _notice(state, status, width).line(),
        _keys(state, status, width).line(),
        _consent(state, width),
    ]


def _notice(state: DashboardState, status: Status, width: int) -> Row:
    if status.source_lost:
        reason = f": {state.lost_reason}" if state.lost_reason else ""
        reopening = "" if state.playback else " Trying to reopen it."
        return Row(width).gap().add(f" Source lost{reason}.{reopening} ", ALARM)
    if state.notice:
        return Row(width).gap().add("▸ ", WARNING).add(plain(state.notice, NOTICE_CHARS))
    return Row(width)


def _keys(state: DashboardState, status: Status, width: int) -> Row:
    if state.naming is not None:
        return panels.naming(state.naming, width)
    if state.watching is not None:
        return panels.key_hints(WATCH_HINTS if state.watching.place else WATCH_HINTS[:2], width)
    hints = dict(REPLAY_HINTS if state.playback else LIVE_HINTS)
    if status.paused:
        hints["p"] = "resume"
    return panels.key_hints(hints.items(), width)


def _consent(state: DashboardState, width: int) -> Line:
    room = width - 1
    if state.playback is not None:
        said = next((words for words in _REPLAY if len(words) + 20 <= room), _REPLAY[-1])
        name = panels.path_end(state.playback.file, max(12, room - len(said) - 2))
        return Row(width).gap().add(said, STRONG).add(f" {name}").line()
    if state.watching is not None:
        return watching_consent(width)
    kept = f"Saved to {panels.path_end(state.saved_to, 24)}." if state.saved_to else _NOT_RECORDED
    ways = _TOLD if state.started is not None and state.started.notice_given else _CONSENT
    law = next((words for words in ways if len(words) + 1 + len(kept) <= room), ways[-1])
    if state.saved_to:
        kept = f"Saved to {panels.path_end(state.saved_to, max(12, room - len(law) - len(' Saved to .')))}."
    return Row(width).gap().add(law, STRONG).add(f" {kept}").line()


def watching_consent(width: int) -> Line:
    """What everyone in a room that is watched from elsewhere should be told."""
    elsewhere = [words.replace("here", "there") for words in _CONSENT]
    law = next((words for words in elsewhere if len(words) + 2 + len(_NOT_HERE) <= width), elsewhere[-1])
    return Row(width).gap().add(law, STRONG).add(f" {_NOT_HERE}").line()
