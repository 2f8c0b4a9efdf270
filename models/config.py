"""The configuration of a network: everything its weights need to become a network again."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from emotrack.models.bounds import SAMPLE_RATE
from emotrack.models.care import CareConfig
from emotrack.models.context_network import ContextConfig
from emotrack.models.encoders import AnySpeechConfig, AnyTextConfig
from emotrack.models.labels import EMOTIONS
from emotrack.models.sizes import Context, Flag, Name, Networks, Positive, Share, Temperature, Weight, Width
from emotrack.models.text_encoder import TextConfig

Stage = Annotated[int, Field(strict=True, ge=1, le=3)]


@dataclass(frozen=True, slots=True)
class SpeechHeadConfig:
    """Widths of the Stage-I speech head's two layers."""

    hidden: Width = 256
    embedding: Width = 256


@dataclass(frozen=True, slots=True)
class BaselineHeadConfig:
    """A Stage-I speech head that measures a voice against its baseline, and how far it trusts that."""

    voice: Width = 384  # numbers that tell a voice
    frames: Weight = 0.0  # of an utterance that what is known of training voices counts for
    room: Positive = 5.0  # turns of the room that what is known of training voices counts for
    speaker: Positive = 5.0  # turns of the speaker that the room counts for
    trust: Share = 0.7  # in the relative view at most
    variety: Share = 0.7  # of what a voice sounded like so far, at which half of that is trusted
    steepness: Positive = 10.0  # of the trust there
    networks: Networks = 0  # small ones beside the linear classifier of each view
    hidden: Width = 96  # units of each of them
    likeness: Weight = 0.0  # how much it counts what the labels sounded like in this voice so far; 0: nothing
    typical: Positive = 4.0  # turns of a label that what it sounds like in training voices counts for


@dataclass(frozen=True, slots=True)
class Calibration:
    """Temperatures that divide the scores of turns with words, with a voice, with both; fitted on dev."""

    text: Temperature = 1.0
    speech: Temperature = 1.0
    both: Temperature = 1.0


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """All that a bundle's weights need to become a network.

    Raises:
        ValueError: a number is out of its bounds, or a name cannot be shown or occurs twice among the labels.
    """

    name: Name
    labels: Annotated[tuple[Name, ...], Field(min_length=1, max_length=100)] = EMOTIONS
    stands_for: dict[Name, tuple[Name, ...]] = field(default_factory=dict)
    """Of each label, those of a corpus that it stands for, where whoever trained it said so; else its name decides."""
    sample_rate: Literal[16_000] = SAMPLE_RATE  # Hz
    stage: Stage = 3  # how far it is trained: 1 each turn alone, 2 each modality alone, 3 everything
    context: Context = 16  # turns in the rolling window, the newest included
    uncertain_below: Share = 0.4  # confidence; chosen on dev
    text: AnyTextConfig = field(default_factory=TextConfig)
    speech: AnySpeechConfig = field(default_factory=CareConfig)
    speech_head: SpeechHeadConfig | BaselineHeadConfig = field(default_factory=SpeechHeadConfig)
    conversation: ContextConfig = field(default_factory=ContextConfig)
    calibration: Calibration = field(default_factory=Calibration)
    second_opinion: Flag = False  # on words alone, by their tokens

    def __post_init__(self) -> None:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"a label occurs twice among {', '.join(self.labels)}")
        if self.second_opinion and not isinstance(self.text, TextConfig):
            raise ValueError("a second opinion reads the tokens of a small BERT, and the words have another encoder")
