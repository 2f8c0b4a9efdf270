"""The transformer layer: by oneDNN or as torch has it, it says the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from emotrack.models.bundle import load_bundle
from emotrack.models.transformer import TransformerLayer

WIDTH, HEADS, FEED_FORWARD = 24, 3, 48


def layers(norm_first: bool) -> tuple[TransformerLayer, nn.TransformerEncoderLayer]:
    """One of ours and one of torch's, with the same weights."""
    torch.manual_seed(0)
    ours = TransformerLayer(WIDTH, HEADS, FEED_FORWARD, norm_first=norm_first)
    plain = nn.TransformerEncoderLayer(
        WIDTH, HEADS, FEED_FORWARD, activation="gelu", batch_first=True, norm_first=norm_first
    )
    plain.load_state_dict(ours.state_dict())
    return ours.eval(), plain.eval()


def batch(*lengths: int) -> tuple[Tensor, Tensor]:
    """Sequences of those lengths: (B, T, D), and (B, T) True where padded."""
    torch.manual_seed(1)
    longest = max(lengths)
    padding = torch.arange(longest) >= torch.tensor(lengths).unsqueeze(1)
    return torch.randn(len(lengths), longest, WIDTH), padding


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("lengths", [(1,), (17,), (9, 30, 2)])
def test_says_what_the_layer_of_torch_says(norm_first: bool, lengths: tuple[int, ...]) -> None:
    ours, plain = layers(norm_first)
    states, padding = batch(*lengths)
    expected = plain(states, src_key_padding_mask=padding)  # with gradients: by the plain path
    with torch.inference_mode():
        found = ours(states, src_key_padding_mask=padding)
    assert torch.allclose(found[~padding], expected[~padding], atol=1e-5)
    assert torch.allclose(ours(states, src_key_padding_mask=padding)[~padding], expected[~padding], atol=1e-5)


def test_one_dnn_is_asked_where_nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _ = layers(norm_first=True)
    states, padding = batch(5)
    asked: list[str] = []

    def linear(inputs: Tensor, weight: Tensor, bias: Tensor, then: str = "none") -> Tensor:
        asked.append(then)
        result = nn.functional.linear(inputs, weight, bias)
        return nn.functional.gelu(result) if then == "gelu" else result

    monkeypatch.setattr("emotrack.models.transformer._linear", linear)
    ours(states, src_key_padding_mask=padding)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        ours(states, src_key_padding_mask=padding)
    assert not asked
    with torch.inference_mode():
        ours(states, src_key_padding_mask=padding)
    assert asked == ["none", "none", "gelu", "none"]


@pytest.mark.parametrize(("processor", "by_columns"), [("AVX512", True), ("AVX2", False)])
def test_a_bundle_is_loaded_in_the_order_that_is_quick(
    processor: str, by_columns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_bundle("mini").embed_text("well, so long then", ["see you"])
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: processor)
    network = load_bundle("mini")
    found = [layer for layer in network.modules() if isinstance(layer, TransformerLayer)]
    assert len(found) == 9
    for layer in found:
        attention = layer.self_attn
        for weight in (attention.in_proj_weight, attention.out_proj.weight, layer.linear1.weight, layer.linear2.weight):
            assert weight.T.is_contiguous() == by_columns
    assert torch.allclose(network.embed_text("well, so long then", ["see you"]), before, atol=1e-5)


def test_matrices_elsewhere_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    layer = layers(norm_first=False)[0].to("meta")  # as on a GPU
    layer.store_by_columns()
    assert layer.linear1.weight.is_contiguous()
    assert not layer.linear1.weight.T.is_contiguous()


def test_padding_changes_nothing() -> None:
    ours, _ = layers(norm_first=False)
    states, padding = batch(7, 20)
    with torch.inference_mode():
        together = ours(states, src_key_padding_mask=padding)[0, :7]
        alone = ours(states[:1, :7], src_key_padding_mask=padding[:1, :7])[0]
    assert torch.allclose(together, alone, atol=1e-6)


def test_it_can_be_trained() -> None:
    ours, _ = layers(norm_first=True)
    states, padding = batch(6)
    ours.train()(states, src_key_padding_mask=padding).sum().backward()
    assert ours.linear1.weight.grad is not None
    assert ours.self_attn.in_proj_weight.grad is not None
