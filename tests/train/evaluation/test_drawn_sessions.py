"""Clips put together to sessions in a drawn order: whose they are, what they see, and what the command says of them."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from emotrack.models.bundle import save_bundle
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.network import EmotionNetwork
from emotrack.train.command_line.evaluating import add_evaluate_arguments, run_evaluate
from emotrack.train.data.dialogues import read_corpus
from emotrack.train.errors import TrainError
from emotrack.train.evaluation.drawn_sessions import draw_sessions, evaluate_drawn_sessions
from emotrack.train.evaluation.evaluate import EncodedTurn, evaluate_corpus
from tests.train.conftest import write_rows
from tests.train.evaluation.test_evaluate import random_network


@pytest.fixture(scope="module")
def speech(ravdess: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two corpora in folders of one: a woman who speaks English, and a man of whom only that is known."""
    folder = tmp_path_factory.mktemp("speech")
    rows = list(csv.DictReader((ravdess / "index.csv").open(encoding="utf-8")))
    for corpus, speaker, traits in (
        ("one", "ravdess-17", {"gender": "f", "language": "en"}),
        ("two", "ravdess-18", {"gender": "m", "language": ""}),
    ):
        own = [row for row in rows if row["speaker"] == speaker]
        write_rows(
            folder / corpus / "index.csv",
            [{"file": ravdess / row["file"], "speaker": speaker, "emotion": row["emotion"], **traits} for row in own],
        )
    return folder


@pytest.fixture(scope="module")
def network() -> EmotionNetwork:
    return random_network()


def clips() -> list[EncodedTurn]:
    def clip(number: int, speaker: str, corpus: str) -> EncodedTurn:
        return EncodedTurn(TurnEmbedding(torch.tensor([float(number)]), None, speaker), "joy", {"corpus": corpus})

    return [clip(number, "ab"[number % 2], "xy"[number % 2]) for number in range(10)]


def numbers(session: list[EncodedTurn]) -> list[int]:
    speech = [turn.embedding.speech for turn in session]
    return [int(each) for each in speech if isinstance(each, Tensor)]


def test_a_session_is_a_speaker_or_a_corpus_of_unknown_speakers() -> None:
    by_speaker = {session[0].embedding.speaker: session for session in draw_sessions(clips(), "speaker", 0)}
    assert {speaker: sorted(numbers(session)) for speaker, session in by_speaker.items()} == {
        "a": [0, 2, 4, 6, 8],
        "b": [1, 3, 5, 7, 9],
    }
    by_corpus = draw_sessions(clips(), "corpus", 0)
    assert sorted(sorted(numbers(session)) for session in by_corpus) == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]
    assert {turn.embedding.speaker for session in by_corpus for turn in session} == {None}


def test_a_seed_draws_an_order() -> None:
    drawn = [[numbers(session) for session in draw_sessions(clips(), "speaker", seed)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert any(session != sorted(session) for session in drawn[0])


def test_a_clip_is_no_context_of_another(network: EmotionNetwork, speech: Path) -> None:
    corpus = read_corpus("acted", speech, "dev")
    alone = evaluate_corpus(network, corpus)
    for found in evaluate_drawn_sessions(network, corpus, "speaker", (0, 1)).values():
        assert found.scores["speech"].confusion == alone.scores["speech"].confusion


def test_scores_are_told_apart_by_what_is_known_of_the_clips(network: EmotionNetwork, speech: Path) -> None:
    found = evaluate_corpus(network, read_corpus("acted", speech, "dev"))
    counts = {
        trait: {value: scores.count for value, scores in values.items()} for trait, values in found.by_trait.items()
    }
    assert counts == {"corpus": {"one": 8, "two": 8}, "gender": {"f": 8, "m": 8}}  # one language is no comparison
    summed = torch.tensor([scores.confusion for scores in found.by_trait["gender"].values()]).sum(dim=0)
    assert torch.equal(summed, torch.tensor(found.scores["speech"].confusion))


def test_conversations_are_not_drawn(network: EmotionNetwork, conversations: Path) -> None:
    with pytest.raises(TrainError, match=r"acted has conversations; --session corpus draws them of clips"):
        evaluate_drawn_sessions(network, read_corpus("acted", conversations, "dev"), "corpus", (0,))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["--corpus", "acted", "--seed", "1"],
            "--seed is for --missing, and --session speaker and corpus, which are drawn",
        ),
        (["--corpus", "meld", "--session", "speaker"], "--session speaker is for --corpus acted"),
        (["--corpus", "acted", "--session", "corpus", "--mode", "offline"], "--session corpus is scored online"),
    ],
)
def test_what_does_not_go_together(
    words: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_evaluate_arguments(parser)
    assert run_evaluate(parser.parse_args(["--data", str(tmp_path), *words])) == 2
    assert capsys.readouterr().err.strip() == f"emotrack evaluate: {complaint}"


def test_several_seeds_have_a_mean_and_a_spread(
    network: EmotionNetwork, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_bundle(network, tmp_path, {}, "# random\n")
    parser = argparse.ArgumentParser()
    add_evaluate_arguments(parser)
    words = ["--bundle", str(tmp_path), "--corpus", "acted", "--data", str(speech), "--session", "speaker"]
    assert run_evaluate(parser.parse_args([*words, "--seed", "3", "4", "--json"])) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["session"], document["seeds"], set(document["runs"])) == ("speaker", [3, 4], {"3", "4"})
    assert set(document["scores"]) == {"voice", "corpus one", "corpus two", "gender f", "gender m"}
    uar = document["scores"]["voice"]["uar"]
    assert uar["mean"] == pytest.approx(sum(uar["seeds"].values()) / 2, abs=1e-4)
    assert run_evaluate(parser.parse_args([*words, "--seed", "3", "4"])) == 0
    shown = capsys.readouterr().out
    assert "gender f" in shown
    assert "0.000" in shown
    assert "mean ± sample standard deviation of 2 seeds" in shown
