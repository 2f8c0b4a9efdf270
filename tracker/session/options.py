"""What can be chosen of a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.sinks.audio_archive import AudioKeeper
from emotrack.tracker.speakers.networks import VoicePrint
from emotrack.tracker.understanding.captions import Captions


@dataclass(frozen=True, slots=True)
class SpeakerOptions:
    """How voices are told apart."""

    count: int | None = None
    """There are no more speakers than that; None: nobody knows."""
    enrolled: Mapping[str, VoicePrint] = field(default_factory=dict)
    """Voices that are known from the beginning, by name; see ``Speakers.enroll``."""


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How a session hears and understands, and what its events carry."""

    segmenter: SegmenterOptions = field(default_factory=SegmenterOptions)
    speakers: SpeakerOptions | None = None
    """How voices are told apart; None: they are not."""
    captions: Captions | None = None
    """Words and speakers that take the place of recognition."""
    context_turns: int | None = None
    """Turns remembered; the bundle's own number by default."""
    with_text: bool = True
    """Whether events carry words."""
    notice_given: bool = False
    """Whoever starts the session says that everybody who can be heard was told."""
    every_sound: bool = False
    """A turn is also what is hardly one where voices are told apart: an "um" by itself, or a sound without words
    between what two people say; and none is told by sentence. For whoever waits for the words of each."""
    keeper: AudioKeeper | None = None
    """Keeps the audio of turns."""
    speculate: bool = False
    """Begin with a turn at the pause that may be its end. Only worth while where audio comes as it is spoken: a file
    that is read as quickly as possible leaves no time in which the models would be idle."""
    provisional: bool = False
    """Estimate turns that still go on, which is for the same reason of use there only."""
