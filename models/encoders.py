"""Which encoder a configuration stands for: a small one, CARE as published, one of a Whisper, or one of the hub."""

from __future__ import annotations

from emotrack.models.care import Care, CareConfig, small_care
from emotrack.models.hub_encoders import HubSpeechConfig, HubSpeechEncoder, HubTextConfig, HubTextEncoder
from emotrack.models.published_care import PublishedCare, PublishedCareConfig
from emotrack.models.text_encoder import TextConfig, TextEncoder
from emotrack.models.whisper import WhisperCareConfig, whisper_care

AnyTextConfig = TextConfig | HubTextConfig
AnySpeechConfig = CareConfig | PublishedCareConfig | WhisperCareConfig | HubSpeechConfig


def build_text_encoder(config: AnyTextConfig) -> TextEncoder | HubTextEncoder:
    """A text encoder with random weights. Raises ``HubError`` where the configuration is not of one."""
    return HubTextEncoder(config) if isinstance(config, HubTextConfig) else TextEncoder(config)


def build_speech_encoder(config: AnySpeechConfig) -> Care | HubSpeechEncoder:
    """A speech encoder with random weights. Raises ``HubError`` where the configuration is not of one."""
    if isinstance(config, HubSpeechConfig):
        return HubSpeechEncoder(config)
    if isinstance(config, WhisperCareConfig):
        return whisper_care(config)
    return PublishedCare(config) if isinstance(config, PublishedCareConfig) else small_care(config)
