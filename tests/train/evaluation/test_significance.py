"""Predictions as tables, and whether those of one network are better than those of another."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from emotrack.command_line import main
from emotrack.models.bundle import save_bundle
from emotrack.train.errors import TrainError
from emotrack.train.evaluation.metrics import score
from emotrack.train.evaluation.predictions import Predictions, read_predictions, write_predictions
from emotrack.train.evaluation.significance import compare
from tests.train.evaluation.test_evaluate import random_network

LABELS = ("neutral", "joy", "anger")
SCORED = {"corpus": "meld", "split": "dev", "mode": "online", "words": "corpus"}


def predictions(truth: list[int], said: list[int], dialogues: list[int]) -> Predictions:
    turns = [(f"d{dialogue}", str(number), "Ana") for number, dialogue in enumerate(dialogues)]
    return Predictions(LABELS, turns, np.array(truth), np.eye(3, dtype=np.float32)[said])


TRUTH = [0, 1, 2, 0, 1, 2, 0, 1]
WORSE, BETTER = [0, 1, 0, 1, 1, 0, 0, 0], [0, 1, 2, 0, 1, 0, 0, 0]
DIALOGUES = [0, 0, 1, 1, 2, 2, 3, 3]


def f1(said: list[int]) -> float:
    return score(np.eye(3)[said], np.array(TRUTH), LABELS).weighted_f1


def test_the_difference_is_that_of_the_scores_and_its_chance_that_of_all_shuffles() -> None:
    found = compare(predictions(TRUTH, WORSE, DIALOGUES), predictions(TRUTH, BETTER, DIALOGUES), 20_000, 0)
    assert (found.turns, found.dialogues) == (8, 4)
    assert (found.first, found.second) == pytest.approx((f1(WORSE), f1(BETTER)))
    assert found.difference == pytest.approx(f1(BETTER) - f1(WORSE))
    shuffles = []
    for swapped in itertools.product((False, True), repeat=4):
        pairs = [(b, a) if swapped[d] else (a, b) for a, b, d in zip(WORSE, BETTER, DIALOGUES, strict=True)]
        shuffles.append(f1([b for _, b in pairs]) - f1([a for a, _ in pairs]))
    exact = np.mean([abs(each) >= found.difference - 1e-9 for each in shuffles])
    assert found.p == pytest.approx(float(exact), abs=0.015)
    assert found.low == 0.0  # the one dialogue in which they differ is not drawn
    assert found.difference < found.high <= 1.0
    same = compare(predictions(TRUTH, WORSE, DIALOGUES), predictions(TRUTH, BETTER, DIALOGUES), 20_000, 0)
    assert same == found


def test_many_dialogues_in_which_one_is_better_are_no_chance() -> None:
    truth, dialogues = TRUTH * 20, [number // 8 for number in range(160)]
    found = compare(predictions(truth, WORSE * 20, dialogues), predictions(truth, BETTER * 20, dialogues), 2_000, 1)
    assert found.p == pytest.approx(1 / 2_001)
    assert found.low == pytest.approx(found.difference) == found.high  # every dialogue is the same
    nothing = compare(predictions(truth, WORSE * 20, dialogues), predictions(truth, WORSE * 20, dialogues), 500, 1)
    assert (nothing.difference, nothing.p, nothing.low, nothing.high) == (0.0, 1.0, 0.0, 0.0)


def test_turns_are_matched_by_name_and_labels_by_what_they_are_called() -> None:
    first, second = predictions(TRUTH, WORSE, DIALOGUES), predictions(TRUTH, BETTER, DIALOGUES)
    other = ("joy", "anger", "neutral", "fear")
    columns = [LABELS.index(label) if label in LABELS else 0 for label in other]
    backwards = Predictions(
        other,
        second.turns[::-1],
        np.array([other.index(LABELS[truth]) for truth in TRUTH[::-1]]),
        np.where(np.array(other) == "fear", 0.0, second.probabilities[::-1][:, columns]).astype(np.float32),
    )
    assert compare(first, backwards, 100, 0).second == pytest.approx(f1(BETTER))
    for changed, complaint in (
        (predictions(TRUTH[:7], BETTER[:7], DIALOGUES[:7]), "turn 7 of dialogue d3 is in one of the tables only"),
        (predictions([1, *TRUTH[1:]], BETTER, DIALOGUES), "turn 0 of dialogue d0 has another truth"),
    ):
        with pytest.raises(TrainError, match=complaint):
            compare(first, changed, 100, 0)
    with pytest.raises(TrainError, match="one of the tables has 7 turns, the other one 8"):
        compare(predictions(TRUTH[:7], BETTER[:7], DIALOGUES[:7]), first, 100, 0)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_tables_are_read_as_they_were_written(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"said.{ending}"
    write_predictions([("both", predictions(TRUTH, BETTER, DIALOGUES))], SCORED, path)
    (found,) = read_predictions(path).values()
    assert found.labels == LABELS
    assert found.turns[7] == ("d3", "7", "Ana")
    assert found.truth.tolist() == TRUTH
    assert found.predicted.tolist() == BETTER


def test_evaluate_writes_them_and_significance_compares_them(
    iemocap: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_bundle(random_network(), tmp_path / "bundle", {}, "# random\n")
    words = ["evaluate", "--bundle", str(tmp_path / "bundle"), "--corpus", "iemocap", "--data", str(iemocap), "--json"]
    table = tmp_path / "a.csv"
    assert main([*words, "--predictions", str(table)]) == 0
    scores = json.loads(capsys.readouterr().out)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    counts = {name: each["count"] for name, each in scores["by_modalities"].items()}
    assert {name: sum(row["modalities"] == name for row in rows) for name in counts} == counts
    first = rows[0]
    assert {name: first[name] for name in ("corpus", "split", "mode", "dialogue", "turn", "speaker", "truth")} == {
        "corpus": "iemocap",
        "split": "dev",
        "mode": "online",
        "dialogue": "Ses01F_impro01",
        "turn": "Ses01F_impro01_F000",
        "speaker": "Ses01F",
        "truth": "neutral",
    }
    assert sum(float(value) for name, value in first.items() if name.startswith("p_")) == pytest.approx(1.0, abs=1e-5)
    right = sum(row["truth"] == row["predicted"] for row in rows if row["modalities"] == "both")
    assert right / counts["both"] == scores["accuracy"]
    assert main(["train", "significance", str(table), str(table), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["first"], found["p"]) == (pytest.approx(scores["weighted_f1"], abs=1e-4), 1.0)
    assert main(["train", "significance", str(table), str(table), "--modalities", "text"]) == 0
    assert "4 turns in 1 dialogues, weighted F1: A" in capsys.readouterr().out
    pair = ["train", "significance", str(table), str(table), "--json", "--modalities"]
    assert main([*pair, "text", "both"]) == 0
    found = json.loads(capsys.readouterr().out)
    each = [scores["by_modalities"][name]["weighted_f1"] for name in ("text", "both")]
    assert [found["first"], found["second"]] == pytest.approx(each, abs=1e-4)
    assert main([*pair, "text", "both", "text"]) == 2
    assert "--modalities names one, or one of A and one of B" in capsys.readouterr().err


def test_what_is_no_table_of_predictions_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    assert main(["train", "significance", str(tmp_path / "a.csv"), str(tmp_path / "a.csv")]) == 1
    assert "a.csv: no column 'corpus'" in capsys.readouterr().err
    columns = "corpus,split,mode,modalities,dialogue,turn,speaker,truth,predicted"
    for text, says in (
        ("", "a.csv: is empty"),
        (columns, "a.csv: no predictions in it"),
        (f"{columns}\nmeld,dev,online,text,0,0,Ana,joy,joy", "a truth is joy, and there is no column p_joy"),
    ):
        (tmp_path / "a.csv").write_text(text)
        assert main(["train", "significance", str(tmp_path / "a.csv"), str(tmp_path / "a.csv")]) == 1
        assert says in capsys.readouterr().err
    assert main(["train", "significance", str(tmp_path / "a.txt"), str(tmp_path / "a.csv")]) == 2
    assert "a.txt: predictions are written as .csv or .parquet" in capsys.readouterr().err
    words = ["evaluate", "--corpus", "meld", "--data", str(tmp_path)]
    for option, place, says in (
        ("--predictions", "a.txt", "a.txt: predictions are written as"),
        ("--predictions", tmp_path / "nowhere/a.csv", "nowhere/a.csv: its folder is not there"),
        ("--drawings", tmp_path / "a.csv", "a.csv: is no folder"),
    ):
        assert main([*words, option, str(place)]) == 2
        assert says in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["nan", "inf", "-7", "1.5"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_is_no_probability_is_refused(tmp_path: Path, ending: str, wrong: str) -> None:
    path = tmp_path / f"said.{ending}"
    said = predictions(TRUTH, BETTER, DIALOGUES)
    said.probabilities[3, 0] = float(wrong)
    write_predictions([("both", said)], SCORED, path)
    with pytest.raises(TrainError, match="turn 3 of dialogue d1 has a probability outside 0 to 1"):
        read_predictions(path)
