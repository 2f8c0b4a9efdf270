"""Evaluating a network with random weights: what is scored, from what, and what is said of the rest."""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor

from emotrack.command_line import main
from emotrack.models.bundle import save_bundle
from emotrack.models.care import CareConfig
from emotrack.models.config import NetworkConfig, SpeechHeadConfig
from emotrack.models.context_network import ContextConfig
from emotrack.models.labels import EMOTIONS
from emotrack.models.network import EmotionNetwork
from emotrack.models.scorer import ConversationScorer
from emotrack.models.text_encoder import TextConfig
from emotrack.train.command_line import evaluating as cli
from emotrack.train.command_line.evaluating import add_evaluate_arguments, run_evaluate
from emotrack.train.corpora.acted_corpora import read_clips
from emotrack.train.data.dialogues import CORPORA, hear, read_corpus
from emotrack.train.errors import TrainError
from emotrack.train.evaluation.evaluate import EncodedTurn, counterpart, encode, evaluate_corpus, judge, with_only
from emotrack.train.evaluation.predictions import read_predictions

PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *(prefix + letter for letter in "abcdefghijklmnopqrstuvwxyz.!'0123456789" for prefix in ("", "##")),
]


def random_network(labels: tuple[str, ...] = EMOTIONS) -> EmotionNetwork:
    torch.manual_seed(0)
    tokenizer = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.enable_truncation(16)
    config = NetworkConfig(
        name="random",
        labels=labels,
        context=4,
        text=TextConfig(len(PIECES), width=16, layers=1, heads=2, feed_forward=32, max_tokens=16),
        speech=CareConfig(width=16, common=1, branch=1, heads=2, feed_forward=32),
        speech_head=SpeechHeadConfig(hidden=8, embedding=8),
        conversation=ContextConfig(hidden=8, heads=2, head_width=4, residual=False),
    )
    return EmotionNetwork(config, tokenizer).requires_grad_(False).eval()


@pytest.fixture(scope="module")
def network() -> EmotionNetwork:
    return random_network()


def heard(network: EmotionNetwork, folder: Path) -> list[list[EncodedTurn]]:
    corpus = read_corpus("iemocap", folder, "dev")
    return encode(network, [[hear(turn) for turn in dialogue.turns] for dialogue in corpus.dialogues])


def test_voice_and_words_are_scored_apart_and_together(network: EmotionNetwork, iemocap: Path) -> None:
    found = evaluate_corpus(network, read_corpus("iemocap", iemocap, "dev"))
    assert {name: scores.count for name, scores in found.scores.items()} == {"both": 4, "speech": 3, "text": 4}
    document = found.to_dict()
    assert document["modalities"] == "both"
    assert {name: document[name] for name in document["by_modalities"]["both"]} == document["by_modalities"]["both"]
    alone = evaluate_corpus(network, read_corpus("iemocap", iemocap, "dev"), only="speech")
    assert alone.scores == {"speech": found.scores["speech"]}


def test_a_turn_is_encoded_once_and_only_as_far_as_it_is_scored(iemocap: Path) -> None:
    network = random_network()
    calls: Counter[str] = Counter()

    def embed_text(*arguments: Any) -> Tensor:
        calls["text"] += 1
        return EmotionNetwork.embed_text(network, *arguments)

    def embed_speech(waveform: NDArray[np.float32]) -> Tensor:
        calls["speech"] += 1
        return EmotionNetwork.embed_speech(network, waveform)

    network.embed_text, network.embed_speech = embed_text, embed_speech  # type: ignore[method-assign, assignment]
    corpus = read_corpus("iemocap", iemocap, "dev")
    for only, expected in ((None, {"text": 6, "speech": 5}), ("speech", {"speech": 5}), ("text", {"text": 6})):
        calls.clear()
        evaluate_corpus(network, corpus, only=only)  # type: ignore[arg-type]
        assert calls == expected


def test_online_sees_the_past_alone_and_offline_the_whole_dialogue(network: EmotionNetwork, iemocap: Path) -> None:
    (dialogue,) = heard(network, iemocap)
    online, truth = judge(network, [dialogue], "online")
    before, _ = judge(network, [dialogue[:5]], "online")
    assert truth.tolist() == [EMOTIONS.index(name) for name in ("neutral", "joy", "joy", "anger")]
    assert torch.equal(online[:3], before)
    offline, _ = judge(network, [dialogue], "offline")
    cut, _ = judge(network, [dialogue[:5]], "offline")
    assert not torch.allclose(offline[0], cut[0])
    whole = ConversationScorer(network).score_dialogue([turn.embedding for turn in dialogue])
    assert offline[3].tolist() == pytest.approx(list(whole[5].probabilities))


def test_what_was_not_heard_is_no_turn(network: EmotionNetwork, iemocap: Path) -> None:
    (voice,) = with_only(heard(network, iemocap), "speech")
    assert [turn.embedding.text for turn in voice] == [None] * 5
    (words,) = with_only(heard(network, iemocap), "text")
    assert [turn.embedding.speech for turn in words] == [None] * 6


@pytest.mark.parametrize(
    ("name", "count", "left_out"),
    [
        ("iemocap-6", 4, {"frustration": 1}),  # to this bundle, excitement is joy
        ("emorynlp", 6, {"powerful": 1}),
        ("goemotions", 14, {"several labels": 1}),
        ("meld", 28, {}),
    ],
)
def test_labels_that_the_bundle_does_not_know_are_counted(
    request: pytest.FixtureRequest, network: EmotionNetwork, name: str, count: int, left_out: dict[str, int]
) -> None:
    folder = request.getfixturevalue(name.removesuffix("-6"))
    found = evaluate_corpus(network, read_corpus(name, folder, "dev"), "offline")
    assert next(iter(found.scores.values())).count == count
    assert found.left_out == left_out


def test_acted_clips_that_show_something_else_are_counted(
    network: EmotionNetwork, ravdess: Path, tmp_path: Path
) -> None:
    shutil.copytree(ravdess, tmp_path, dirs_exist_ok=True)
    index = tmp_path / "index.csv"
    known = len(read_corpus("acted", tmp_path, "dev").turns)
    header, *rows = index.read_text().splitlines()
    of_dev = next(place for place, row in enumerate(rows) if "ravdess-17" in row and ",happy" in row)
    rows[of_dev] = rows[of_dev].replace(",happy", ",smug")
    index.write_text("\n".join([header, *rows, ""]))
    found = evaluate_corpus(network, read_corpus("acted", tmp_path, "dev"))
    assert found.left_out == {"smug": 1}
    assert found.scores["speech"].count == known - 1
    assert "smug" not in {clip.emotion for clip in read_clips(tmp_path)}  # nothing is learned from it


def of_labels(labels: tuple[str, ...]) -> NetworkConfig:
    return NetworkConfig("some", labels)


def test_a_bundle_keeps_its_own_name_for_an_emotion() -> None:
    assert counterpart("excitement", of_labels(EMOTIONS)) == "joy"
    assert counterpart("excitement", of_labels(("joy", "excitement"))) == "excitement"
    assert counterpart("frustration", of_labels(EMOTIONS)) is None
    assert counterpart("surprise", of_labels(("neutral", "joy"))) is None


def test_what_labels_stand_for_decides_alone() -> None:
    config = replace(of_labels(("joy", "calm")), stands_for={"joy": ("excitement",), "calm": ("neutral", "sadness")})
    answers = {name: counterpart(name, config) for name in ("excitement", "joy", "calm", "neutral", "sadness")}
    assert answers == {"excitement": "joy", "joy": None, "calm": None, "neutral": "calm", "sadness": "calm"}


def test_a_corpus_of_other_labels_needs_another_bundle(network: EmotionNetwork, mosi: Path) -> None:
    corpus = read_corpus("mosi", mosi, "dev")
    with pytest.raises(TrainError, match=r"no turn has one of the bundle's labels \(neutral, joy"):
        evaluate_corpus(network, corpus)
    found = evaluate_corpus(random_network(("negative", "positive")), corpus)
    assert {name: scores.count for name, scores in found.scores.items()} == {"both": 3, "speech": 3, "text": 3}


def test_a_sentiment_from_minus_3_to_3_has_figures_of_its_own(
    mosi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_bundle(random_network(("-3", "-2", "-1", "0", "1", "2", "3")), tmp_path, {}, "# random\n")
    words = ["evaluate", "--bundle", str(tmp_path), "--corpus", "mosi-7", "--data", str(mosi)]
    assert main([*words, "--json", "--predictions", str(tmp_path / "said.csv")]) == 0
    sentiment = json.loads(capsys.readouterr().out)["sentiment"]
    said = read_predictions(tmp_path / "said.csv")
    assert list(sentiment) == list(said) == ["both", "speech", "text"]
    for modality, each in said.items():
        numbers = each.probabilities @ np.arange(-3, 4)
        assert sentiment[modality]["mae"] == pytest.approx(np.abs(numbers - [2.4, 0.0, -0.2]).mean(), abs=1e-4)
    assert main(words) == 0
    assert "Corr" in capsys.readouterr().out


def test_a_modality_that_a_corpus_lacks(network: EmotionNetwork, meld: Path, ravdess: Path) -> None:
    with pytest.raises(TrainError, match="this copy of meld has no speech"):
        evaluate_corpus(network, read_corpus("meld", meld, "dev"), only="speech")
    with pytest.raises(TrainError, match="this copy of acted has no text"):
        evaluate_corpus(network, read_corpus("acted", ravdess, "dev"), only="text")
    with pytest.raises(TrainError, match="this copy of meld has no speech: evaluate it without --modalities both"):
        evaluate_corpus(network, read_corpus("meld", meld, "dev"), only="both")
    assert list(evaluate_corpus(network, read_corpus("acted", ravdess, "dev")).scores) == ["speech"]


def test_the_command_knows_every_corpus() -> None:
    assert cli.CORPORA == CORPORA  # written out there, as help is not to wait for what knows them


def test_the_command(
    network: EmotionNetwork, iemocap: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_bundle(network, tmp_path, {}, "# random\n")
    parser = argparse.ArgumentParser()
    add_evaluate_arguments(parser)
    words = ["--bundle", str(tmp_path), "--corpus", "iemocap-6", "--data", str(iemocap)]
    assert run_evaluate(parser.parse_args([*words, "--mode", "offline", "--json"])) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["mode"], document["corpus"], document["split"]) == ("offline", "iemocap-6", "dev")
    assert document["count"] == document["by_modalities"]["text"]["count"] == 4
    assert document["left_out"] == {"frustration": 1}
    assert 0 < document["by_modalities"]["text"]["ece_by_chance"] < 1
    assert run_evaluate(parser.parse_args(words)) == 0
    shown = capsys.readouterr().out
    for part in (
        "weighted F1",
        "ECE",
        "by chance",
        "voice and words",
        "rows: truth, columns: prediction",
        "frustration 1",
    ):
        assert part in shown
