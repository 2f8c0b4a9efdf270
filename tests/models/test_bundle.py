from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from emotrack.models.bundle import FILES, PACKAGED, BundleError, load_bundle, save_bundle
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.network import EmotionNetwork
from emotrack.models.scorer import ConversationScorer
from emotrack.models.text_encoder import TextEncoder
from tests.models.test_files import full_disk


def rewrite(bundle: Path, **changes: Any) -> None:
    config = json.loads((bundle / "config.json").read_text())
    (bundle / "config.json").write_text(json.dumps(config | changes))


def test_what_is_saved_is_what_is_loaded(bundle: Path, network: EmotionNetwork) -> None:
    loaded = load_bundle(bundle)
    assert loaded.config == network.config
    assert len(loaded.fingerprint) == 12
    turn = TurnEmbedding(None, loaded.embed_text("i am so happy"), "Ana")
    before = TurnEmbedding(None, network.embed_text("i am so happy"), "Ana")
    scorer = ConversationScorer(network)
    expected = scorer.estimate(scorer.new_context(), before).probabilities
    assert ConversationScorer(loaded).estimate(
        ConversationScorer(loaded).new_context(), turn
    ).probabilities == pytest.approx(expected, abs=5e-3)  # fp16


def test_a_vocabulary_in_half_precision_embeds_words_the_same(bundle: Path) -> None:
    whole, half = load_bundle(bundle), load_bundle(bundle)
    assert isinstance(half.text_encoder, TextEncoder)
    half.text_encoder.store_in_half()
    assert half.text_encoder.tokens.weight.dtype == torch.float16
    assert torch.equal(half.embed_text("i am so happy"), whole.embed_text("i am so happy"))


def test_weights_are_no_view_of_the_file(bundle: Path, network: EmotionNetwork) -> None:
    floats = {name: tensor.float() for name, tensor in network.state_dict().items()}
    save_file(floats, bundle / "model.safetensors")  # read as it is, where weights are not in half precision
    digest = hashlib.sha256((bundle / "model.safetensors").read_bytes()).hexdigest()
    rewrite(bundle, sha256=json.loads((bundle / "config.json").read_text())["sha256"] | {"model.safetensors": digest})
    loaded = load_bundle(bundle)
    size = (bundle / "model.safetensors").stat().st_size
    (bundle / "model.safetensors").write_bytes(b"\xff" * size)
    assert all(torch.equal(tensor, floats[name]) for name, tensor in loaded.state_dict().items())


def test_a_full_disk_leaves_the_bundle_that_was_there(bundle: Path, network: EmotionNetwork) -> None:
    before = {path: path.read_bytes() for path in bundle.iterdir()}
    with full_disk(len((bundle / "model.safetensors").read_bytes()) + 100), pytest.raises(OSError, match="too large"):
        save_bundle(network, bundle, {}, "x" * 10_000_000)  # all fits but the card
    assert {path: path.read_bytes() for path in bundle.iterdir()} == before


def test_numbers_that_half_precision_cannot_hold_leave_the_bundle_that_was_there(
    bundle: Path, network: EmotionNetwork
) -> None:
    before = {path: path.read_bytes() for path in bundle.iterdir()}
    broken = load_bundle(bundle)
    with torch.no_grad():
        broken.text_head.classify.bias[0] = 1e6
    with pytest.raises(BundleError, match=r"text_head\.classify\.bias: has numbers that half precision cannot hold"):
        save_bundle(broken, bundle, {}, "")
    assert {path: path.read_bytes() for path in bundle.iterdir()} == before


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"missing {name}"):
        load_bundle(bundle)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_an_altered_file_is_named(bundle: Path, name: str) -> None:
    contents = bytearray((bundle / name).read_bytes())
    contents[-2] ^= 1
    (bundle / name).write_bytes(contents)
    with pytest.raises(BundleError, match=f"{name} is not the file the bundle was saved with"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, "format 99"),
        ({"class": "Other"}, "class 'Other'"),
        ({"labels": ["neutral", "joy"]}, r"do not fit config\.json: .*text_head\.classify\.weight"),
        ({"labels": "joy"}, "labels"),
        ({"context": "many"}, "context"),
        ({"unheard_of": 1}, "unheard_of"),
        ({"sample_rate": 8000}, "sample_rate: Input should be 16000"),
        ({"labels": ["joy"] * 7}, "a label occurs twice"),
        ({"calibration": {"both": 0.0}}, "calibration.both: Input should be greater than"),
        ({"calibration": {"both": float("nan")}}, "calibration.both: Input should be a finite number"),
        ({"speech": {"width": 15, "heads": 2}}, "2 heads do not divide a width of 15"),
        ({"speech": {"width": 14, "heads": 2}}, "do not fit config"),
        ({"stage": 2}, r"do not fit config\.json: .*co_attention"),
        ({"sha256": None}, "SHA-256 differs"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(bundle: Path, changes: dict[str, Any], message: str) -> None:
    rewrite(bundle, **changes)
    with pytest.raises(BundleError, match=message):
        load_bundle(bundle)


def test_other_dimensions_are_refused(bundle: Path) -> None:
    head = json.loads((bundle / "config.json").read_text())["speech_head"]
    rewrite(bundle, speech_head=head | {"embedding": 9})
    with pytest.raises(BundleError, match=r"do not fit config\.json"):
        load_bundle(bundle)


def test_other_vocabulary_sizes_are_refused(bundle: Path) -> None:
    text = json.loads((bundle / "config.json").read_text())["text"]
    rewrite(bundle, text=text | {"vocabulary": 99})
    with pytest.raises(BundleError, match=r"14 tokens, config\.json says 99"):
        load_bundle(bundle)


@pytest.mark.parametrize("contents", ["", "[1, 2]", "{"])
def test_a_configuration_that_is_none_is_refused(bundle: Path, contents: str) -> None:
    (bundle / "config.json").write_text(contents)
    with pytest.raises(BundleError, match=r"config\.json"):
        load_bundle(bundle)


@pytest.mark.parametrize("name", ["no-such-bundle", "../mini/../nothing"])
def test_an_unknown_name_lists_the_packaged_ones(name: str) -> None:
    with pytest.raises(BundleError, match=r"no bundle .*mini"):
        load_bundle(name)


def test_an_error_is_one_line(bundle: Path) -> None:
    shutil.rmtree(bundle)
    with pytest.raises(BundleError) as caught:
        load_bundle(bundle)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def mini() -> EmotionNetwork:
    return load_bundle("mini")


class TestMini:
    """The bundle that ships."""

    def test_it_is_small(self, mini: EmotionNetwork) -> None:
        folder = PACKAGED / "mini"
        assert sum(parameter.numel() for parameter in mini.parameters()) <= 30e6
        assert sum(file.stat().st_size for file in folder.iterdir()) <= 60e6

    @pytest.mark.parametrize(
        ("text", "emotion"),
        [
            ("I am so happy for you, this is wonderful!", "joy"),
            ("I hate you! Get out of my house!", "anger"),
            ("Oh my God! I can't believe it!", "surprise"),
            ("Okay, see you at five.", "neutral"),
            ("I miss him so much. I'm so sad.", "sadness"),
        ],
    )
    def test_it_reads_plain_words(self, mini: EmotionNetwork, text: str, emotion: str) -> None:
        turn = TurnEmbedding(None, mini.embed_text(text), None)
        scorer = ConversationScorer(mini)
        assert scorer.estimate(scorer.new_context(), turn).emotion == emotion

    def test_it_has_a_label_for_every_emotion(self, mini: EmotionNetwork) -> None:
        assert mini.labels == ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
        assert mini.sample_rate == 16_000


def test_inference_needs_neither_training_code_nor_transformers() -> None:
    program = (
        "import sys, emotrack.models.bundle as b; b.load_bundle('mini'); "
        "print([m for m in sys.modules if m.startswith(('emotrack.train', 'emotrack.tracker', 'transformers'))])"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"


def test_a_device_that_is_not_there_is_named(bundle: Path) -> None:
    assert load_bundle(bundle, "cpu").device == torch.device("cpu")
    with pytest.raises(BundleError, match="device 'quantum' cannot be used"):
        load_bundle(bundle, "quantum")
