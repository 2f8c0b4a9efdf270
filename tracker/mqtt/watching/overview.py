"""Many sites on one screen: a tile for each, as many as fit, and a way to choose among them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.segment import Segment
from rich.style import Style

from emotrack.tracker.dashboard import panels
from emotrack.tracker.dashboard.frame import Frame, Line, Row, box, wrap
from emotrack.tracker.dashboard.keys import CHOOSE_HINTS
from emotrack.tracker.dashboard.palette import (
    ALARM,
    BAR,
    BAR_STRONG,
    FAINT_LINE,
    QUIET,
    SKY,
    STRONG,
    TITLE,
    WARNING,
    look,
)
from emotrack.tracker.dashboard.state import NAME_CHARS, NOTICE_CHARS
from emotrack.tracker.dashboard.view import state_chip, watching_consent
from emotrack.tracker.messages.plain import plain
from emotrack.tracker.messages.wording import counted
from emotrack.tracker.mqtt.watching.watched import WatchedSite, age

TILE_WIDTH: Final = 36  # a tile is no narrower than this,
TILE_HEIGHT: Final = 6  # and no lower
_CHOSEN: Final = Style(color=SKY, bold=True)
_TRENDS: Final = {"improving": "↑ improving", "worsening": "↓ worsening", "steady": "steady"}


@dataclass(frozen=True, slots=True)
class Overview:
    """What the screen shows."""

    sites: Sequence[WatchedSite]
    chosen: int
    broker: str
    connected: bool
    notice: str | None
    now: float
    """Seconds of the clock that the sites were told."""


@dataclass(frozen=True, slots=True)
class Grid:
    """How tiles are laid out."""

    columns: int
    rows: int
    """Of those that are shown at once."""

    @property
    def tiles(self) -> int:
        """How many are shown at once."""
        return self.columns * self.rows

    def first(self, chosen: int) -> int:
        """The first site on the page of the chosen one."""
        return chosen // self.tiles * self.tiles

    @classmethod
    def fitting(cls, count: int, width: int, height: int) -> Grid:
        """About as many columns as rows, more where the screen is too low, and pages where that is not enough."""
        most = max(1, width // TILE_WIDTH)
        columns = min(most, math.ceil(math.sqrt(count)))
        fit = max(1, height // TILE_HEIGHT)
        while columns < most and math.ceil(count / columns) > fit:
            columns += 1
        return cls(columns, min(fit, math.ceil(count / columns)))


def render(view: Overview, width: int, height: int) -> Frame:
    """The overview as ``width`` by ``height`` cells."""
    body, layout = height - 4, grid(view, width, height)
    lines = [_header(view, width, layout)]
    if body >= 3:
        lines += _tiles(view, layout, width, body) if view.sites else _nothing_yet(view, width, body)
        notice = Row(width)
        if view.notice:
            notice.gap().add("▸ ", WARNING).add(plain(view.notice, NOTICE_CHARS))
        lines += [notice.line(), panels.key_hints(CHOOSE_HINTS, width).line()]
    lines.append(watching_consent(width))
    return Frame(lines, width, height)


def grid(view: Overview, width: int, height: int) -> Grid:
    """The layout on a screen of ``width`` by ``height``."""
    return Grid.fitting(max(1, len(view.sites)), width, height - 4)


def _header(view: Overview, width: int, layout: Grid) -> Line:
    words, style = (" ○ connected ", BAR_STRONG) if view.connected else (" ! not connected ", ALARM)
    tail = Row(min(width, len(words))).add(words, style)
    count, first = len(view.sites), layout.first(view.chosen)
    last = min(first + layout.tiles, count)
    shown = counted(count, "site") if last - first == count else f"sites {first + 1} to {last} of {count}"
    head = Row(width - tail.used).add(" emotrack ", BAR_STRONG).add(f" {shown} ", BAR)
    return head.add(f"· {plain(view.broker)} ", BAR).end(tail).line(BAR)


def _nothing_yet(view: Overview, width: int, height: int) -> list[Line]:
    words = "No site has said anything yet." if view.connected else "Waiting for the broker."
    above = [Row(width).line() for _ in range((height - 1) // 2)]
    below = [Row(width).line() for _ in range(height - 1 - len(above))]
    return [*above, Row(width).gap(max(0, (width - len(words)) // 2)).add(words, QUIET).line(), *below]


def _tiles(view: Overview, layout: Grid, width: int, height: int) -> list[Line]:
    first = layout.first(view.chosen)
    lines: list[Line] = []
    for row in range(layout.rows):
        tile_height = height // layout.rows + (row < height % layout.rows)
        beside: list[Line] = [[] for _ in range(tile_height)]
        for column in range(layout.columns):
            tile_width = width // layout.columns + (column < width % layout.columns)
            number = first + row * layout.columns + column
            if number < len(view.sites):
                tile = _tile(view, number, tile_width, tile_height)
            else:
                tile = [Row(tile_width).line() for _ in range(tile_height)]
            beside = [[*left, *right] for left, right in zip(beside, tile, strict=True)]
        lines += beside
    return lines


def _tile(view: Overview, number: int, width: int, height: int) -> list[Line]:
    site = view.sites[number]
    lines = _contents(site, width - 4, height - 2)
    if site.watching.problem is not None:
        lines = [lines[0], *(_dimmed(line) for line in lines[1:])]
    mark, edge = ("▸ ", _CHOSEN) if number == view.chosen else ("", FAINT_LINE)
    title = f"{mark}{number + 1} {plain(site.name, NAME_CHARS)}"
    return box(lines, width, height, title, _foot(site, view.now), edge)


def _dimmed(line: Line) -> Line:
    return [Segment(segment.text, (segment.style or Style()) + QUIET) for segment in line]


def _contents(site: WatchedSite, width: int, height: int) -> list[Line]:
    """The more there is room for, the more of it: how it sounds, the words, who felt what, the mood."""
    lines = [_headline(site, width)]
    if site.state.turns:
        lines += _said(site, width, 0 if height < 3 else 1 if height < 6 else 2)
        rows = 0 if height < 4 else min(4, 1 + (height - 4) // 3, len(site.state.speakers))
        lines += panels.timeline(site.state, width, rows, cell=1)[:rows]
    return [*lines, *_mood(site, width, height - len(lines))][:height]


def _headline(site: WatchedSite, width: int) -> Line:
    words, style = state_chip(site.state, site.status)
    tail = Row(min(width, len(words) + 2)).add(f" {words} ", style)
    head = Row(width - tail.used)
    standing = site.standing
    if standing is None or standing.emotion is None:
        return head.add("no turn yet", QUIET).end(tail).line()
    seen, emotion = look(standing.emotion), plain(standing.emotion, NAME_CHARS)
    if standing.uncertain:
        head.add(f" {seen.letter.lower()} ", seen.ink).add(f" {emotion}?", QUIET)
    else:
        head.add(f" {seen.letter} ", seen.block).add(f" {emotion}", STRONG)
    return head.add(f" {standing.confidence or 0:.0%} ", QUIET).end(tail).line()


def _said(site: WatchedSite, width: int, height: int) -> list[Line]:
    """The latest turn's words on ``height`` lines; on none where no turn has words."""
    if height < 1 or (site.state.started is not None and site.state.started.recogniser is None):
        return []
    turn = site.state.turns[-1]
    name = f"{turn.speaker}: " if turn.speaker else ""
    first, *more = wrap(name + (turn.text or "voice only"), width, height)
    row = Row(width).add(first[: len(name)], STRONG).add(first[len(name) :], None if turn.text else QUIET)
    rest = (Row(width).add(line).line() for line in [*more, *([""] * (height - 1 - len(more)))])
    return [row.line(), *rest]


def _mood(site: WatchedSite, width: int, height: int) -> list[Line]:
    standing = site.standing
    if height < 1 or standing is None or standing.mood is None:
        return []
    seen = look(standing.mood)
    head = Row(width).add("Mood ", TITLE).add(f"{seen.letter} ", seen.ink + STRONG)
    head.add(plain(standing.mood, NAME_CHARS)).gap(2).add(_TRENDS[standing.trend], QUIET)
    return [head.line(), *panels.bars(site.state.mood(), width, height - 1)]


def _foot(site: WatchedSite, now: float) -> str:
    turns = site.standing.turns if site.standing else site.state.turn_count
    if not turns:
        return ""
    return counted(turns, "turn") + (f", latest {age(now - site.turn_at)} ago" if site.turn_at is not None else "")
