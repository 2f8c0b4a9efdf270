"""Decoders as text encoders, with adapters: tiny ones of random weights, on a tiny IEMOCAP with given voices."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from emotrack.command_line import main
from emotrack.models import bundle_files
from emotrack.models.bundle import load_bundle
from emotrack.models.hub_encoders import HubTextConfig, HubTextEncoder
from emotrack.train.corpora.iemocap import read_iemocap
from emotrack.train.data.given import read_with_given
from emotrack.train.errors import TrainError
from emotrack.train.learning import lora
from emotrack.train.learning.lora import LoraOptions, LowRank, adapted
from emotrack.train.recipes.recipe import load_recipe
from emotrack.train.stages import first_weights, readings
from tests.train.conftest import save_hub_encoder
from tests.train.test_given_features import RECIPE

SHAPE: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}
TOKENS: dict[str, Any] = {"vocab_size": 120, "bos_token_id": 3, "eos_token_id": 4}
CONFIGS = {
    "llama": transformers.LlamaConfig(**SHAPE, **TOKENS),
    "gpt2": transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=64, **TOKENS),
    "bert": transformers.BertConfig(**{**SHAPE, "vocab_size": 120}),
}
LINEAR = {
    "llama": ("_proj.weight",),
    "gpt2": ("c_attn.weight", "c_proj.weight", "c_fc.weight"),
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> dict[str, Path]:
    """Folders as the hub has them."""
    folders = {}
    for seed, (name, config) in enumerate(CONFIGS.items()):
        folders[name] = tmp_path_factory.mktemp("hub") / name
        save_hub_encoder(config, folders[name], seed, vocabulary=encoder)
    return folders


@pytest.fixture(scope="module")
def words(whole_iemocap: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The data: dialogues whose voices tell nothing."""
    folder = tmp_path_factory.mktemp("voices")
    for split in ("train", "dev", "test"):
        dialogues = read_iemocap(whole_iemocap, split).dialogues
        voices = {f"speech/{each.name}/{turn.name}": torch.arange(3.0) for each in dialogues for turn in each.turns}
        save_file(voices, folder / f"{split}.safetensors")
    recipe = folder / "decoder.toml"
    recipe.write_text(RECIPE.replace("features = true", "max_tokens = 32\nturns_before = 1", 1))
    return ["--recipe", str(recipe), "--data", f"iemocap={whole_iemocap}", "--data", f"features={folder}"]


def run(stage: str, folder: Path, words: list[str], out: Path, *options: str) -> int:
    """Run ``emotrack train STAGE`` with a text encoder of the hub, with adapters."""
    changes = [f"text.encoder={folder}", "text.lora.rank=4", "text.phases.0.loop.learning_rate=2e-2"]
    given = [word for change in changes for word in ("--set", change)]
    return main(["train", stage, *words, *given, "--accept-collapse", "--out", str(out), *options])


@pytest.fixture(scope="module")
def trained(hub: dict[str, Path], words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("llama")
    assert run("all", hub["llama"], words, out) == 0
    return out


def changed(bundle: Path, folder: Path) -> set[str]:
    """The weights of a bundle's encoder that are no longer those of the hub's folder."""
    before = load_file(folder / "model.safetensors")
    prefix = "text_encoder.model."
    state = load_bundle(bundle).state_dict()
    after = {name.removeprefix(prefix): weight for name, weight in state.items() if name.startswith(prefix)}
    assert after.keys() == before.keys()
    return {name for name, weight in after.items() if not torch.equal(weight, before[name].half().float())}


def linear(kind: str, folder: Path) -> set[str]:
    return {name for name in load_file(folder / "model.safetensors") if name.endswith(LINEAR[kind])}


class TestTraining:
    def test_a_bundle_has_the_decoder_with_its_adapters_merged(self, trained: Path, hub: dict[str, Path]) -> None:
        assert changed(trained / "bundle", hub["llama"]) == linear("llama", hub["llama"])
        config = load_bundle(trained / "bundle").config.text
        assert isinstance(config, HubTextConfig)
        assert config.reads_forward
        assert (
            "; fine-tuned with low-rank adapters, merged since, on iemocap"
            in (trained / "bundle/README.md").read_text()
        )

    def test_adapters_and_heads_alone_are_kept_on_the_way(self, trained: Path) -> None:
        kept = load_file(trained / "text-iemocap-best.safetensors")
        assert {name.rpartition(".")[2] for name in kept if name.startswith("encoder.")} == {"down", "up"}
        assert {name for name in kept if name.startswith("head.")} == {"head.classify.weight", "head.classify.bias"}

    def test_what_is_loaded_reads_exactly_as_what_was_trained(
        self, trained: Path, words: list[str], tmp_path: Path
    ) -> None:
        """Positions' frequencies included, which no bundle keeps."""
        data = {name: Path(path) for name, path in (word.split("=") for word in words[3::2])}
        network, corpus = load_bundle(trained / "stage1"), read_with_given("iemocap", data, "dev", {})
        readings._recorded(network, corpus, tmp_path / "again.safetensors")
        now, then = load_file(tmp_path / "again.safetensors"), load_file(trained / "readings-dev.safetensors")
        assert now["has_text"].all()
        assert torch.equal(now["text"], then["text"])

    def test_a_turn_is_read_after_the_turns_before_it(self, trained: Path) -> None:
        network = load_bundle(trained / "bundle")
        readings = [network.embed_text("Out.", before) for before in ((), ("Yes!",), ("Hm.",), ("Yes!", "Hm."))]
        assert not torch.allclose(readings[0], readings[1])
        assert not torch.allclose(readings[1], readings[2])
        assert torch.equal(readings[2], readings[3])  # one turn before is read

    def test_one_of_gpt_2(self, hub: dict[str, Path], words: list[str], tmp_path: Path) -> None:
        assert run("stage1", hub["gpt2"], words, tmp_path) == 0
        assert changed(tmp_path / "stage1", hub["gpt2"]) == linear("gpt2", hub["gpt2"])

    def test_a_killed_run_goes_on_with_the_same_adapters(
        self, trained: Path, hub: dict[str, Path], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def killed(*arguments: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("emotrack.train.learning.loop.tell", killed)  # after the first epoch
            assert run("stage1", hub["llama"], words, tmp_path) != 0
        torch.manual_seed(99)
        assert run("stage1", hub["llama"], words, tmp_path) == 0
        first, second = (load_file(out / "stage1/model.safetensors") for out in (trained, tmp_path))
        assert all(torch.equal(value, second[name]) for name, value in first.items())

    def test_all_at_once(self, trained: Path, hub: dict[str, Path], words: list[str], tmp_path: Path) -> None:
        options = ["--joint", "--from", str(trained / "stage1"), "--set", "joint.loop.warmup=0.0"]
        assert run("all", hub["llama"], words, tmp_path, *options) == 0
        assert changed(tmp_path / "bundle", hub["llama"]) == linear("llama", hub["llama"])

    def test_before_stage_one(self, hub: dict[str, Path], silver: Path, words: list[str], tmp_path: Path) -> None:
        """On silver labels, to a folder as the hub has them."""
        recipe = tmp_path / "recipe.toml"
        made = Path(words[1]).read_text().replace("[[text.phases]]", "PRETRAINING[[text.phases]]")
        pretraining = "[text.pretraining]\nloop = { epochs = 1, learning_rate = 1e-2, batch = 8 }\n"
        text = f'encoder = "{hub["llama"]}"\nlora = {{ targets = ["q_proj"] }}\n'
        recipe.write_text(made.replace("PRETRAINING", text + pretraining))
        command = ["train", "pretrain", "--corpus", str(silver), "--recipe", str(recipe), "--accept-collapse"]
        assert main([*command, "--out", str(tmp_path)]) == 0
        before, after = (load_file(each / "model.safetensors") for each in (hub["llama"], tmp_path / "encoder"))
        different = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
        assert different == {f"layers.{layer}.self_attn.q_proj.weight" for layer in range(2)}
        assert HubTextEncoder.from_hub(str(tmp_path / "encoder"), max_tokens=32).reads_forward


@pytest.mark.parametrize("kind", CONFIGS)
class TestAdapters:
    def test_the_merged_encoder_answers_as_the_adapted_one(self, hub: dict[str, Path], kind: str) -> None:
        encoder = HubTextEncoder.from_hub(str(hub[kind]), max_tokens=16).eval()
        ids, own = torch.tensor([[4, 7, 9, 5]]), torch.tensor([4])
        padding = torch.zeros_like(ids, dtype=torch.bool)
        before, layers = encoder(ids, padding, own), encoder.state_dict().keys()
        with adapted(encoder, LoraOptions(rank=2), seed=0):
            encoder.eval()
            assert torch.equal(encoder(ids, padding, own), before)  # as long as nothing was learned
            trained = {name for name, each in encoder.named_parameters() if each.requires_grad}
            assert {name.rpartition(".")[2] for name in trained} == {"down", "up"}
            for each in encoder.modules():
                if isinstance(each, LowRank):
                    torch.nn.init.normal_(each.up, std=0.1, generator=torch.Generator().manual_seed(1))
            after = encoder(ids, padding, own)
        assert not torch.allclose(after, before, atol=1e-2)
        torch.testing.assert_close(encoder(ids, padding, own), after, atol=1e-5, rtol=1e-4)
        assert encoder.state_dict().keys() == layers

    def test_on_a_gpu_frozen_weights_are_narrow_and_positions_are_not(
        self, hub: dict[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lora, "training_device", lambda: torch.device("cuda"))
        encoder = HubTextEncoder.from_hub(str(hub[kind]), max_tokens=16)
        ids, own = torch.tensor([[4, 7, 9, 5]]), torch.tensor([4])
        padding, buffers = torch.zeros_like(ids, dtype=torch.bool), [each.clone() for each in encoder.buffers()]
        with adapted(encoder, LoraOptions(), seed=0):
            dtypes = {each.requires_grad: each.dtype for each in encoder.parameters()}
            assert dtypes == {True: torch.float32, False: torch.bfloat16}
            found = encoder(ids, padding, own)
            assert found.dtype == torch.float32
            found.square().sum().backward()
        assert all(torch.equal(one, other) for one, other in zip(buffers, encoder.buffers(), strict=True))
        assert {each.dtype for each in encoder.parameters()} == {torch.float32}


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            (("text.lora.rank", "0"), "lora.rank: Input should be greater than or equal to 1"),
            (("text.lora.dropout", "1.0"), "lora.dropout: Input should be less than 1"),
            (("text.lora.width", "4"), "lora.width: "),
            (("text.lora.rank", "4"), "text.lora: adapts an encoder of the hub, which text.encoder names"),
        ],
    )
    def test_a_recipe_that_cannot_be(self, change: tuple[str, str], complaint: str) -> None:
        with pytest.raises(TrainError, match=complaint):
            load_recipe("toy", [change])

    def test_before_anything_is_trained(
        self,
        hub: dict[str, Path],
        words: list[str],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def said(folder: Path, *options: str) -> str:
            assert run("stage1", folder, words, tmp_path / "out", *options) == 1
            assert not list((tmp_path / "out").glob("*.jsonl"))
            shutil.rmtree(tmp_path / "out")
            return capsys.readouterr().err.splitlines()[-1]

        names = "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"
        assert said(hub["llama"], "--set", 'text.lora.targets=["query"]') == (
            f"emotrack train: text.lora.targets: the encoder has no linear layer 'query', but {names}"
        )
        assert "reads 64 tokens at most, not 65" in said(hub["llama"], "--set", "text.max_tokens=65")
        loop = "{ epochs = 1, learning_rate = 1e-2, batch = 4 }"
        teacher = ["--set", "text.teacher.share=0.5", "--set", f"text.teacher.loop={loop}"]
        teaches = "text.teacher teaches encoders that read in both directions"
        assert teaches in said(hub["llama"], *teacher, "--set", f"text.teacher.encoder={hub['bert']}")
        assert "text.teacher reads in both dir" in said(
            hub["bert"], *teacher, "--set", f"text.teacher.encoder={hub['llama']}"
        )
        monkeypatch.setattr(first_weights, "MAX_BYTES", bundle_files.MAX_BYTES | {"model.safetensors": 1_000})
        assert said(hub["llama"]).endswith("llama: has 0.0 billion weights, and a bundle 0.0 at most")
