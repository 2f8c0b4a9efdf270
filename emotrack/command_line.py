"""The command ``emotrack``: Ctrl-C, exit codes, and one line for what goes wrong.

Next to nothing is imported before Ctrl-C is looked after; the parser and all the rest come when they are needed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from emotrack.tracker.interrupts import end_at_once, exit_code_of, raising_interrupts, take_over

if TYPE_CHECKING:
    import argparse

    from emotrack.tracker.command_line.session_commands import Commands

EXIT_FAILURE = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``emotrack`` with ``argv`` and return its exit code.

    Without ``argv`` it is the command line of the process, whose signals and streams are then taken care of as well.
    """
    began = time.perf_counter()
    if argv is not None:
        return _run(argv, began, nullcontext())
    argv = sys.argv[1:]
    interrupted = exit_code_of(argv)
    take_over(interrupted)
    from emotrack.tracker.messages.output import flush_output, open_streams, say

    open_streams()
    try:
        code = _run(argv, began, raising_interrupts(interrupted) if interrupted else nullcontext())
    except SystemExit as end:  # of the parser
        code = end.code if isinstance(end.code, int) else EXIT_FAILURE
    if failed := flush_output():
        say(failed)
        code = code or EXIT_FAILURE
    end_at_once(code)
    return code


def _run(argv: Sequence[str], began: float, working: AbstractContextManager[None]) -> int:
    """Run a command, within ``working`` -> exit code. Only a mistake of the program itself is raised."""
    from emotrack.errors import EmotrackError
    from emotrack.tracker.errors import reason_of
    from emotrack.tracker.messages.notices import notices_to
    from emotrack.tracker.messages.output import hold_tongue, say

    try:
        arguments = whole_parser().parse_args(argv)
        arguments.began = began
        with notices_to(lambda notice: say(notice.line)), working:
            code: int = arguments.run(arguments)
    except EmotrackError as error:
        say(error)
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted")
        return exit_code_of(argv)
    except Exception as error:
        from emotrack.models.extras import missing_extra  # not needed for --help

        lacking = missing_extra(error) if isinstance(error, ModuleNotFoundError) else None
        if (reason := lacking or reason_of(error)) is None:
            raise
        say(reason)
        hold_tongue()
        return EXIT_FAILURE
    return code


def whole_parser() -> argparse.ArgumentParser:
    """The parser of every command, those of training included."""
    from emotrack.tracker.command_line.parser import make_parser

    parser, commands = make_parser()
    _add_training(commands)
    return parser


def _add_training(commands: Commands[argparse.ArgumentParser]) -> None:
    from emotrack.train.command_line.commands import add_train_arguments, run_train
    from emotrack.train.command_line.evaluating import add_evaluate_arguments, run_evaluate

    train = commands.add_parser("train", help="train a bundle", description="Train a bundle from public corpora.")
    add_train_arguments(train)
    train.set_defaults(run=run_train)
    evaluate = commands.add_parser("evaluate", help="measure a bundle", description="Measure a bundle on a corpus.")
    add_evaluate_arguments(evaluate)
    evaluate.set_defaults(run=run_evaluate)


if __name__ == "__main__":
    sys.exit(main())
