"""Which encoder a configuration stands for: a small one, CARE as published, a Whisper's, one of the hub, or none."""

from __future__ import annotations

from typing import cast

from emotrack.models.care import Care, CareConfig, small_care
from emotrack.models.given import GivenSpeech, GivenSpeechConfig, GivenText, GivenTextConfig
from emotrack.models.hub_encoders import HubSpeechConfig, HubSpeechEncoder, HubTextConfig, HubTextEncoder
from emotrack.models.published_care import PublishedCare, PublishedCareConfig
from emotrack.models.text_encoder import TextConfig, TextEncoder
from emotrack.models.whisper import WhisperCareConfig, whisper_care

AnyTextConfig = TextConfig | HubTextConfig | GivenTextConfig
AnySpeechConfig = CareConfig | PublishedCareConfig | WhisperCareConfig | HubSpeechConfig | GivenSpeechConfig


def build_text_encoder(config: AnyTextConfig) -> TextEncoder | HubTextEncoder | GivenText:
    """A text encoder with random weights. Raises ``HubError`` where the configuration is not of one."""
    if isinstance(config, GivenTextConfig):
        return GivenText(config)
    return HubTextEncoder(config) if isinstance(config, HubTextConfig) else TextEncoder(config)


def build_speech_encoder(config: AnySpeechConfig) -> Care | HubSpeechEncoder:
    """A speech encoder with random weights. Raises ``HubError`` where the configuration is not of one."""
    if isinstance(config, GivenSpeechConfig):
        return cast("HubSpeechEncoder", GivenSpeech(config))  # it has what a head asks of one
    if isinstance(config, HubSpeechConfig):
        return HubSpeechEncoder(config)
    if isinstance(config, WhisperCareConfig):
        return whisper_care(config)
    return PublishedCare(config) if isinstance(config, PublishedCareConfig) else small_care(config)
