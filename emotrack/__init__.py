"""Live emotion tracking for conversations: who sounds how, turn by turn, from voice, words and context.

    async with emotrack.Tracker() as tracker:
        async for event in tracker.track(emotrack.Microphone()):
            if isinstance(event, emotrack.Turn):
                print(event.speaker, event.emotion, event.confidence)

    for turn in emotrack.turns("talk.mp3"):
        print(turn.start_s, turn.emotion)

Everything listed in ``__all__`` is the public Python interface. Names are imported when they are first used, so that
``import emotrack`` is quick and loads no model library.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from emotrack import reporting as reporting  # before anything else

if TYPE_CHECKING:
    from emotrack.errors import EmotrackError, UsageError
    from emotrack.models.bundle import BundleError
    from emotrack.models.network import EmotionNetwork
    from emotrack.tracker.errors import CaptionsError, RecogniserError, SinkError, SourceError
    from emotrack.tracker.events import (
        Correction,
        Event,
        Mark,
        OverloadEvent,
        Provisional,
        SessionEnded,
        SessionStarted,
        SourceLostEvent,
        SourceRestoredEvent,
        SpeakerRenamed,
        SpeakersMerged,
        Turn,
    )
    from emotrack.tracker.sources.blocks import Blocks
    from emotrack.tracker.sources.call import Call
    from emotrack.tracker.sources.file import File
    from emotrack.tracker.sources.microphone import Microphone, SystemSound
    from emotrack.tracking import Conversation, Tracker, turns

__all__ = [
    "Blocks",
    "BundleError",
    "Call",
    "CaptionsError",
    "Conversation",
    "Correction",
    "EmotionNetwork",
    "EmotrackError",
    "Event",
    "File",
    "Mark",
    "Microphone",
    "OverloadEvent",
    "Provisional",
    "RecogniserError",
    "SessionEnded",
    "SessionStarted",
    "SinkError",
    "SourceError",
    "SourceLostEvent",
    "SourceRestoredEvent",
    "SpeakerRenamed",
    "SpeakersMerged",
    "SystemSound",
    "Tracker",
    "Turn",
    "UsageError",
    "__version__",
    "turns",
]

_MODULE_OF = {
    "EmotrackError": "errors",
    "UsageError": "errors",
    "BundleError": "models.bundle",
    "EmotionNetwork": "models.network",
    "CaptionsError": "tracker.errors",
    "RecogniserError": "tracker.errors",
    "SinkError": "tracker.errors",
    "SourceError": "tracker.errors",
    "Conversation": "tracking",
    "Tracker": "tracking",
    "turns": "tracking",
    "Blocks": "tracker.sources.blocks",
    "File": "tracker.sources.file",
    "Microphone": "tracker.sources.microphone",
    "SystemSound": "tracker.sources.microphone",
    "Call": "tracker.sources.call",
}

# A program that uses emotrack decides what is shown; without a handler of its own nothing is.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name == "__version__":
        from importlib.metadata import version

        return version("emotrack")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF.get(name, 'tracker.events')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
