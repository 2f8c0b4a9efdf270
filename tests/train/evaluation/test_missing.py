"""A sweep over the share of turns that lack their words, or their voice."""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import mean, stdev
from xml.etree import ElementTree as ET

import pytest

from emotrack.command_line import main
from emotrack.models.bundle import save_bundle
from emotrack.models.network import EmotionNetwork
from emotrack.train.corpora import Corpus
from emotrack.train.data.dialogues import read_corpus
from emotrack.train.errors import TrainError
from emotrack.train.evaluation.evaluate import EncodedTurn, encode_corpus, scored, with_only
from emotrack.train.evaluation.missing import SHARES, MissingScore, _without, sweep
from emotrack.train.figures.missing_chart import missing_table
from tests.train.evaluation.test_evaluate import random_network


@pytest.fixture(scope="module")
def network() -> EmotionNetwork:
    return random_network()


@pytest.fixture(scope="module")
def corpus(whole_iemocap: Path) -> Corpus:
    """Three dialogues of six turns, five of which have a voice."""
    return read_corpus("iemocap", whole_iemocap, "train")


@pytest.fixture(scope="module")
def encoded(network: EmotionNetwork, corpus: Corpus) -> list[list[EncodedTurn]]:
    return encode_corpus(network, corpus)


def test_its_ends_are_both_and_one_alone(
    network: EmotionNetwork, corpus: Corpus, encoded: list[list[EncodedTurn]]
) -> None:
    found = list(sweep(network, encoded, "offline", (3, 4)))
    assert [each.share for each in found if each.missing == "words"] == sorted([*SHARES, *SHARES[1:-1]])
    assert {each.count for each in found} == {12}, "every turn is answered at every share"
    assert {each.draw for each in found if each.share in {0.0, 1.0}} == {3}
    whole = scored(network, corpus, encoded, ["both", "text"], "offline").scores
    none = [each for each in found if each.share == 0.0]
    assert [each.weighted_f1 for each in none] == [whole["both"].weighted_f1] * 2
    (words,) = (each for each in found if each.missing == "voice" and each.share == 1.0)
    assert words.weighted_f1 == whole["text"].weighted_f1
    again = list(sweep(network, encoded, "offline", (3, 4)))
    assert again == found
    assert {each.weighted_f1 for each in found if each.draw == 3} != {each.weighted_f1 for each in found}


def test_only_what_has_both_loses_one(encoded: list[list[EncodedTurn]]) -> None:
    dialogues = with_only(encoded, "both")
    lacking = {(1, 0), (2, 3)}
    for missing, kept, gone in (("words", "speech", "text"), ("voice", "text", "speech")):
        found = _without(dialogues, missing, lacking)  # type: ignore[arg-type]
        for row, turns in enumerate(found):
            for column, turn in enumerate(turns):
                before = dialogues[row][column].embedding
                assert getattr(turn.embedding, kept) is getattr(before, kept)
                assert getattr(turn.embedding, gone) is (None if (row, column) in lacking else getattr(before, gone))


def test_words_alone_have_nothing_to_lose(network: EmotionNetwork, encoded: list[list[EncodedTurn]]) -> None:
    with pytest.raises(TrainError, match="no turn has voice and words"):
        list(sweep(network, with_only(encoded, "text"), "offline", (0,)))


def test_means_and_spreads() -> None:
    scores = {(0.0, 0): 0.75, (0.5, 0): 0.5, (0.5, 1): 0.25, (1.0, 0): 0.125}
    found = [
        MissingScore("online", "voice", share, None, draw, 9, f1, f1, f1, f1) for (share, draw), f1 in scores.items()
    ]
    assert missing_table("a, dev", found).splitlines()[2:] == [
        "| share | lack voice |",
        "|---|---|",
        "| 0% | 75.00 |",
        f"| 50% | {mean([50, 25]):.2f} ± {stdev([50, 25]):.2f} |",
        "| 100% | 12.50 |",
    ]


def test_the_command_writes_table_and_drawing(
    network: EmotionNetwork, iemocap: Path, meld: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_bundle(network, tmp_path / "bundle", {}, "# random\n")
    words = ["evaluate", "--bundle", str(tmp_path / "bundle"), "--mode", "offline", "--missing", str(tmp_path / "out")]
    assert main([*words, "--corpus", "iemocap", "--data", str(iemocap), "--seed", "0", "1"]) == 0
    with (tmp_path / "out/missing.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (2 + 2 * 9)
    assert (tmp_path / "out/missing.md").read_text().count("| 90% |") == 1
    drawing = ET.parse(tmp_path / "out/missing.svg")
    assert len(drawing.findall(".//{*}circle")) == 2 * 11
    capsys.readouterr()
    for options, complaint in (
        (["--corpus", "meld", "--data", str(meld)], "of meld there is nothing with voice and words"),
        (["--corpus", "acted", "--data", str(meld), "--session", "speaker"], "are for --session clip"),
    ):
        assert main([*words, *options]) == 2
        assert complaint in capsys.readouterr().err
