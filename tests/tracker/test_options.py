"""Numbers that are given from outside: on every command line, in the environment, in addresses."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotrack.command_line import main, whole_parser
from emotrack.errors import UsageError
from emotrack.models.bounds import MAX_SPEECH_S, MIN_SPEECH_S
from emotrack.tracker.audio import FRAME_SAMPLES, SAMPLE_RATE
from emotrack.tracker.hearing.listener import Listener
from emotrack.tracker.hearing.segmenter import Segmenter, SegmenterOptions, SpeechEnded
from emotrack.tracker.options import Bounds, environment_number
from tests.models.conftest import tiny_network

NO_NUMBERS = ["nan", "NaN", "inf", "-inf", "1e308", "-1e308", "1e999", "-1", "1" * 30, "1" * 5000, "", " ", "0x10", "x"]

Option = tuple[str, argparse.ArgumentParser, argparse.Action]


def all_options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from all_options(command)
        else:
            yield f"{parser.prog} {'/'.join(action.option_strings) or action.dest}", parser, action


OPTIONS = {name: (parser, action) for name, parser, action in all_options(whole_parser())}
NUMBERS = {name: each for name, each in OPTIONS.items() if isinstance(each[1].type, Bounds)}


def test_every_command_is_walked() -> None:
    commands = {parser.prog.removeprefix("emotrack ") for parser, _ in OPTIONS.values()}
    assert commands >= {"live", "watch", "replay", "correct", "evaluate", "train all", "train transcribe", "train care"}
    assert len(NUMBERS) >= 30
    assert {"emotrack live --max-turn", "emotrack replay --speed", "emotrack train all --seed"} <= set(NUMBERS)


def reads_a_number(reader: object) -> bool:
    if isinstance(reader, type) or reader is None:
        return reader in {int, float}
    return get_type_hints(reader)["return"] in {int, float}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_takes_words_or_a_number_with_bounds(name: str) -> None:
    _, action = OPTIONS[name]
    is_number = isinstance(action.type, Bounds)
    assert is_number or not reads_a_number(action.type), "a number has bounds: type=Bounds(low, high)"
    assert is_number or isinstance(action.default, bool) or not isinstance(action.default, int | float)
    assert is_number or action.metavar not in {"N", "SECONDS", "DBFS", "P", "USD", "MINUTES", "TURNS"}


@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_such_number_is_refused_in_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser, action = NUMBERS[name]
    bounds = action.type
    assert isinstance(bounds, Bounds)
    beyond = [str(bounds.low - 1), str(bounds.high + 1)]
    for text in [*(text for text in NO_NUMBERS if text != "-1" or -1 not in bounds), *beyond]:
        with pytest.raises(SystemExit) as ended:
            parser.parse_args([f"{action.option_strings[0]}={text}"])
        assert ended.value.code == 2
        (last,) = capsys.readouterr().err.splitlines()
        assert last.endswith(f" is no {bounds} (--help says more)"), "one line, which says what may be given"
        assert action.option_strings[0] in last
        assert len(last) < 200
    assert action.default is None or action.default in bounds
    assert bounds(str(bounds.low)) == bounds.low
    assert bounds(str(bounds.high)) == bounds.high


def test_the_user_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["live", "--mic", "--max-turn", "40", "--long-turn", "40"])
    assert ended.value.code == 2
    (last,) = capsys.readouterr().err.splitlines()
    assert (
        last == "emotrack live: error: argument --max-turn: '40' is no number between 0.5 and 30.0 (--help says more)"
    )


@pytest.mark.parametrize("field", fields(SegmenterOptions), ids=lambda field: field.name)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e308, 1e6, -1e6])
def test_a_library_is_held_to_the_same_bounds(field: object, value: float) -> None:
    name = field.name  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=f"^{name} must be a number between"):
        SegmenterOptions(**{name: value})


@st.composite
def accepted(draw: st.DrawFn) -> SegmenterOptions:
    """Options from the whole of what is accepted, its corners included."""

    def within(name: str, high: float = float("inf")) -> float:
        bounds: Bounds = next(each.metadata["bounds"] for each in fields(SegmenterOptions) if each.name == name)
        return draw(st.floats(bounds.low, max(bounds.low, min(bounds.high, high))))

    longest = within("max_turn_s")
    room = longest / 4
    onset, end_silence = within("onset"), within("end_silence_s", room)
    return SegmenterOptions(
        onset=onset,
        offset=within("offset", onset),
        min_speech_s=within("min_speech_s", room),
        min_level_dbfs=within("min_level_dbfs"),
        end_silence_s=end_silence,
        finished_silence_s=within("finished_silence_s"),
        long_turn_s=within("long_turn_s"),
        long_turn_silence_s=within("long_turn_silence_s", end_silence),
        pre_roll_s=within("pre_roll_s", room),
        trailing_s=within("trailing_s", end_silence),
        max_turn_s=longest,
        cut_window_s=within("cut_window_s", room),
    )


STRETCH = st.tuples(st.floats(0.0, 1.0), st.integers(1, 400))


@given(accepted(), st.lists(STRETCH, max_size=12), st.sampled_from([1.0, 2.0]))
def test_the_network_takes_every_turn_that_accepted_options_lead_to(
    options: SegmenterOptions, stretches: list[tuple[float, int]], patience: float
) -> None:
    segmenter = Segmenter(options)
    segmenter.patience = patience
    found = []
    for i, probability in enumerate(p for p, count in stretches for _ in range(count)):
        found += [segmenter.push(i * FRAME_SAMPLES, probability, 0.0), segmenter.so_far, segmenter.would_end]
    found.append(segmenter.flush())
    for turn in found:
        if isinstance(turn, SpeechEnded):
            assert MIN_SPEECH_S <= (turn.end - turn.start) / SAMPLE_RATE <= MAX_SPEECH_S


@pytest.mark.parametrize("seconds", [MIN_SPEECH_S, MAX_SPEECH_S])
def test_the_network_takes_the_shortest_and_the_longest(seconds: float) -> None:
    heard = np.zeros(round(seconds * SAMPLE_RATE), dtype=np.float32)
    assert tiny_network().embed_speech(heard).isfinite().all()


def test_a_listener_takes_the_longest_pre_roll() -> None:
    options = SegmenterOptions(pre_roll_s=10.0, max_turn_s=30.0)
    assert Listener(0, options).push(np.zeros(SAMPLE_RATE, dtype=np.float32), 0) == []
    with pytest.raises(ValueError, match=r"max_turn_s must be at least pre_roll_s \+"):
        SegmenterOptions(pre_roll_s=10.0, max_turn_s=10.0)


@pytest.mark.parametrize("text", ["x", "-1", "0", "nan", "1e3", "9" * 5000])
def test_a_number_in_the_environment_has_bounds_too(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_NUMBER", text)
    with pytest.raises(UsageError, match=r"SOME_NUMBER in the environment: .* is no whole number between 1 and 64"):
        environment_number("SOME_NUMBER", Bounds(1, 64), 4)


def test_an_environment_that_says_nothing_leaves_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_NUMBER", raising=False)
    assert environment_number("SOME_NUMBER", Bounds(1, 64), 4) == 4
    monkeypatch.setenv("SOME_NUMBER", "")
    assert environment_number("SOME_NUMBER", Bounds(1, 64), 4) == 4
    monkeypatch.setenv("SOME_NUMBER", "7")
    assert environment_number("SOME_NUMBER", Bounds(1, 64), 4) == 7


@pytest.mark.parametrize("port", ["0", "65536", "-1", "nan", "99999999999999999999", "1e3"])
def test_ports_have_bounds(port: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["watch", f"mqtt://localhost:{port}/"]) == 2
    llm = ("--llm", f"http://localhost:{port}/v1#m", "--corpus", str(tmp_path), "--out", str(tmp_path / "out"))
    assert main(["train", "annotate", *llm]) == 2
    with pytest.raises(SystemExit) as ended:
        main(["train", "annotate", "--llm", "vader", *llm[2:], "--engine", "ray", "--address", f"localhost:{port}"])
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("emotrack") for line in lines)
