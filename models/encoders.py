"""Which encoder a configuration stands for: the small ones of ``mini``, CARE as published, or one of the hub."""

from __future__ import annotations

from emotrack.models.care import Care, CareConfig, small_care
from emotrack.models.hub_encoders import HubSpeechConfig, HubSpeechEncoder, HubTextConfig, HubTextEncoder
from emotrack.models.published_care import PublishedCare, PublishedCareConfig
from emotrack.models.text_encoder import TextConfig, TextEncoder

AnyTextConfig = TextConfig | HubTextConfig
AnySpeechConfig = CareConfig | PublishedCareConfig | HubSpeechConfig


def build_text_encoder(config: AnyTextConfig) -> TextEncoder | HubTextEncoder:
    """A text encoder with random weights. Raises ``HubError`` where the configuration is not of one."""
    return HubTextEncoder(config) if isinstance(config, HubTextConfig) else TextEncoder(config)


def build_speech_encoder(config: AnySpeechConfig) -> Care | HubSpeechEncoder:
    """A speech encoder with random weights. Raises ``HubError`` where the configuration is not of one."""
    if isinstance(config, HubSpeechConfig):
        return HubSpeechEncoder(config)
    return PublishedCare(config) if isinstance(config, PublishedCareConfig) else small_care(config)
