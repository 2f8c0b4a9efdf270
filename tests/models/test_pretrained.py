"""Networks by folder, by packaged name and by hub id."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
import transformers

from emotrack.models.bundle import FILES, BundleError, load_bundle
from emotrack.models.config import NetworkConfig
from emotrack.models.encoders import AnySpeechConfig
from emotrack.models.hub_encoders import HubSpeechConfig, HubTextConfig
from emotrack.models.network import EmotionNetwork
from emotrack.models.published_care import PublishedCareConfig
from emotrack.models.wavlm import WavLmConfig
from tests.models.conftest import WORDS, tiny_tokenizer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def same(one: EmotionNetwork, other: EmotionNetwork) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def kept_copy(bundle: Path, cache: Path, commit: str = COMMIT) -> None:
    """A bundle as ``huggingface_hub`` keeps what it has downloaded."""
    repository = cache / "models--someone--tiny"
    shutil.copytree(bundle, repository / "snapshots" / commit)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text(commit)


def test_a_folder(bundle: Path, network: EmotionNetwork) -> None:
    loaded = EmotionNetwork.from_pretrained(bundle)
    assert isinstance(loaded, EmotionNetwork)
    assert loaded.config == network.config
    assert not loaded.training


def test_a_packaged_bundle_is_loaded_without_a_client_for_the_hub() -> None:
    code = (
        "import sys\nfrom emotrack.models.bundle import load_bundle\nload_bundle('mini')\n"
        "clients = {'huggingface_hub', 'transformers', 'httpx', 'requests', 'urllib3', 'trio'}\n"
        "assert not clients & set(sys.modules), clients & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_saving_again_changes_nothing(bundle: Path, tmp_path: Path) -> None:
    (bundle / "metrics.json").write_text(json.dumps({"dev": {"f1": 0.5}}, indent=2) + "\n")
    (bundle / "README.md").write_text("# tiny\n\nMade of words.\n")
    EmotionNetwork.from_pretrained(bundle).save_pretrained(tmp_path / "again")
    assert sorted(file.name for file in (tmp_path / "again").iterdir()) == sorted(FILES)
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (bundle / name).read_bytes(), name


@pytest.mark.parametrize(("contents", "message"), [("{", "is not JSON"), ("[]", "is not an object")])
def test_measurements_that_are_none_are_refused(bundle: Path, contents: str, message: str) -> None:
    (bundle / "metrics.json").write_text(contents)
    with pytest.raises(BundleError, match=rf"metrics\.json {message}"):
        EmotionNetwork.from_pretrained(bundle)


def test_a_network_that_was_never_saved_can_be(network: EmotionNetwork, tmp_path: Path) -> None:
    network.save_pretrained(tmp_path)
    assert EmotionNetwork.from_pretrained(tmp_path).config == network.config


def test_a_packaged_name() -> None:
    assert EmotionNetwork.from_pretrained("mini").name == "mini"


def test_a_hub_id(bundle: Path, tmp_path: Path) -> None:
    kept_copy(bundle, tmp_path / "cache")
    loaded = EmotionNetwork.from_pretrained("someone/tiny", cache_dir=tmp_path / "cache", local_files_only=True)
    assert same(loaded, EmotionNetwork.from_pretrained(bundle))


def test_a_revision_of_a_hub_id(bundle: Path, tmp_path: Path) -> None:
    kept_copy(bundle, tmp_path / "cache")
    options: dict[str, Any] = {"cache_dir": tmp_path / "cache", "local_files_only": True}
    assert EmotionNetwork.from_pretrained("someone/tiny", revision=COMMIT, **options)
    with pytest.raises(BundleError, match=r"bundle someone/tiny@f+: the hub cannot be reached"):
        EmotionNetwork.from_pretrained("someone/tiny", revision="f" * 40, **options)


def test_a_bundle_that_was_altered_on_its_way_is_refused(bundle: Path, tmp_path: Path) -> None:
    weights = bytearray((bundle / "model.safetensors").read_bytes())
    weights[-2] ^= 1
    (bundle / "model.safetensors").write_bytes(weights)
    kept_copy(bundle, tmp_path / "cache")
    with pytest.raises(BundleError, match="SHA-256 differs"):
        EmotionNetwork.from_pretrained("someone/tiny", cache_dir=tmp_path / "cache", local_files_only=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-such-bundle", "no bundle 'no-such-bundle': give a folder"),
        ("./no/such/folder", r"bundle \./no/such/folder: no such folder"),
        ("a name/with spaces", "neither a folder nor a hub id"),
    ],
)
def test_names_that_are_none(name: str, message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        EmotionNetwork.from_pretrained(name)
    assert "\n" not in str(caught.value)


def test_a_revision_of_a_folder_is_refused(bundle: Path) -> None:
    with pytest.raises(BundleError, match="a folder has no revision 'main'"):
        EmotionNetwork.from_pretrained(bundle, revision="main")


def test_what_is_pushed_is_the_bundle(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Repository:
        repo_id = "someone/tiny"

    def upload(api: huggingface_hub.HfApi, *, folder_path: Path, **options: Any) -> str:
        shutil.copytree(folder_path, tmp_path / "pushed")
        return str(options["repo_id"])

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", lambda *_, **__: Repository)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload)
    assert EmotionNetwork.from_pretrained(bundle).push_to_hub("someone/tiny") == "someone/tiny"
    for name in FILES:
        assert (tmp_path / "pushed" / name).read_bytes() == (bundle / name).read_bytes(), name


SHAPE: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
BERT = transformers.BertConfig(**SHAPE, vocab_size=len(WORDS) + 3)  # with places for tokens that are not there
HUBERT = transformers.HubertConfig(**SHAPE, conv_dim=(8,) * 7, num_conv_pos_embeddings=8)


def document(config: transformers.PretrainedConfig) -> dict[str, Any]:
    return dict(json.loads(config.to_json_string(use_diff=False)))


@pytest.mark.parametrize(
    "speech",
    [
        HubSpeechConfig(document(HUBERT), "hubert", normalise=True),
        PublishedCareConfig(WavLmConfig(16, 2, 2, 32, 8, 8, 2, 20, 30)),
    ],
)
def test_a_bundle_carries_full_size_encoders_and_asks_nobody_for_them(
    speech: AnySpeechConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object) -> None:
        raise AssertionError("a bundle is all that is needed")

    torch.manual_seed(0)
    config = NetworkConfig("large", text=HubTextConfig(document(BERT), "bert", max_tokens=16), speech=speech)
    network = EmotionNetwork(config, tiny_tokenizer()).eval()
    network.save_pretrained(tmp_path)
    monkeypatch.setattr("socket.socket.connect", no_network)
    loaded = EmotionNetwork.from_pretrained(tmp_path)
    assert loaded.config == network.config
    said, heard = network.embed_text("i am so happy"), network.embed_speech(np.sin(np.arange(8_000)))
    torch.testing.assert_close(loaded.embed_text("i am so happy"), said, atol=0.02, rtol=0.02)
    torch.testing.assert_close(loaded.embed_speech(np.sin(np.arange(8_000))), heard, atol=0.02, rtol=0.02)


def test_a_bundle_that_describes_no_encoder_is_refused(bundle: Path) -> None:
    document = json.loads((bundle / "config.json").read_text())
    document["speech"] = {"model": {"model_type": "gramophone"}, "origin": "attic", "normalise": True}
    (bundle / "config.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match="attic: 'gramophone' is no speech encoder of wavlm, hubert"):
        EmotionNetwork.from_pretrained(bundle)


def test_a_bundle_with_an_encoder_of_the_hub_says_which_extra_it_needs(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads((bundle / "config.json").read_text())
    document["speech"] = {"model": {"model_type": "hubert"}, "origin": "hubert", "normalise": True}
    (bundle / "config.json").write_text(json.dumps(document))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(BundleError, match=r"bundle: transformers is not installed: pip install '\.\[full\]' in "):
        load_bundle(bundle)
