"""What a person sees who corrects a turn: its surroundings, the estimate, the keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rich.segment import Segment

from emotrack.tracker.dashboard import DashboardState
from emotrack.tracker.dashboard.frame import Frame, Line, Row, bar, box, side_by_side
from emotrack.tracker.dashboard.palette import BAR, BAR_STRONG, QUIET, STRONG, WARNING, look
from emotrack.tracker.dashboard.panels import key_hints, label_width, path_end, turn_lines
from emotrack.tracker.dashboard.state import NAME_CHARS, NOTICE_CHARS, ShownTurn
from emotrack.tracker.events import Turn
from emotrack.tracker.messages.plain import plain
from emotrack.tracker.messages.wording import clock, counted
from emotrack.tracker.sessions.correct.correction_queue import CorrectionWalk

QUIT = "q"
WIDEST_BAR = 40
_SIDE = 60  # cells of the estimate's box where it stands beside the conversation
_HINTS = (("enter", "estimate is right"), ("space", "hear"), ("→", "skip"), ("←", "undo"), (QUIT, "quit"))


@dataclass(slots=True)
class Scene:
    """All that is on the screen."""

    walk: CorrectionWalk
    conversation: DashboardState
    """All turns of the session as they were estimated."""
    labels: tuple[str, ...]
    file: str
    what: str
    """What is walked through: ``uncertain turn`` or ``turn``."""
    written: int = 0
    is_playing: bool = False
    is_mute: bool = False
    notice: str | None = None


def label_keys(labels: tuple[str, ...]) -> dict[str, str]:
    """Keys and the labels they stand for: the first ten by number, and each by its letter where that is free."""
    keys = {str(number % 10): label for number, label in enumerate(labels[:10], start=1)}
    for label in labels:
        letter = _letter(label).lower()
        if letter.isalnum() and letter != QUIT:
            keys.setdefault(letter, label)
    return keys


def paint(scene: Scene, width: int, height: int) -> Frame:
    """The screen as ``width`` by ``height`` cells."""
    foot = [_notice(scene, width), key_hints(_hints(scene), width).line(), _promise(scene, width)]
    body = max(0, height - 1 - len(foot))
    turn = scene.walk.current
    if turn is None:
        words = "These were all. Left goes back, q writes the last correction and quits."
        lines = box([Row(width - 4).add(words).line()], width, body, "Done")
    elif width >= 110 and height >= 20:
        lines = side_by_side(
            _conversation(scene, turn, width - _SIDE, body),
            _side(scene, turn, body),
        )
    else:
        rows = len(scene.labels)
        below = rows + 4 if rows + 4 <= body - 3 else min(body, -(-rows // 2) + 3)  # all labels, in two columns
        lines = [
            *_conversation(scene, turn, width, body - below),
            *box(_estimate(scene, turn, width - 4, below - 2), width, below, *_titles(turn)),
        ]
    return Frame([_header(scene, width), *lines, *foot], width, height)


def _side(scene: Scene, turn: Turn, height: int) -> list[Line]:
    upper = min(height, len(scene.labels) + 4)
    if (lower := height - upper) < 3:
        return box(_estimate(scene, turn, _SIDE - 4, height - 2), _SIDE, height, *_titles(turn))
    lines = box(_estimate(scene, turn, _SIDE - 4, upper - 2), _SIDE, upper, *_titles(turn))
    return lines + box(_decided(scene, _SIDE - 4, lower - 2), _SIDE, lower, "Decided so far")


def _decided(scene: Scene, width: int, height: int) -> list[Line]:
    """The latest turns left behind, and what was said of them."""
    lines = []
    for turn in scene.walk.turns[: scene.walk.place][-height:]:
        row = Row(width).add(f"{turn.turn_id}", QUIET, 5, right=True).gap()
        said = scene.walk.said.get(turn.turn_id)
        row.add(plain(turn.emotion, NAME_CHARS), QUIET, label_width(scene.conversation)).gap()
        if said is None:
            row.add("skipped", QUIET)
        else:
            row.add(f" {_letter(said)} ", look(plain(said, NAME_CHARS)).block).gap()
            row.add("right as estimated" if said == turn.emotion else plain(said, NAME_CHARS), STRONG)
        lines.append(row.line())
    return lines or [Row(width).add("Nothing yet.", QUIET).line()]


def _hints(scene: Scene) -> Iterator[tuple[str, str]]:
    turn = scene.walk.current
    for key, what in _HINTS:
        if turn is None and key in {"enter", "→", "space"}:
            continue
        if key != "space" or (turn is not None and turn.audio is not None and not scene.is_mute):
            yield key, what


def _letter(label: str) -> str:
    return look(plain(label, NAME_CHARS)).letter


def _header(scene: Scene, width: int) -> Line:
    place = min(scene.walk.place + 1, len(scene.walk.turns))
    progress = f" {place} of {counted(len(scene.walk.turns), scene.what)} "
    tail = Row(min(width, len(progress))).add(progress, BAR_STRONG)
    head = Row(width - tail.used).add(" emotrack ", BAR_STRONG).add("correct ", BAR_STRONG)
    return head.add(f" {scene.conversation.site} ", BAR).end(tail).line(BAR)


def _conversation(scene: Scene, turn: Turn, width: int, height: int) -> list[Line]:
    """The turn among its neighbours: two before and after, more where there is room."""
    turns, room = scene.conversation.turns, max(0, height - 2)
    here, _ = scene.conversation.find(turn.turn_id)
    around = max(2, room // 5) if room >= 5 else max(0, room - 1) // 2
    near = turns[max(0, here - around) : here + around + 1]
    lines: list[Line] = []
    for most in (3, 2, 1):  # lines for each of the neighbours
        lines = [
            line
            for shown in near
            for line in _pointed(scene, shown, width - 4, most, is_here=shown.turn_id == turn.turn_id)
        ]
        if len(lines) <= room:
            break
    return box(lines, width, height, "Conversation")


def _pointed(scene: Scene, shown: ShownTurn, width: int, most: int, *, is_here: bool) -> list[Line]:
    if said := scene.walk.said.get(shown.turn_id):
        shown = replace(shown, emotion=plain(said, NAME_CHARS), uncertain=False, corrected=True)
    lines = turn_lines(shown, label_width(scene.conversation), width - 2, 3 if is_here else most)
    if not is_here:
        return [[*Row(2).line(), *line] for line in lines]
    pointers = ["▸", *[""] * (len(lines) - 1)]
    lines = [[*Row(2).add(pointer, WARNING).line(), *line] for pointer, line in zip(pointers, lines, strict=True)]
    return [[Segment(s.text, BAR + s.style if s.style else BAR) for s in line] for line in lines]


def _titles(turn: Turn) -> tuple[str, str]:
    return (
        f"Turn {turn.turn_id}, {clock(turn.start_s)} to {clock(turn.end_s)}",
        "what did it sound like? number or letter",
    )


def _estimate(scene: Scene, turn: Turn, width: int, height: int) -> list[Line]:
    """How the turn was estimated, and the labels with the keys that stand for them, in two columns if they must."""
    head = Row(width).add("Estimate ", QUIET).add(plain(turn.emotion, NAME_CHARS), STRONG)
    head.add(f", {turn.confidence:.0%}{', not sure' if turn.uncertain else ''}").gap(2)
    lines = [head.add(_hearing(scene, turn), QUIET).line()]
    if len(scene.labels) + 2 <= height:
        lines.append(Row(width).line())
    columns = 1 if len(scene.labels) + 1 <= height else 2
    choices = [_choice(scene, turn, place, width // columns) for place in range(len(scene.labels))]
    down = -(-len(choices) // columns)
    for first in range(down):
        line = [segment for choice in choices[first::down] for segment in choice]
        lines.append([*line, *Row(width - len(choices[first::down]) * (width // columns)).line()])
    return lines


def _choice(scene: Scene, turn: Turn, place: int, width: int) -> Line:
    """A label with its keys and its probability; a tick where a person chose it."""
    label = scene.labels[place]
    name = plain(label, NAME_CHARS)
    seen = look(name)
    by_letter = label_keys(scene.labels).get(seen.letter.lower()) == label
    row = Row(width).add(f" {(place + 1) % 10} " if place < 10 else "   ", BAR_STRONG).gap()
    row.add(f" {seen.letter} ", seen.block if by_letter else seen.ink).gap()
    style = STRONG if label == turn.emotion else None
    row.add(name, style, label_width(scene.conversation)).gap()
    row.add("✓ " if label == scene.walk.said.get(turn.turn_id) else "  ", STRONG)
    share = turn.probabilities.get(label, 0.0)
    row.add(f"{share:.0%}", style or QUIET, 4, right=True).gap()
    return row.add(bar(share, min(WIDEST_BAR, row.room)), seen.fill).line()


def _hearing(scene: Scene, turn: Turn) -> str:
    if turn.audio is None:
        return "no audio was kept"
    if scene.is_mute:
        return ""
    return "playing" if scene.is_playing else "space plays it again"


def _notice(scene: Scene, width: int) -> Line:
    row = Row(width).gap()
    if scene.notice:
        return row.add("▸ ", WARNING).add(plain(scene.notice, NOTICE_CHARS)).line()
    if (latest := scene.walk.waiting) is not None:
        return (
            row.add(f"Turn {latest.turn_id}: {plain(latest.emotion, NAME_CHARS)}. ")
            .add("← takes it back", QUIET)
            .line()
        )
    return row.line()


def _promise(scene: Scene, width: int) -> Line:
    so_far = f" ({scene.written} so far)" if scene.written else ""
    name = path_end(scene.file, max(12, width - len(so_far) - len(" Corrections are added to ; the estimates stay.")))
    row = Row(width).gap().add("Corrections are added", STRONG).add(f" to {name}")
    return row.add(so_far, STRONG).add("; the estimates stay.").line()
