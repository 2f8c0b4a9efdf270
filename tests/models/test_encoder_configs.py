"""An encoder's configuration goes through a bundle's config.json and comes back as the same encoder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import pytest
import torch
import transformers
from pydantic import TypeAdapter
from torch import Tensor, nn

from emotrack.models.care import CareConfig
from emotrack.models.encoders import AnySpeechConfig, AnyTextConfig, build_speech_encoder, build_text_encoder
from emotrack.models.hub_encoders import HubSpeechConfig, HubTextConfig
from emotrack.models.published_care import PublishedCareConfig
from emotrack.models.text_encoder import TextConfig
from emotrack.models.wavlm import WavLmConfig

BERT = transformers.BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
WAV2VEC2 = transformers.Wav2Vec2Config(
    hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, num_conv_pos_embeddings=8
)


@dataclass(frozen=True)
class Encoders:
    text: AnyTextConfig
    speech: AnySpeechConfig


@pytest.mark.parametrize(
    ("text", "speech"),
    [
        (TextConfig(20, 16, 1, 2, 32, 16), CareConfig(16, 1, 1, 2, 32)),
        (
            HubTextConfig(BERT.to_dict(), "someone/bert@1a2b3c"),
            PublishedCareConfig(WavLmConfig(16, 2, 2, 32, 16, 8, 2, 20, 30)),
        ),
        (
            HubTextConfig(BERT.to_dict(), "bert", max_tokens=64),
            HubSpeechConfig(WAV2VEC2.to_dict(), "wav2vec2", normalise=False),
        ),
    ],
)
def test_it_comes_back_as_it_was(text: AnyTextConfig, speech: AnySpeechConfig) -> None:
    before = Encoders(text, speech)
    document: dict[str, Any] = json.loads(json.dumps(asdict(before)))
    after = TypeAdapter(Encoders).validate_python(document, extra="forbid")
    assert (type(after.text), type(after.speech)) == (type(text), type(speech))
    read, again = build_text_encoder(text).eval(), build_text_encoder(after.text).eval()
    again.load_state_dict(stored(read), assign=True)
    ids = torch.tensor([[2, 3, 4]])
    padding, own = torch.zeros_like(ids, dtype=torch.bool), torch.tensor([3])
    torch.testing.assert_close(again(ids, padding, own), read(ids, padding, own), atol=0.02, rtol=0.02)
    heard, heard_again = build_speech_encoder(speech).eval(), build_speech_encoder(after.speech).eval()
    heard_again.load_state_dict(stored(heard), assign=True)
    inputs = heard.prepare(torch.randn(8_000, generator=torch.Generator().manual_seed(0))).unsqueeze(0)
    lengths = torch.tensor([inputs.shape[1]])
    torch.testing.assert_close(heard_again(inputs, lengths).layers, heard(inputs, lengths).layers, atol=0.02, rtol=0.02)


def stored(encoder: nn.Module) -> dict[str, Tensor]:
    """Weights as a bundle stores them: in half precision."""
    return {name: weight.half().float() for name, weight in encoder.state_dict().items()}
