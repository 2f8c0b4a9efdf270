"""Encoders of the hub, as tiny ones with random weights in folders."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from emotrack.models import hub
from emotrack.models.hub import HubError
from emotrack.models.hub_encoders import HubSpeechConfig, HubSpeechEncoder, HubTextConfig, HubTextEncoder
from tests.models.conftest import tiny_tokenizer

WIDTH, LAYERS = 32, 2
OWN = torch.tensor([4])  # tokens of the turn itself
TEXT: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 20,
    "max_position_embeddings": 40,
}
SPEECH: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": 20,
}
WHISPER: dict[str, Any] = {
    "d_model": WIDTH,
    "encoder_layers": LAYERS,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "vocab_size": 20,
    "num_mel_bins": 80,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
TEXT_CONFIGS = {
    "roberta": transformers.RobertaConfig(**TEXT),
    "bert": transformers.BertConfig(**TEXT),
    "distilbert": transformers.DistilBertConfig(
        dim=WIDTH, n_layers=LAYERS, n_heads=4, hidden_dim=64, vocab_size=20, max_position_embeddings=40
    ),
    "llama": transformers.LlamaConfig(**TEXT, num_key_value_heads=2),
    "qwen3": transformers.Qwen3Config(**TEXT, num_key_value_heads=2, head_dim=8),
    "gemma3": transformers.Gemma3TextConfig(**TEXT, num_key_value_heads=2, head_dim=8),
    "gpt2": transformers.GPT2Config(
        n_embd=WIDTH, n_layer=LAYERS, n_head=4, vocab_size=20, n_positions=40, bos_token_id=0, eos_token_id=0
    ),
}
DECODERS = ("llama", "qwen3", "gemma3", "gpt2")
SPEECH_CONFIGS = {
    "wavlm": transformers.WavLMConfig(**SPEECH),
    "wavlm-large": transformers.WavLMConfig(**SPEECH, feat_extract_norm="layer", do_stable_layer_norm=True),
    "hubert": transformers.HubertConfig(**SPEECH),
    "wav2vec2": transformers.Wav2Vec2Config(**SPEECH),
    "whisper": transformers.WhisperConfig(**WHISPER),
}


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each tiny encoder, as ``save_pretrained`` writes it."""
    made: dict[str, Path] = {}
    for name, config in {**TEXT_CONFIGS, **SPEECH_CONFIGS}.items():
        torch.manual_seed(len(made))
        made[name] = tmp_path_factory.mktemp("hub") / name
        model = transformers.AutoModel.from_config(config)
        for parameter in model.parameters():
            if parameter.ndim == 1:  # as made, norms and biases say nothing of what they do
                torch.nn.init.normal_(parameter, mean=0.5, std=0.5)
        model.save_pretrained(made[name])
    return made


def waveform(samples: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def padded(*waveforms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch whose padding would be heard."""
    lengths = torch.tensor([len(one) for one in waveforms])
    batch = torch.full((len(waveforms), int(lengths.max()) + 700), 3.0)
    for row, one in zip(batch, waveforms, strict=True):
        row[: len(one)] = one
    return batch, lengths


@pytest.mark.parametrize("name", TEXT_CONFIGS)
class TestText:
    def test_an_embedding_is_the_first_token_of_transformers_last_layer_or_a_decoders_last(
        self, folders: dict[str, Path], name: str
    ) -> None:
        encoder = HubTextEncoder.from_hub(str(folders[name]), max_tokens=16).eval()
        ids = torch.tensor([[4, 7, 9, 5]])
        place = -1 if name in DECODERS else 0
        theirs = transformers.AutoModel.from_pretrained(folders[name]).eval()(ids).last_hidden_state[:, place]
        ours = encoder(ids, torch.zeros_like(ids, dtype=torch.bool), OWN)
        assert ours.shape == (1, encoder.width)
        torch.testing.assert_close(ours, theirs)

    def test_a_text_reads_the_same_alone_and_in_a_batch(self, folders: dict[str, Path], name: str) -> None:
        encoder = HubTextEncoder.from_hub(str(folders[name]), max_tokens=16).eval()
        ids = torch.tensor([[4, 7, 9, 5]])
        alone = encoder(ids, torch.zeros_like(ids, dtype=torch.bool), OWN)
        batch = torch.cat([torch.cat([ids, torch.full((1, 6), 11)], dim=1), torch.arange(5, 15).unsqueeze(0)])
        together = encoder(batch, torch.arange(10) >= torch.tensor([[4], [10]]), torch.tensor([4, 10]))
        torch.testing.assert_close(alone[0], together[0], atol=1e-5, rtol=1e-4)

    def test_it_is_built_again_from_its_configuration_alone(self, folders: dict[str, Path], name: str) -> None:
        encoder = HubTextEncoder.from_hub(str(folders[name]), max_tokens=16).eval()
        document = json.loads(json.dumps(asdict(encoder.config)))
        assert str(folders[name]) not in json.dumps(document)
        again = HubTextEncoder(HubTextConfig(**document)).eval()
        again.load_state_dict(encoder.state_dict())
        ids, padding = torch.tensor([[4, 7, 9, 5]]), torch.zeros(1, 4, dtype=torch.bool)
        assert torch.equal(encoder(ids, padding, OWN), again(ids, padding, OWN))

    def test_every_weight_counts(self, folders: dict[str, Path], name: str) -> None:
        encoder = HubTextEncoder.from_hub(str(folders[name]), max_tokens=16)
        encoder(torch.tensor([[4, 7, 9, 5]]), torch.zeros(1, 4, dtype=torch.bool), OWN).square().sum().backward()
        assert [key for key, parameter in encoder.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", SPEECH_CONFIGS)
class TestSpeech:
    def test_layers_are_those_of_transformers_pooled_by_hand(self, folders: dict[str, Path], name: str) -> None:
        encoder = HubSpeechEncoder.from_hub(str(folders[name])).eval()
        samples = 9_000
        one = encoder.prepare(waveform(samples))
        model = transformers.AutoModel.from_pretrained(folders[name]).eval()
        if name == "whisper":
            extractor: Any = transformers.WhisperFeatureExtractor()
            read = extractor(one.numpy(), sampling_rate=16_000, return_tensors="pt").input_features
            frames = 29  # 9,000 samples at 320 a frame
            states = model.encoder(read, output_hidden_states=True).hidden_states
        else:
            extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
            read = extractor(waveform(samples).numpy(), sampling_rate=16_000, return_tensors="pt").input_values
            frames = 27  # as many as fit: (9,000 - 400) // 320 + 1
            states = model(read, output_hidden_states=True).hidden_states
        by_hand = torch.stack([state[0, :frames].mean(dim=0) for state in states])
        found = encoder(one.unsqueeze(0), torch.tensor([samples]))
        assert found.summary is None
        assert encoder.summary_width == 0
        assert found.layers.shape == (1, encoder.layers, encoder.width) == (1, LAYERS + 1, WIDTH)
        torch.testing.assert_close(found.layers[0], by_hand, atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize("samples", [1_600, 5_000, 5_279])
    def test_speech_reads_the_same_alone_and_in_a_batch(
        self, folders: dict[str, Path], name: str, samples: int
    ) -> None:
        encoder = HubSpeechEncoder.from_hub(str(folders[name])).eval()
        one = waveform(samples)
        alone = encoder(one.unsqueeze(0), torch.tensor([samples])).layers
        together = encoder(*padded(one, waveform(8_000, seed=1))).layers
        torch.testing.assert_close(alone[0], together[0], atol=1e-4, rtol=1e-4)

    def test_it_is_built_again_from_its_configuration_alone(self, folders: dict[str, Path], name: str) -> None:
        encoder = HubSpeechEncoder.from_hub(str(folders[name])).eval()
        document = json.loads(json.dumps(asdict(encoder.config)))
        again = HubSpeechEncoder(HubSpeechConfig(**document)).eval()
        state = encoder.state_dict()
        assert len({weight.data_ptr() for weight in state.values()}) == len(state)  # each is there once
        again.load_state_dict(state)
        batch = padded(waveform(4_000), waveform(5_000))
        assert torch.equal(encoder(*batch).layers, again(*batch).layers)

    def test_training_mode_has_no_masking_of_its_own(self, folders: dict[str, Path], name: str) -> None:
        encoder = HubSpeechEncoder.from_hub(str(folders[name])).train()
        for module in encoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            for attribute in ("dropout", "activation_dropout"):
                if isinstance(getattr(module, attribute, None), float):
                    setattr(module, attribute, 0.0)
        batch = padded(waveform(8_000), waveform(9_000))
        assert torch.equal(encoder(*batch).layers, encoder(*batch).layers)

    def test_a_waveform_too_short_for_a_frame_is_refused(self, folders: dict[str, Path], name: str) -> None:
        with pytest.raises(ValueError, match="a waveform has 400 to"):
            HubSpeechEncoder.from_hub(str(folders[name])).prepare(waveform(399))


def test_speech_is_normalised_as_the_folder_says(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["wavlm"], tmp_path)
    quiet = waveform(1_000) / 100 + 1
    assert HubSpeechEncoder.from_hub(str(folder)).prepare(quiet).std() == pytest.approx(1, abs=0.01)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
    assert torch.equal(HubSpeechEncoder.from_hub(str(folder)).prepare(quiet), quiet)


def test_whisper_reads_30_seconds_and_no_more(folders: dict[str, Path]) -> None:
    encoder = HubSpeechEncoder.from_hub(str(folders["whisper"]))
    with pytest.raises(ValueError, match="480000 samples here, not 480001"):
        encoder.prepare(torch.zeros(480_001))


def copied(folder: Path, to: Path) -> Path:
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


class TestTokenizer:
    @pytest.fixture
    def folder(self, folders: dict[str, Path], tmp_path: Path) -> Path:
        folder = copied(folders["bert"], tmp_path)
        wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=tiny_tokenizer(), pad_token="[PAD]")
        wrapped.save_pretrained(folder)
        return folder

    def test_texts_are_cut(self, folder: Path) -> None:
        tokenizer = hub.load_tokenizer(str(folder), max_tokens=5)
        assert isinstance(tokenizer, Tokenizer)
        assert tokenizer.encode("i am so happy today !").ids == [2, 5, 6, 7, 3]

    def test_a_folder_without_one_is_named(self, folders: dict[str, Path]) -> None:
        with pytest.raises(HubError, match=r"roberta: has no vocabulary"):
            hub.load_tokenizer(str(folders["roberta"]))


class TestErrors:
    def test_a_folder_that_is_not_there(self) -> None:
        with pytest.raises(HubError, match=r"^\./nowhere: no such folder$"):
            hub.find("./nowhere")

    def test_the_extra_is_missed_before_anything_is_downloaded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "transformers", None)
        monkeypatch.setattr("huggingface_hub.snapshot_download", pytest.fail)
        with pytest.raises(HubError, match=r"^transformers is not installed: pip install '\.\[full\]' in emotrack's"):
            hub.find("FacebookAI/roberta-base")

    def test_a_name_that_is_none(self) -> None:
        with pytest.raises(HubError, match="neither a folder nor a hub id"):
            hub.find("not a name")

    def test_a_hub_out_of_reach(self, tmp_path: Path) -> None:
        program = (
            "from emotrack.models import hub\n"
            "try: hub.find('FacebookAI/roberta-base')\n"
            "except hub.HubError as error: print(error)\n"
        )
        environment = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
        said = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)
        assert said == (
            "FacebookAI/roberta-base: the hub cannot be reached and no copy is kept here; give a folder instead\n"
        )

    def test_a_revision_that_is_not_kept(self, folders: dict[str, Path], tmp_path: Path) -> None:
        commit = "0123456789abcdef0123456789abcdef01234567"
        repository = tmp_path / "hub" / "models--someone--bert"
        shutil.copytree(folders["bert"], repository / "snapshots" / commit)
        program = (
            "from emotrack.models import hub\n"
            "for name in ('someone/bert@COMMIT', 'someone/bert@other'):\n"
            "    try: print(hub.origin(name, hub.find(name)))\n"
            "    except hub.HubError as error: print(error)\n"
        ).replace("COMMIT", commit)
        environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}  # or it asks for the commit for 24 s
        said = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)
        assert said.splitlines() == [
            f"someone/bert@{commit}",
            "someone/bert@other: the hub cannot be reached and no copy is kept here; give a folder instead",
        ]

    def test_weights_that_would_have_to_be_unpickled(self, folders: dict[str, Path], tmp_path: Path) -> None:
        folder = copied(folders["wavlm"], tmp_path)
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        with pytest.raises(HubError, match=r"has no weights in safetensors \(`emotrack train convert` "):
            HubSpeechEncoder.from_hub(str(folder))

    def test_weights_that_are_missing(self, folders: dict[str, Path], tmp_path: Path) -> None:
        folder = copied(folders["wavlm"], tmp_path)
        weights = load_file(folder / "model.safetensors")
        lost = weights.pop("encoder.layers.1.attention.q_proj.weight")
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        assert lost.shape == (WIDTH, WIDTH)
        with pytest.raises(HubError, match=r"1 weights are missing, encoder\.layers\.1\.attention\.q_proj\.weight"):
            HubSpeechEncoder.from_hub(str(folder))

    def test_weights_of_other_dimensions(self, folders: dict[str, Path], tmp_path: Path) -> None:
        folder = copied(folders["wavlm"], tmp_path)
        document = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(document | {"intermediate_size": 48}))
        with pytest.raises(HubError, match="the weights cannot be used"):
            HubSpeechEncoder.from_hub(str(folder))

    @pytest.mark.parametrize(
        "contents", ["", "{}", '{"model_type": "unheard-of"}', '{"model_type": "wavlm", "hidden_size": "x"}']
    )
    def test_a_configuration_that_is_none(self, folders: dict[str, Path], tmp_path: Path, contents: str) -> None:
        folder = copied(folders["wavlm"], tmp_path)
        (folder / "config.json").write_text(contents)
        with pytest.raises(HubError, match=r"config\.json cannot be used") as caught:
            HubSpeechEncoder.from_hub(str(folder))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("document", [{}, {"model_type": "nothing"}, {"model_type": "wavlm", "hidden_size": "x"}])
    def test_a_bundle_that_describes_no_encoder(self, document: dict[str, str]) -> None:
        with pytest.raises(HubError):
            HubSpeechEncoder(HubSpeechConfig(document, "somewhere", normalise=True))
        with pytest.raises(HubError):
            HubTextEncoder(HubTextConfig(document, "somewhere"))

    def test_a_text_encoder_is_no_speech_encoder(self, folders: dict[str, Path]) -> None:
        with pytest.raises(HubError, match="'bert' is no speech encoder of wavlm, hubert, wav2vec2, whisper"):
            HubSpeechEncoder.from_hub(str(folders["bert"]))

    @pytest.mark.parametrize("family", ["t5", "bart", "whisper", "wavlm", "gemma3"])
    def test_neither_an_encoder_of_text_nor_a_decoder(self, family: str) -> None:
        document = transformers.AutoConfig.for_model(family).to_dict()
        with pytest.raises(HubError, match=rf"'{family}' neither fills gaps in text \(as RoBERTa\) nor is a decoder"):
            HubTextEncoder(HubTextConfig(document, "somewhere"))

    def test_more_tokens_than_there_are_places_for(self, folders: dict[str, Path]) -> None:
        with pytest.raises(HubError, match="reads 38 tokens at most, not 39"):
            HubTextEncoder.from_hub(str(folders["roberta"]), max_tokens=39)
        for name in DECODERS:
            assert HubTextEncoder.from_hub(str(folders[name]), max_tokens=40).config.max_tokens == 40
            with pytest.raises(HubError, match="reads 40 tokens at most, not 41"):
                HubTextEncoder.from_hub(str(folders[name]), max_tokens=41)
