"""The notice itself: what Article 50(3) of the AI Act asks to tell people, as a page and as a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from emotrack.tracker.notice.languages import words_in
from emotrack.tracker.sessions.documents import write_document

MAX_CHARS: Final = 300  # of each thing that is told, so that the page stays one page


@dataclass(frozen=True, slots=True)
class RoomNotice:
    """What the people in the room are told."""

    language: str
    """One of ``LANGUAGES``."""
    purpose: str
    by: str | None = None
    """Who is responsible; None leaves a line to fill in by hand."""
    contact: str | None = None
    kept: str | None = None
    """What is kept and for how long; None: nothing is."""

    def spoken(self) -> str:
        """The words to read aloud before the session begins, with a gap where nobody is named as responsible."""
        words = words_in(self.language)
        return words.spoken.format(
            purpose=_without_stop(self.purpose),
            by_sentence=words.spoken_by.format(by=_without_stop(self.by or "_______")),
            kept_sentence=words.spoken_kept.format(kept=_without_stop(self.kept))
            if self.kept
            else words.spoken_nothing_kept,
        )


def write_notice(notice: RoomNotice, path: Path) -> None:
    """Write the page as one HTML file. Raises ``EmotrackError`` where that cannot be."""
    write_document(render_notice(notice), path)


def render_notice(notice: RoomNotice) -> str:
    """The page, to be printed on one sheet of A4: nothing in it is fetched, and no script runs."""
    environment = Environment(
        loader=FunctionLoader(_asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.jinja").render(
        notice=notice,
        words=words_in(notice.language),
        spoken=notice.spoken(),
        style=Markup(_asset("style.css")),  # noqa: S704 - our own file
    )


def _without_stop(text: str) -> str:
    return text.strip().rstrip(".")


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
