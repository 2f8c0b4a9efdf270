"""Adapting the shipped bundle to corrections: it learns what is there to learn, and is refused when nothing is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from emotrack.command_line import main
from emotrack.models.bundle import load_bundle
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.network import EmotionNetwork
from emotrack.models.scorer import ConversationScorer
from emotrack.train.adapting.adapt import CorrectedTurn, _as_met, cross_validate, predict, retrain
from tests.train.conftest import tone, write_audio

# Said in every mood here: what the words alone tell is wrong, and a person tells it in the same way each time.
HABITS = {"well then": "anger", "as you like": "sadness", "there you go": "joy", "let us see": "fear"}


@pytest.fixture(scope="module")
def network() -> EmotionNetwork:
    return load_bundle("mini")


def corrected(network: EmotionNetwork, pairs: list[tuple[str, str]]) -> list[CorrectedTurn]:
    found = []
    voices = [network.embed_speech(tone(sound, 1.0, 0)) for sound in range(4)]
    for number, (text, emotion) in enumerate(pairs):
        scorer = ConversationScorer(network)
        context = scorer.new_context()
        scorer.estimate(context, TurnEmbedding(voices[number % 4], network.embed_text(text), None, text))
        found.append(_as_met(network, context, network.labels.index(emotion)))
    return found


def habitual(count: int) -> list[tuple[str, str]]:
    names = ["Ana", "Ben", "my friend", "sir", "madam", "dear", "all", "both", "children", "Tom"]
    habits = list(HABITS.items())
    return [(f"{habits[i % 4][0]} {names[i // 4 % 10]}", habits[i % 4][1]) for i in range(count)]


def test_the_weights_move_a_little_and_the_encoders_not_at_all(network: EmotionNetwork) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    turns = corrected(network, habitual(24))
    adapted, held_back = (retrain(network, turns, penalty) for penalty in (3.0, 300.0))
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])  # the bundle itself is left alone
    for name, value in adapted.state_dict().items():
        if name.startswith("co_attention.classify."):
            moved, less = (float((new - before[name]).norm()) for new in (value, held_back.state_dict()[name]))
            assert 0.0 < less < moved < 5.0
        else:
            assert torch.equal(value, before[name])


def test_a_corrected_turn_is_met_as_it_was_tracked(network: EmotionNetwork) -> None:
    scorer = ConversationScorer(network)
    speech, context = network.embed_speech(tone(1, 1.0, 0)), scorer.new_context(3)
    for number, (text, _) in enumerate(habitual(5)):
        voice = speech if number % 2 else None
        turn = TurnEmbedding(voice, network.embed_text(text, context.words), f"speaker {number % 2}", text)
        estimate = scorer.estimate(context, turn)
        turn_met = _as_met(network, context, 0)
        assert turn_met.has_say == (voice is not None)  # the last layer has no part in a turn without a voice
        met = predict(network, [turn_met])[0].exp()
        torch.testing.assert_close(met, torch.tensor(estimate.probabilities), atol=1e-6, rtol=1e-4)


def test_a_room_with_habits_of_its_own_is_learned(network: EmotionNetwork) -> None:
    turns = corrected(network, habitual(40))
    truth = torch.tensor([turn.truth for turn in turns])
    before = float(nn.functional.nll_loss(predict(network, turns), truth))
    held_out = float(nn.functional.nll_loss(cross_validate(network, turns, penalty=3.0, seed=0), truth))
    assert held_out < before


def write_session(path: Path, pairs: list[tuple[str, str]], with_audio: bool) -> None:
    stamp: dict[str, Any] = {"site": "room", "session": path.stem, "time": "2026-01-02T03:04:05.678Z"}
    latency = dict.fromkeys(("end_of_turn", "queued", "recognition", "encoding", "context", "after_end"), 0.0)
    lines = []
    for number, (text, emotion) in enumerate(pairs, start=1):
        audio = None
        if with_audio:
            audio = f"{path.stem}.audio/{number}.flac"
            (path.parent / audio).parent.mkdir(exist_ok=True)
            write_audio(path.parent / audio, tone(number % 4, 1.0, number), codec="flac")
        lines.append(
            stamp
            | {"type": "turn", "turn_id": number, "start_s": 3.0 * number, "end_s": 3.0 * number + 2, "speaker": None}
            | {"text": text, "text_source": "captions", "emotion": "neutral", "confidence": 0.5, "uncertain": True}
            | {"probabilities": {"neutral": 0.5, "joy": 0.5}, "modalities": ["text"], "truncated": False}
            | {"latency_ms": latency, "audio": audio}
        )
        lines.append(stamp | {"type": "correction", "turn_id": number, "emotion": emotion})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def run(tmp_path: Path, meld: Path) -> int:
    out = tmp_path / "adapted"
    command = ["train", "adapt", "--sessions", str(tmp_path / "talks"), "--data", f"meld={meld}", "--out", str(out)]
    return main(command)


def test_from_saved_sessions_to_a_bundle(tmp_path: Path, meld: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "talks").mkdir()
    write_session(tmp_path / "talks" / "monday.jsonl", habitual(30), with_audio=True)
    write_session(tmp_path / "talks" / "tuesday.jsonl", habitual(40)[30:], with_audio=False)
    code = run(tmp_path, meld)
    said = capsys.readouterr()
    figures = json.loads(said.out)
    assert figures["corrections"] == 30
    loss_before, loss_after = figures["held_out"]["loss"]
    assert loss_after < loss_before
    general_before, general_after = figures["general_weighted_f1"]["meld"]
    assert general_after >= general_before - 0.01
    assert code == 0
    assert load_bundle(tmp_path / "adapted").name == "mini-adapted"
    metrics = json.loads((tmp_path / "adapted" / "metrics.json").read_text())
    assert metrics["adapted"] == figures


def test_what_does_not_help_is_refused(
    tmp_path: Path, meld: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def off_by_one(network: EmotionNetwork, turns: list[CorrectedTurn], *rest: float) -> torch.Tensor:
        return predict(network, turns).roll(1, dims=1)

    (tmp_path / "talks").mkdir()
    sentences = [("I am so happy for you", "joy"), ("I hate you", "anger"), ("I miss him so much", "sadness")]
    write_session(tmp_path / "talks" / "a.jsonl", sentences * 8, with_audio=True)
    monkeypatch.setattr("emotrack.train.adapting.adapt.cross_validate", off_by_one)
    code = run(tmp_path, meld)
    said = capsys.readouterr()
    f1_before, f1_after = json.loads(said.out)["held_out"]["weighted_f1"]
    assert f1_after < f1_before
    assert code == 1
    assert "not accepted, nothing was written: held-out loss does not improve" in said.err
    assert "held-out weighted F1 falls" in said.err
    assert not (tmp_path / "adapted").exists()


def test_too_few_corrections_and_missing_data_are_said(
    tmp_path: Path, meld: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "talks").mkdir()
    assert run(tmp_path, meld) == 1
    assert "no saved sessions" in capsys.readouterr().err
    write_session(tmp_path / "talks" / "a.jsonl", habitual(19), with_audio=True)
    assert run(tmp_path, meld) == 1
    assert "19 corrected turns; adapting needs at least 20" in capsys.readouterr().err
    write_session(tmp_path / "talks" / "b.jsonl", habitual(7), with_audio=False)
    assert run(tmp_path, meld) == 1
    assert "19 corrected turns; adapting needs at least 20 with voice and words (7 others" in capsys.readouterr().err
    (tmp_path / "talks" / "b.jsonl").unlink()
    write_session(tmp_path / "talks" / "a.jsonl", [("hello there", "bliss")] * 20, with_audio=False)
    assert run(tmp_path, meld) == 1
    assert "'bliss', which the bundle does not know" in capsys.readouterr().err
    assert main(["train", "adapt", "--sessions", str(tmp_path), "--out", str(tmp_path / "x")]) == 2
    assert "adapt needs --data" in capsys.readouterr().err
