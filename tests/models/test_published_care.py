"""CARE made of WavLM and RoBERTa, against the two as transformers runs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from emotrack.models.care import CareStates
from emotrack.models.hub import HubError
from emotrack.models.published_care import PublishedCare, PublishedCareConfig
from emotrack.models.wavlm import WavLmConfig

WIDTH = 32
SHAPE: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
WAVLM = transformers.WavLMConfig(
    **SHAPE,
    conv_dim=(16,) * 7,
    num_conv_pos_embeddings=16,
    num_conv_pos_embedding_groups=2,
    num_buckets=20,  # small, so that frames of a short utterance fall into the wide ones too
    max_bucket_distance=30,
)
ROBERTA = transformers.RobertaConfig(**SHAPE, vocab_size=20, max_position_embeddings=40)
Pair = tuple[transformers.WavLMModel, transformers.RobertaModel]


def randomise(model: nn.Module) -> nn.Module:
    """Norms, biases and gates as made say nothing of what they do."""
    for parameter in model.parameters():
        if parameter.ndim == 1 or "gru" in str(parameter.shape):
            nn.init.normal_(parameter, mean=0.5, std=0.5)
    return model.eval()


@pytest.fixture(scope="module")
def pair() -> Pair:
    torch.manual_seed(0)
    wavlm, roberta = transformers.WavLMModel(WAVLM), transformers.RobertaModel(ROBERTA)
    for model in (wavlm, roberta):
        randomise(model)
    layers: Any = wavlm.encoder.layers
    for layer in layers:
        nn.init.normal_(layer.attention.gru_rel_pos_const)
    nn.init.normal_(layers[0].attention.rel_attn_embed.weight)
    return wavlm, roberta


@pytest.fixture(scope="module")
def folders(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("care")
    for model, name in zip(pair, ("wavlm", "roberta"), strict=True):
        model.save_pretrained(folder / name)
    return str(folder / "wavlm"), str(folder / "roberta")


@pytest.fixture
def care(folders: tuple[str, str]) -> PublishedCare:
    torch.manual_seed(1)
    return PublishedCare.from_hub(*folders).eval()


def waveform(samples: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("samples", [1_600, 9_000, 24_000])
def test_the_acoustic_path_is_wavlm(care: PublishedCare, pair: Pair, samples: int) -> None:
    one = waveform(samples).unsqueeze(0)
    theirs = torch.stack(pair[0](one, output_hidden_states=True).hidden_states, dim=1)
    states = care.states(one, torch.tensor([samples]))
    torch.testing.assert_close(states.acoustic, theirs, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(states.semantic[:, :3], theirs[:, :3], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("frames", [15, 16, 17])
def test_the_semantic_path_is_roberta_between_adapters(care: PublishedCare, pair: Pair, frames: int) -> None:
    samples = 400 + 320 * (frames - 1)
    states = care.states(waveform(samples).unsqueeze(0), torch.tensor([samples])).semantic[0]
    assert states.shape == (5, frames, WIDTH)
    expected = states[2]
    for index, layer in enumerate(pair[1].encoder.layer[2:]):
        adapter: Any = care.semantic[index]
        down, up = adapter.down, adapter.up
        read = layer(nn.functional.conv1d(expected.T[None], down.weight, down.bias, stride=3).mT)
        back = nn.functional.conv_transpose1d(read.mT, up.weight, up.bias, stride=3).mT[0]
        expected = torch.cat([back, up.bias.expand(2, -1)])[:frames]  # what no window reaches
        torch.testing.assert_close(states[3 + index], expected, atol=1e-4, rtol=1e-4)


# Tolerance: sums of another length are added up in another order, so the last bits of single precision differ.
@pytest.mark.parametrize("samples", [400, 1_600, 2_000, 5_000, 5_279, 5_280, 5_600, 5_920])
def test_an_utterance_reads_the_same_alone_and_in_a_batch(care: PublishedCare, samples: int) -> None:
    one = waveform(samples)
    alone = care(one.unsqueeze(0), torch.tensor([samples]))
    batch = torch.full((3, 13_000), 3.0)  # padding that would be heard
    batch[0, :samples], batch[1, :8_000], batch[2] = one, waveform(8_000, 1), waveform(13_000, 2)
    together = care(batch, torch.tensor([samples, 8_000, 13_000]))
    torch.testing.assert_close(alone.layers[0], together.layers[0], atol=1e-4, rtol=1e-4)
    assert alone.summary is not None
    assert together.summary is not None
    torch.testing.assert_close(alone.summary[0], together.summary[0], atol=1e-4, rtol=1e-4)


def test_features_are_both_paths_side_by_side(care: PublishedCare) -> None:
    batch, lengths = waveform(16_000).view(2, -1), torch.tensor([8_000, 8_000])
    states, features = care.states(batch, lengths), care(batch, lengths)
    assert features.layers.shape == (2, care.layers, care.width) == (2, 5, 2 * WIDTH)
    torch.testing.assert_close(
        features.layers, torch.cat([states.semantic.mean(dim=2), states.acoustic.mean(dim=2)], dim=-1)
    )
    assert features.summary is not None
    assert features.summary.shape == (2, care.summary_width) == (2, WIDTH)
    torch.testing.assert_close(features.summary, features.layers[:, -1, :WIDTH])


def gradients(care: PublishedCare, loss: Callable[[CareStates], torch.Tensor]) -> set[str]:
    """The parts that a loss on the last states trains."""
    care.zero_grad()
    loss(care.states(waveform(8_000).unsqueeze(0), torch.tensor([8_000]))).backward()
    return {
        name if name.startswith("semantic") and "roberta" in name else name.partition(".")[0]
        for name, parameter in care.named_parameters()
        if parameter.grad is not None and parameter.grad.any()
    }


def test_only_the_semantic_loss_trains_the_common_encoder(care: PublishedCare) -> None:
    semantic = gradients(care, lambda states: states.semantic[:, -1].square().sum())
    acoustic = gradients(care, lambda states: states.acoustic[:, -1].square().sum())
    assert semantic == {"position", "common", "semantic"}  # of which RoBERTa's layers are frozen
    assert acoustic == {"acoustic"}


def test_weights_are_saved_once_and_loaded_again(care: PublishedCare) -> None:
    again = PublishedCare(care.config).eval()
    state = care.state_dict()
    assert sum("table" in name for name in state) == 1
    again.load_state_dict(state)
    batch = waveform(8_000).unsqueeze(0), torch.tensor([8_000])
    assert torch.equal(care(*batch).layers, again(*batch).layers)


def test_it_runs_in_mixed_precision(care: PublishedCare) -> None:
    batch = waveform(8_000).unsqueeze(0), torch.tensor([8_000])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = care(*batch).layers
    torch.testing.assert_close(rough, care(*batch).layers, atol=0.15, rtol=0.1)


def test_origins_are_noted_without_where_they_lay(care: PublishedCare) -> None:
    assert care.config.origin == "wavlm roberta"
    assert care.config.wavlm == WavLmConfig(WIDTH, 4, 4, 64, 16, 16, 2, 20, 30)


def test_the_defaults_are_the_published_sizes() -> None:
    with torch.device("meta"):
        care = PublishedCare(PublishedCareConfig())
    assert (care.layers, care.width, care.summary_width) == (13, 1_536, 768)
    assert (len(care.common), len(care.acoustic), len(care.semantic)) == (6, 6, 6)
    assert sum(parameter.numel() for parameter in care.parameters()) == 172_306_928


class TestErrors:
    def test_the_wrong_family(self, folders: tuple[str, str]) -> None:
        with pytest.raises(HubError, match="made of a wavlm here, not of a roberta"):
            PublishedCare.from_hub(folders[1], folders[0])

    def test_another_plan(self, folders: tuple[str, str], tmp_path: Path) -> None:
        large = transformers.WavLMConfig(
            **SHAPE, conv_dim=(16,) * 7, feat_extract_norm="layer", do_stable_layer_norm=True
        )
        transformers.WavLMModel(large).save_pretrained(tmp_path)
        with pytest.raises(HubError, match="takes the plan of WavLM-base"):
            PublishedCare.from_hub(str(tmp_path), folders[1])

    @pytest.mark.parametrize("other", [{"intermediate_size": 48}, {"num_hidden_layers": 1}])
    def test_dimensions_that_differ(self, folders: tuple[str, str], tmp_path: Path, other: dict[str, int]) -> None:
        transformers.RobertaModel(transformers.RobertaConfig(**SHAPE | other, vocab_size=20)).save_pretrained(tmp_path)
        with pytest.raises(HubError, match="their dimensions differ"):
            PublishedCare.from_hub(folders[0], str(tmp_path))

    def test_a_waveform_too_short_for_a_frame(self, care: PublishedCare) -> None:
        with pytest.raises(ValueError, match="400 or more samples, not 399"):
            care.prepare(torch.zeros(399))
