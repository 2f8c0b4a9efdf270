"""The commands over voices that are kept. Only what ``--help`` needs is imported before one runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from emotrack.tracker.command_line.session_commands import Commands
from emotrack.tracker.messages.plain import unicode
from emotrack.tracker.options import Bounds

_DESCRIPTION = """\
Keep the voice prints of people who want to be known by name (live --known), see whose are kept, delete them.
A voice print is biometric data (GDPR, Art. 9): keep nobody's who has not agreed. Nothing is kept unless it is asked
for here; prints lie in the folder EMOTRACK_VOICES, else in the user's folder of data, readable by their owner alone.
"""

_EXAMPLES = """\
examples:
  emotrack voices enroll Ana --mic            Ana speaks for 20 s; of that, only the print is kept
  emotrack voices enroll Ben --file ben.wav   Ben speaks alone in a recording
  emotrack live --mic --known Ana,Ben         their turns carry their names from the first one on
  emotrack voices forget Ana                  delete what is kept of her
"""


def add_voice_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """Give the command line ``voices enroll``, ``voices list`` and ``voices forget``."""
    voices = commands.add_parser(
        "voices",
        help="keep voices of people who want to be known by name",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
    )
    of_voices = voices.add_subparsers(title="commands", metavar="COMMAND", required=True)

    enroll = of_voices.add_parser(
        "enroll",
        help="keep the voice print of a person who speaks alone",
        description="Keep the voice print of a person who speaks alone, and nothing of the audio.",
    )
    enroll.add_argument("name", type=unicode, metavar="NAME", help="the person's; an earlier print of it is replaced")
    source = enroll.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--mic", nargs="?", const="", metavar="DEVICE", help="a microphone: the default one, or by (part of) its name"
    )
    source.add_argument("--file", type=Path, metavar="PATH", help="a recording, of which two minutes of speech serve")
    enroll.add_argument(
        "--seconds", type=Bounds(8, 300), metavar="N", help="with --mic: how long to listen (default: 20)"
    )
    enroll.add_argument(
        "--speaker-model", type=Path, metavar="PATH", help="the embedding, if live is to use the same one of your own"
    )
    enroll.add_argument("--yes", action="store_true", help="the person has agreed: do not ask on a terminal")
    enroll.set_defaults(run=_enroll)

    listing = of_voices.add_parser(
        "list", help="whose voices are kept", description="Whose voices are kept, and where."
    )
    listing.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    listing.set_defaults(run=_list)

    forget = of_voices.add_parser("forget", help="delete a voice", description="Delete the voice print of a person.")
    forget.add_argument("name", nargs="?", type=unicode, metavar="NAME", help="the person's")
    forget.add_argument("--all", action="store_true", help="everybody's, and files that cannot be read")
    forget.set_defaults(run=_forget)


def _enroll(arguments: argparse.Namespace) -> int:
    from emotrack.tracker.command_line.enroll import run_enroll

    return run_enroll(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from emotrack.tracker.command_line.voices import run_list

    return run_list(arguments)


def _forget(arguments: argparse.Namespace) -> int:
    from emotrack.tracker.command_line.voices import run_forget_voices

    return run_forget_voices(arguments)
