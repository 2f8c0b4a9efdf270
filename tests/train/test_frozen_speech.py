"""The recipes that take their encoders from the hub, on a tiny IEMOCAP with tiny encoders of random weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from emotrack.command_line import main
from emotrack.models.bundle import load_bundle
from emotrack.models.hub_encoders import HubSpeechConfig, HubSpeechEncoder, HubTextConfig
from emotrack.models.network import EmotionNetwork
from emotrack.models.published_care import PublishedCareConfig
from emotrack.models.scorer import ConversationScorer
from emotrack.train.data.dialogues import hear, read_corpus
from emotrack.train.evaluation.evaluate import encode_dialogue, evaluate_corpus
from emotrack.train.stages import frozen_speech_stage, readings
from tests.train.conftest import save_hub_encoder

SHAPE: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
CONVOLUTIONS: dict[str, Any] = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
WHISPER: dict[str, Any] = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "vocab_size": 20,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
RECIPE = """
name = "tiny"
corpus = "iemocap"
right_when_certain = 0.75

[text]
encoder = "{text}"
max_tokens = 24
turns_before = 1

[[text.phases]]
corpus = "iemocap"
loop = {{ epochs = 25, learning_rate = 1e-2, batch = 4, bf16 = false }}

[speech]
{speech}
head = {{ hidden = 16, embedding = 8 }}
loop = {{ epochs = 25, learning_rate = 2e-2, batch = 4, bf16 = false }}
loss = {{ focal = 1.0, contrastive = 0.1 }}

[network]
hidden = 8
layers = 2
heads = 2
head_width = 4
blocks = 2
speakers = false
residual = false
input_dropout = 0.0

[conversations]
cut = 0.7
window = 4
withhold_speech = 0.1
withhold_text = 0.1
withhold_turn = 0.1

[stage2.text]
loop = {{ epochs = 40, learning_rate = 2e-2, batch = 3, bf16 = false }}
loss = {{ contrastive = 0.1 }}

[stage2.speech]
loop = {{ epochs = 40, learning_rate = 2e-2, batch = 3, bf16 = false }}
loss = {{ contrastive = 0.1 }}

[stage3]
loop = {{ epochs = 40, learning_rate = 2e-2, batch = 3, bf16 = false }}
loss = {{ focal = 1.0, contrastive = 0.1 }}
"""


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> dict[str, Path]:
    """Folders as the hub has them."""
    configs = {
        "roberta": transformers.RobertaConfig(**SHAPE, vocab_size=120, max_position_embeddings=40, pad_token_id=0),
        "wavlm": transformers.WavLMConfig(**SHAPE, **CONVOLUTIONS, num_buckets=20, max_bucket_distance=40),
        "whisper": transformers.WhisperConfig(**WHISPER),
    }
    folders = {}
    for seed, (name, config) in enumerate(configs.items()):
        folders[name] = tmp_path_factory.mktemp("hub") / name
        save_hub_encoder(config, folders[name], seed, vocabulary=encoder if name == "roberta" else None)
    return folders


def train(stage: str, kind: str, encoders: dict[str, Path], data: Path, out: Path) -> int:
    """Run ``emotrack train`` with CARE, or with Whisper in its place."""
    care = f'care = ["{encoders["wavlm"]}", "{encoders["roberta"]}"]'
    speech = care if kind == "care" else f'encoder = "{encoders["whisper"]}"'
    recipe = out.parent / f"{out.name}.toml"
    recipe.write_text(RECIPE.format(text=encoders["roberta"], speech=speech))
    return main(["train", stage, "--recipe", str(recipe), "--data", f"iemocap={data}", "--out", str(out)])


@pytest.fixture(scope="module", params=["care", "whisper"])
def run(
    request: pytest.FixtureRequest,
    encoders: dict[str, Path],
    whole_iemocap: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    out = tmp_path_factory.mktemp("runs") / request.param
    assert train("all", request.param, encoders, whole_iemocap, out) == 0
    return out


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_a_whole_bundle_comes_of_it(run: Path) -> None:
    network = load_bundle(run / "bundle")
    assert network.labels == ("neutral", "joy", "sadness", "anger")
    assert isinstance(network.config.text, HubTextConfig)
    assert network.config.text.turns_before == 1
    kind = PublishedCareConfig if run.name == "care" else HubSpeechConfig
    assert isinstance(network.config.speech, kind)
    for name in ("config.json", "metrics.json"):
        assert str(run.parent.parent) not in (run / "bundle" / name).read_text()
    metrics = json.loads((run / "bundle/metrics.json").read_text())
    assert {name: scores["count"] for name, scores in metrics["dev"].items()} == {
        f"{what}, {mode}": count
        for what, count in (("text", 4), ("speech", 3), ("both", 4))
        for mode in ("online", "offline")
    }
    card = (run / "bundle/README.md").read_text()
    assert "IEMOCAP" in card
    assert "sitcom" not in card


def test_it_learned_what_there_was_to_learn(run: Path, whole_iemocap: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--bundle", str(run / "bundle"), "--corpus", "iemocap", "--data", str(whole_iemocap), "--split", "test"]
    assert main(["evaluate", *words, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["count"] == 4
    assert scores["by_modalities"]["both"]["accuracy"] >= 0.75  # sentences and voices are those of training


def test_every_stage_is_a_bundle_that_scores(run: Path, whole_iemocap: Path) -> None:
    (dialogue,) = read_corpus("iemocap", whole_iemocap, "dev").dialogues
    for number in (1, 2, 3):
        network = load_bundle(run / f"stage{number}")
        assert network.config.stage == number
        turns = encode_dialogue(network, [hear(turn) for turn in dialogue.turns])
        scorer = ConversationScorer(network)
        context = scorer.new_context()
        for turn in turns:
            assert sum(scorer.estimate(context, turn.embedding).probabilities) == pytest.approx(1.0, abs=1e-5)


def test_words_alone_are_scored_by_their_own_stage(run: Path, whole_iemocap: Path) -> None:
    corpus = read_corpus("iemocap", whole_iemocap, "dev")
    found = [evaluate_corpus(load_bundle(run / f"stage{number}"), corpus).scores for number in (2, 3)]
    for modality in found[0].keys() - {"both"}:
        assert found[0][modality] == found[1][modality]


def test_the_table_has_voice_words_and_both(run: Path, whole_iemocap: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "tiny/staged/seed-0")
    words = ["--recipe", str(run.parent / f"{run.name}.toml"), "--data", f"iemocap={whole_iemocap}", "--split", "test"]
    assert main(["train", "table", *words, "--out", str(tmp_path)]) == 0
    said = (tmp_path / "table.md").read_text().splitlines()
    rows = ["words, stage I", "words, stage II", "voice, stage I", "voice, stage II", "voice and words, stage III"]
    assert [line.split(" | ")[0] for line in said[4:9]] == [f"| {row}" for row in rows]


def test_the_encoder_is_the_one_that_was_frozen(run: Path, encoders: dict[str, Path]) -> None:
    kept = weights(run / "bundle")
    ours, name, theirs = {
        "care": ("front_end.projection.weight", "wavlm", "feature_projection.projection.weight"),
        "whisper": ("encoder.model.conv1.weight", "whisper", "encoder.conv1.weight"),
    }[run.name]
    assert torch.equal(kept[f"speech_encoder.{ours}"], weights(encoders[name])[theirs].half())
    first, last = weights(run / "stage1"), weights(run / "stage3")
    assert all(torch.equal(value, last[key]) for key, value in first.items())


def test_a_run_that_was_killed_goes_on_with_the_features_it_has(
    encoders: dict[str, Path], whole_iemocap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(frozen_speech_stage, "fit", killed)
        assert train("stage1", "care", encoders, whole_iemocap, tmp_path / "killed") != 0
    kept = (tmp_path / "killed/speech-features-train.safetensors").stat().st_mtime_ns
    torch.manual_seed(99)  # another process would not begin with the same random state
    assert train("stage1", "care", encoders, whole_iemocap, tmp_path / "killed") == 0
    assert (tmp_path / "killed/speech-features-train.safetensors").stat().st_mtime_ns == kept
    network = load_bundle(tmp_path / "killed/stage1")
    turn = next(turn for turn in read_corpus("iemocap", whole_iemocap, "train").turns if turn.emotion and turn.audio)
    waveform = hear(turn).waveform
    assert waveform is not None
    features = frozen_speech_stage._features(network.speech_encoder, waveform)
    stored = load_file(tmp_path / "killed/speech-features-train.safetensors")
    torch.testing.assert_close(features.layers[0], stored["layers"][0].float(), atol=0.02, rtol=0.02)


def test_features_of_other_data_are_not_taken(encoders: dict[str, Path], whole_iemocap: Path, tmp_path: Path) -> None:
    encoder = HubSpeechEncoder.from_hub(str(encoders["whisper"]))
    corpus = read_corpus("iemocap", whole_iemocap, "train")
    fewer = replace(corpus, dialogues=corpus.dialogues[1:])
    counts = [
        len(frozen_speech_stage._encoded(encoder, each, tmp_path / "features.safetensors")["targets"])
        for each in (corpus, fewer)
    ]
    assert 0 < counts[1] < counts[0]


def test_conversations_are_encoded_once(
    run: Path, encoders: dict[str, Path], whole_iemocap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encoded(network: EmotionNetwork, *arguments: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(readings, "encode_dialogue", encoded)
    before = (run / "stage3/model.safetensors").read_bytes()
    assert train("stage3", run.name, encoders, whole_iemocap, run) == 0
    assert (run / "stage3/model.safetensors").read_bytes() == before


def test_a_corpus_without_voices_is_refused(
    encoders: dict[str, Path], meld: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.toml"
    text = RECIPE.format(text=encoders["roberta"], speech=f'encoder = "{encoders["whisper"]}"')
    recipe.write_text(text.replace('"iemocap"', '"meld"'))
    words = ["--recipe", str(recipe), "--data", f"meld={meld}", "--out", str(tmp_path / "out")]
    assert main(["train", "stage1", *words]) == 1
    assert "this copy of meld has no voices" in capsys.readouterr().err


def test_encoders_that_cannot_be_had_are_one_line(
    encoders: dict[str, Path], whole_iemocap: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("stage1", "whisper", encoders | {"whisper": tmp_path / "none"}, whole_iemocap, tmp_path / "out") == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"emotrack train: {tmp_path}/none: no such folder"
    assert not list((tmp_path / "out").glob("*.jsonl"))  # before the words are trained


def test_a_clip_that_cannot_be_decoded_is_set_aside(
    run: Path, encoders: dict[str, Path], whole_iemocap: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(whole_iemocap, tmp_path / "iemocap")
    broken = next((tmp_path / "iemocap/Session3").rglob("*_F000.wav"))
    broken.write_bytes(b"RIFF")
    corpora = [read_corpus("iemocap", folder, "train") for folder in (whole_iemocap, tmp_path / "iemocap")]
    encoder = HubSpeechEncoder.from_hub(str(encoders["whisper"]))
    counts = [
        len(frozen_speech_stage._encoded(encoder, corpus, tmp_path / "features.safetensors")["targets"])
        for corpus in corpora
    ]
    assert counts[1] == counts[0] - 1
    network = load_bundle(run / "stage1")
    for corpus, voices in zip(corpora, (15, 14), strict=True):
        found = readings._recorded(network, corpus, tmp_path / "readings.safetensors")
        turns = [turn for dialogue in found for turn in dialogue.turns]
        assert (len(turns), sum(turn.speech is not None for turn in turns)) == (18, voices)
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "set aside" in line)  # said once
    assert line.startswith(f"set aside: {broken}: cannot be decoded")
