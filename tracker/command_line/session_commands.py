"""The commands over saved sessions. Only what ``--help`` needs is imported before one runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from emotrack.errors import UsageError
from emotrack.tracker.messages.output import say, show, show_tables
from emotrack.tracker.options import Bounds
from emotrack.tracker.sessions.formats import FORMAT_NAMES

if TYPE_CHECKING:
    from emotrack.tracker.sessions.reading.reader import Session

Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse names it nowhere else


def add_session_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """Give the command line ``report``, ``replay``, ``export``, ``correct``, ``compare`` and ``redact``."""
    report = _command(commands, "report", "make a web page of a saved session", run=_report)
    report.add_argument("-o", "--output", type=Path, metavar="FILE.html", help="default: beside the session, as .html")

    replay = _command(commands, "replay", "watch a saved session again, on the dashboard", run=_replay)
    replay.epilog = (
        "keys: space pauses, left and right seek 10 s, up and down change the speed, Home starts again, q quits"
    )
    replay.add_argument(
        "--speed",
        type=Bounds(0.25, 100.0),
        default=1.0,
        metavar="N",
        help="times the pace of the conversation (default: 1)",
    )

    export = _command(commands, "export", "write a saved session in another format", run=_export)
    export.add_argument("--to", required=True, choices=FORMAT_NAMES, help="the format")
    export.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: standard output")

    correct = _command(commands, "correct", "tell what turns really sounded like, and who speaks", run=_correct)
    correct.epilog = (
        "keys: a number or the letter of an emotion sets it, Enter says that the estimate is right, space plays the"
        " turn again where its audio was kept, right skips, left goes back, q quits. Corrections are added to the"
        " file; what was estimated stays."
    )
    correct.add_argument("--all", action="store_true", help="walk through all turns, not only the uncertain ones")
    correct.add_argument(
        "--set", action="append", default=[], metavar="TURN=EMOTION", help="correct a turn without asking; repeat"
    )
    correct.add_argument(
        "--rename",
        action="append",
        default=[],
        metavar="SPEAKER=NAME",
        help="say who a speaker is, without asking; repeat",
    )

    compare = commands.add_parser(
        "compare", help="how far two runs agree", description="How far two saved sessions agree, turn by turn."
    )
    compare.add_argument("a", type=Path, metavar="A.jsonl")
    compare.add_argument("b", type=Path, metavar="B.jsonl")
    compare.add_argument("--truth", type=Path, metavar="FILE.json", help='{"turns": [{"start", "end", "emotion"}]}')
    compare.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    compare.set_defaults(run=_compare)

    redact = commands.add_parser(
        "redact",
        help="copy a saved session without words or names",
        description="Copy a saved session without its words, without the names of its speakers, or without both.",
    )
    redact.add_argument("file", type=Path, metavar="SESSION.jsonl")
    redact.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.jsonl")
    redact.add_argument("--words", action="store_true", help="drop what was said")
    redact.add_argument(
        "--speakers",
        action="store_true",
        help="drop who said it; names that were spoken stay, unless --words is given too",
    )
    redact.set_defaults(run=_redact)


def _command(commands: Commands[argparse.ArgumentParser], name: str, help: str, run: object) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
    parser.add_argument("file", type=Path, metavar="SESSION.jsonl", help="what emotrack live --save wrote")
    parser.add_argument("--session", metavar="NAME", help="which one, where the file holds several (default: the last)")
    parser.set_defaults(run=run)
    return parser


def _read(path: Path, name: str | None = None) -> Session:
    """One session of a file; what is missing in it is said."""
    from emotrack.tracker.sessions.reading.reader import missing_lines, read_session

    session = read_session(path, name)
    _tell(missing_lines([session]))
    return session


def _tell(lines: Iterable[str]) -> None:
    for line in lines:
        say(line)


def _report(arguments: argparse.Namespace) -> int:
    from emotrack.tracker.sessions.report import write_report

    path = arguments.output or arguments.file.with_suffix(".html")
    write_report(_read(arguments.file, arguments.session), path)
    show(path)
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    from emotrack.tracker.sessions.replay.replay import run_replay

    return run_replay(_read(arguments.file, arguments.session), arguments.speed)


def _export(arguments: argparse.Namespace) -> int:
    from emotrack.tracker.sessions.documents import write_document
    from emotrack.tracker.sessions.export import export

    text = export(_read(arguments.file, arguments.session), arguments.to)
    if arguments.output is None:
        show(text, end="")
        return 0
    write_document(text, arguments.output)
    return 0


def _correct(arguments: argparse.Namespace) -> int:
    from emotrack.tracker.sessions.correct.correct import run_correct

    return run_correct(
        _read(arguments.file, arguments.session), arguments.set, arguments.rename, everything=arguments.all
    )


def _compare(arguments: argparse.Namespace) -> int:
    from emotrack.tracker.sessions.compare.compare import compare, read_truth
    from emotrack.tracker.sessions.compare.compare_view import render

    truth = read_truth(arguments.truth) if arguments.truth else None
    found = compare(_read(arguments.a), _read(arguments.b), truth)
    if arguments.json:
        show(json.dumps(found.to_dict()))
    else:
        show_tables(render(found))
    return 0


def _redact(arguments: argparse.Namespace) -> int:
    from emotrack.tracker.sessions.reading.reader import missing_lines, read_sessions
    from emotrack.tracker.sessions.redact import redact

    if not (arguments.words or arguments.speakers):
        raise UsageError("say what to drop: --words, --speakers or both")
    unreadable = redact(arguments.file, arguments.output, words=arguments.words, speakers=arguments.speakers)
    _tell(missing_lines(read_sessions(arguments.file)))
    if unreadable:
        say(f"{unreadable} lines could not be read and were left out")
    return 0
