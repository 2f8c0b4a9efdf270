"""The small CARE: what its layers hand on, that padding is not heard, and which gradient goes where."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from emotrack.models.care import Care, CareConfig, CareLayer, small_care
from emotrack.models.features import MELS
from emotrack.models.heads import SpeechHead
from emotrack.models.network import EmotionNetwork

CONFIG = CareConfig(width=16, common=2, branch=1, heads=2, feed_forward=32)


@pytest.fixture
def care() -> Care:
    torch.manual_seed(0)
    return small_care(CONFIG).eval()


def frames(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, MELS, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("common", "branch"), [(2, 1), (1, 3)])
def test_every_layer_of_both_paths_is_handed_on(common: int, branch: int) -> None:
    torch.manual_seed(0)
    care = small_care(CareConfig(width=16, common=common, branch=branch, heads=2, feed_forward=32)).eval()
    inputs, lengths = torch.stack([frames(41), frames(41, 1)]), torch.tensor([41, 41])
    found = care(inputs, lengths)
    assert care.layers == 1 + common + branch
    assert (care.width, care.summary_width) == (64, 32)  # mean and deviation, of two paths
    assert found.layers.shape == (2, care.layers, care.width)
    assert found.summary.shape == (2, care.summary_width)
    states = care.states(inputs, lengths)
    assert states.semantic.shape == states.acoustic.shape == (2, care.layers, 11, 16)
    shared = 1 + common  # both paths begin with them
    assert torch.equal(states.semantic[:, :shared], states.acoustic[:, :shared])
    assert not torch.allclose(states.semantic[:, shared:], states.acoustic[:, shared:])
    torch.testing.assert_close(found.summary, found.layers[:, -1, :32])  # the last semantic states once more


@pytest.mark.parametrize("count", [1, 11, 40, 41, 42, 43])
def test_speech_reads_the_same_alone_and_in_a_batch(care: Care, count: int) -> None:
    alone = care(frames(count).unsqueeze(0), torch.tensor([count]))
    batch = torch.full((2, 64, MELS), 5.0)
    batch[0, :count] = frames(count)
    together = care(batch, torch.tensor([count, 64]))
    torch.testing.assert_close(alone.layers[0], together.layers[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(alone.summary[0], together.summary[0], atol=1e-4, rtol=1e-4)


def test_frames_past_the_end_are_marked(care: Care) -> None:
    states = care.states(torch.stack([frames(30), frames(30, 1)]), torch.tensor([30, 9]))
    assert states.padding.sum(dim=1).tolist() == [0, 5]


def gradients(care: Care, loss: torch.Tensor) -> dict[str, set[bool]]:
    """Part of CARE -> whether its parameters get a gradient from ``loss``."""
    care.zero_grad()
    loss.backward()
    found: dict[str, set[bool]] = {}
    for name, parameter in care.named_parameters():
        moved = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        found.setdefault(name.partition(".")[0], set()).add(moved)
    return found


def test_the_acoustic_path_sends_no_gradient_into_the_common_encoder(care: Care) -> None:
    states = care.states(frames(41).unsqueeze(0), torch.tensor([41]))
    touched = gradients(care, states.acoustic.square().sum())
    assert touched["common"] == touched["front_end"] == touched["semantic"] == {False}
    assert True in touched["acoustic"]
    states = care.states(frames(41).unsqueeze(0), torch.tensor([41]))
    touched = gradients(care, states.semantic.square().sum())
    assert touched["acoustic"] == {False}
    assert all(True in touched[part] for part in ("common", "front_end", "semantic"))


def test_paths_of_different_length_are_refused(care: Care) -> None:
    layers = list(care.semantic)
    with pytest.raises(ValueError, match="2 semantic layers, but 1 acoustic ones"):
        Care(care.front_end, [], [*layers, nn.Identity()], layers, pooling="attentive")  # type: ignore[arg-type]


def test_silence_and_a_single_frame_are_finite(care: Care) -> None:
    for inputs in (care.prepare(torch.zeros(16_000)), torch.zeros(1, MELS)):
        assert care(inputs.unsqueeze(0), torch.tensor([len(inputs)])).layers.isfinite().all()


def test_the_head_mixes_all_layers(network: EmotionNetwork) -> None:
    features = network.speech_encoder(frames(41).unsqueeze(0), torch.tensor([41]))
    assert isinstance(network.speech_head, SpeechHead)
    before = network.speech_head.embed(features)
    network.speech_head.layer_weights[0] = 9.0
    assert not torch.allclose(network.speech_head.embed(features), before)


def test_frames_are_related_to_their_neighbours_in_full_width() -> None:
    """On processors with bf16, one batch of a narrow encoder took a minute otherwise."""
    layer, frames = CareLayer(CareConfig(width=16, heads=2, feed_forward=32)), torch.randn(2, 50, 16)  # (B, T, D)
    expected = layer._relate(frames)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer._relate(frames), expected)
        assert layer._relate(frames.bfloat16()).dtype == torch.float32
