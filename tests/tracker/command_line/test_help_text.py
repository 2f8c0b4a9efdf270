"""How ``--help`` is set on terminals of several widths."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from emotrack.command_line import whole_parser
from emotrack.tracker.command_line.help_text import HelpFormatter

TEXT = """\
numbers:
  one        the first of them, than which there is none smaller
             but for nought
  one, two   both
Of all of them there are more than anybody has ever
counted.

examples:
  emotrack count --from one --to a-very-large-number-indeed
  emotrack count
"""


def set_in(width: int) -> str:
    return argparse.ArgumentParser(
        "count", epilog=TEXT, add_help=False, formatter_class=lambda prog: HelpFormatter(prog, width=width)
    ).format_help()


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:  # argparse has no other list of them
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from parsers(inner)


def test_paragraphs_are_filled_and_tables_and_commands_kept() -> None:
    assert set_in(50) == (
        "usage: count\n\n"
        "numbers:\n"
        "  one        the first of them, than which there\n"
        "             is none smaller but for nought\n"
        "  one, two   both\n"
        "Of all of them there are more than anybody has\n"
        "ever counted.\n\n"
        "examples:\n"
        "  emotrack count --from one --to a-very-large-number-indeed\n"
        "  emotrack count\n"
    )


def test_where_the_left_column_is_wide_the_right_one_stands_below() -> None:
    assert set_in(22).split("\n\n")[1] == (
        "numbers:\n"
        "  one\n"
        "      the first of\n"
        "      them, than which\n"
        "      there is none\n"
        "      smaller but for\n"
        "      nought\n"
        "  one, two\n"
        "      both\n"
        "Of all of them there\n"
        "are more than anybody\n"
        "has ever counted."
    )


@pytest.mark.parametrize("width", [60, 80, 122])
def test_no_help_is_wider_than_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    commands = list(parsers(whole_parser()))
    assert len(commands) > 20
    for command in commands:
        for line in command.format_help().splitlines():
            is_whole = line.lstrip().startswith(("emotrack ", "torchrun ", "-", "[", "{"))  # a command, an option
            assert len(line) <= width or is_whole, f"{command.prog}: {line}"
