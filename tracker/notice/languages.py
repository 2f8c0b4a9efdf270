"""The languages of the notice, and its words in each of them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Final

LANGUAGES: Final = ("en", "de", "fr", "es", "it", "pl")
"""ISO 639-1, as in ``languages.toml``."""


@dataclass(frozen=True, slots=True)
class NoticeWords:
    """What the notice says in one language; each heading stands before the text that is named after it."""

    name: str
    """The language's own name."""
    title: str
    lead: str
    """What is estimated, and from what."""
    purpose: str
    by: str
    contact: str
    kept: str
    nothing_kept: str
    means: str
    means_text: str
    object: str
    object_text: str
    law: str
    say: str
    """Heading of the sentence."""
    spoken: str
    """The sentence to say, with ``{purpose}``, ``{by_sentence}`` and ``{kept_sentence}``."""
    spoken_by: str
    spoken_nothing_kept: str
    spoken_kept: str


def words_in(language: str) -> NoticeWords:
    """The words in one of ``LANGUAGES``."""
    import tomllib  # not needed for --help

    texts = tomllib.loads(files(__package__).joinpath("languages.toml").read_text(encoding="utf-8"))
    return NoticeWords(**texts[language])
