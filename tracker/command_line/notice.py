"""``emotrack notice``: what the people who can be heard have to be told, to print and to say."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from emotrack.errors import UsageError
from emotrack.tracker.command_line.session_commands import Commands
from emotrack.tracker.messages.output import say, show
from emotrack.tracker.notice.languages import LANGUAGES

_EXAMPLES: Final = """\
examples:
  emotrack notice --for "finding out how we sound when we argue" --by "Ana Kovač"
  emotrack notice --for "Forschung zu Gesprächen" --language de --kept "Schätzungen ohne Ton, bis Ende 2027"

The page is written for the printer; the words on standard output are to be read aloud before the session begins. Then
start it with: emotrack live --notice-given ... What --save or --keep-audio keep has to be told here with --kept.
"""


def add_notice_command(commands: Commands[argparse.ArgumentParser]) -> None:
    """Give the command line ``notice``."""
    notice = commands.add_parser(
        "notice",
        help="write and print what the people in the room have to be told",
        description="Write a page for the people who can be heard, and print the words to read aloud to them: what"
        " is estimated, by whom, for what, what is kept, and how to object (AI Act, Art. 50(3)).",
        epilog=_EXAMPLES,
    )
    notice.add_argument(
        "--for", dest="purpose", required=True, metavar="PURPOSE", help="what it is for, in its language"
    )
    notice.add_argument("--by", metavar="NAME", help="who is responsible (default: a line to fill in)")
    notice.add_argument("--contact", metavar="WORDS", help="how to reach them (default: a line to fill in)")
    notice.add_argument("--kept", metavar="WORDS", help="what is kept and for how long (default: nothing is kept)")
    notice.add_argument("--language", default="en", choices=LANGUAGES, help="of the page (default: en)")
    notice.add_argument(
        "-o", "--output", type=Path, metavar="FILE.html", help="the page (default: notice.LANGUAGE.html)"
    )
    notice.set_defaults(run=_notice)


def _notice(arguments: argparse.Namespace) -> int:
    from emotrack.tracker.notice.notice import MAX_CHARS, RoomNotice, write_notice

    given = {"--for": arguments.purpose, "--by": arguments.by, "--contact": arguments.contact, "--kept": arguments.kept}
    for option, words in given.items():
        if words is not None and not 0 < len(words.strip()) <= MAX_CHARS:
            raise UsageError(f"{option}: 1 to {MAX_CHARS} characters")
    notice = RoomNotice(arguments.language, arguments.purpose, arguments.by, arguments.contact, arguments.kept)
    path = arguments.output or Path(f"notice.{arguments.language}.html")
    was_there = path.exists()
    write_notice(notice, path)
    show(notice.spoken())
    say(f"the page to print is {path}, written over the one before" if was_there else f"the page to print is {path}")
    return 0
