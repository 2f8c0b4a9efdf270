"""Lines of exactly known width, and the frame that they fill.

The dashboard computes every cell itself: a frame of a given size is a list of lines of that width, so nothing a
transcript contains can move a border, and drawing it costs a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

from emotrack.tracker.dashboard.palette import FAINT_LINE, TITLE
from emotrack.tracker.messages.plain import plain

Line = list[Segment]

_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
_ASCII = str.maketrans(
    {
        "─": "-",
        "│": "|",
        "╭": "+",
        "╮": "+",
        "╰": "+",
        "╯": "+",
        "█": "#",
        "·": ".",
        "…": "~",
        "\N{EN DASH}": "-",
        "\N{MINUS SIGN}": "-",
        "‖": "=",
        "✓": "+",
        "←": "<",
        "→": ">",
        "↑": "^",
        "↓": "v",
    }
    | dict.fromkeys("●○◆■▸", "*")
    | dict.fromkeys("▏▎▍", " ")
    | dict.fromkeys("▌▋▊▉", "#")
)


def crop(text: str, width: int) -> str:
    """``text`` in at most ``width`` cells, an ellipsis last where something is missing."""
    if cell_len(text) <= width:
        return text
    kept, used = [], 0
    for char in text:
        used += cell_len(char)
        if used > width - 1:
            break
        kept.append(char)
    return "".join(kept).rstrip() + "…" if width > 0 else ""


def wrap(text: str, width: int, max_lines: int) -> list[str]:
    """``text`` on at most ``max_lines`` lines of ``width`` cells, broken between words; the last may be cropped."""
    lines: list[str] = []
    rest = text
    while len(lines) < max_lines - 1 and cell_len(rest) > width > 1:
        end, used = 0, 0
        for char in rest:
            used += cell_len(char)
            if used > width:
                break
            end += 1
        space = rest.rfind(" ", 1, end + 1)
        end = space if space > 0 else max(1, end)  # a word longer than the line is cut
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return [*lines, crop(rest, width)]


def bar(fraction: float, width: int) -> str:
    """A bar of at most ``width`` cells, drawn to an eighth of a cell."""
    eighths = round(min(1.0, max(0.0, fraction)) * width * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8]


class Row:
    """A line under construction; what does not fit is cropped."""

    __slots__ = ("_segments", "room", "width")

    def __init__(self, width: int) -> None:
        self.width = self.room = max(0, width)
        self._segments: Line = []

    def add(self, text: str, style: Style | None = None, width: int | None = None, *, right: bool = False) -> Row:
        """Append ``text``, or a field of ``width`` cells that holds it."""
        if not text.isprintable():  # it ought to be plain; this is the last chance
            text = plain(text)
        room = self.room if width is None else max(0, min(width, self.room))
        text = crop(text, room)
        cells = cell_len(text)
        if width is not None:
            pad = " " * (room - cells)
            text = pad + text if right else text + pad
            cells = room
        if text:
            self._segments.append(Segment(text, style))
            self.room -= cells
        return self

    def gap(self, cells: int = 1) -> Row:
        """Append empty cells."""
        return self.add(" " * min(cells, self.room))

    @property
    def used(self) -> int:
        """Cells taken so far."""
        return self.width - self.room

    def end(self, tail: Row) -> Row:
        """Append another row's cells at the far end; this row must have been made that much narrower."""
        self._segments = [*self.line(), *tail._segments]
        return self

    def line(self, ground: Style | None = None) -> Line:
        """The finished line, filled up to its width; ``ground`` lies under everything."""
        if self.room:
            self._segments.append(Segment(" " * self.room))
            self.room = 0
        if ground is None:
            return self._segments
        return [Segment(s.text, ground + s.style if s.style else ground) for s in self._segments]


def box(
    lines: Sequence[Line], width: int, height: int, title: str, foot: str = "", edge: Style = FAINT_LINE
) -> list[Line]:
    """``lines`` (each ``width - 4`` wide) in a frame with a title in its upper and words in its lower edge."""
    inner = [*lines[: height - 2]]
    inner += [Row(width - 4).line() for _ in range(height - 2 - len(inner))]
    side, end = Segment("│ ", edge), Segment(" │", edge)
    return [
        _edge("╭", "╮", title, TITLE, width, edge),
        *([side, *line, end] for line in inner),
        _edge("╰", "╯", foot, FAINT_LINE, width, edge),
    ]


def _edge(start: str, end: str, words: str, style: Style, width: int, edge: Style) -> Line:
    row = Row(width).add(start + "─", edge)
    if words:
        row.add(f" {crop(words, width - 7)} ", style)
    return row.add("─" * (row.room - 1), edge).add(end, edge).line()


def side_by_side(left: Sequence[Line], right: Sequence[Line]) -> list[Line]:
    """Two blocks of the same height, one beside the other."""
    return [[*a, *b] for a, b in zip(left, right, strict=True)]


class Frame:
    """A finished picture of ``width`` by ``height`` cells."""

    __slots__ = ("height", "lines", "width")

    def __init__(self, lines: Iterable[Line], width: int, height: int) -> None:
        self.width, self.height = width, height
        self.lines = list(lines)[:height]
        self.lines += [Row(width).line() for _ in range(height - len(self.lines))]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frame) and self.width == other.width and self.lines == other.lines

    __hash__ = None  # type: ignore[assignment]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for number, line in enumerate(self.lines):
            if number:
                yield Segment.line()
            if options.ascii_only:  # a terminal that is not UTF-8
                yield from (Segment(_ascii(s.text), s.style) for s in line)
            else:
                yield from line


def _ascii(text: str) -> str:
    return "".join(c if c.isascii() else "?" * cell_len(c) for c in text.translate(_ASCII))
