"""What a run over one microphone and a run over those of a broker have in common."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from emotrack.errors import UsageError
from emotrack.tracker.interrupts import stopped_by_signals
from emotrack.tracker.session.options import SpeakerOptions
from emotrack.tracker.speakers.voice_store import KeptVoice, VoiceStore, enrolled_prints, voice_folder
from emotrack.tracker.understanding.loading import load_engine

if TYPE_CHECKING:
    from emotrack.tracker.understanding.engine import Engine

NO_COMMANDS: Final = "Commands over MQTT are off: nobody there can start, stop, pause, label or rename."


def load_named_engine(arguments: argparse.Namespace, asr: str, *, speakers: bool) -> Engine:
    """The models that the options name; with ``speakers`` also what tells voices apart, unless that is off."""
    return load_engine(
        arguments.bundle,
        asr,
        arguments.device,
        arguments.language,
        own_process=True,
        speakers=speakers and arguments.speakers is not None,
        speaker_model=arguments.speaker_model,
    )


def listed_names(option: str, lists: Sequence[str]) -> tuple[str, ...]:
    """The names in the lists of them, separated by commas, that ``option`` was given.

    Raises ``UsageError`` where it was given none.
    """
    names = tuple(name for listed in lists for part in listed.split(",") if (name := part.strip()))
    if lists and not names:
        raise UsageError(f"{option}: names nobody")
    return names


def known_voices(arguments: argparse.Namespace) -> list[KeptVoice]:
    """The voices that are to be known; none unless they are named. Raises ``EmotrackError`` where one is not kept."""
    names = listed_names("--known", arguments.known)
    if not names:
        return []
    if arguments.speakers is None:
        raise UsageError("--known: with --speakers off no voice is told from another")
    return VoiceStore(voice_folder()).known(names)


def speaker_options(arguments: argparse.Namespace, known: list[KeptVoice], engine: Engine) -> SpeakerOptions | None:
    """How voices are told apart, and whose are known."""
    if arguments.speakers is None:
        return None
    return SpeakerOptions(arguments.speakers or None, enrolled_prints(known, engine.speaker_networks))


class Stoppable(Protocol):
    """What ends in order when it is told to."""

    @property
    def is_stopping(self) -> bool: ...

    def stop(self, reason: str) -> None: ...


async def run_until_interrupted(work: Coroutine[None, None, None], controls: Stoppable) -> None:
    """Run to the end; the first Ctrl-C, SIGTERM or SIGHUP ends it in order, a second one at once."""
    loop = asyncio.get_running_loop()
    running = loop.create_task(work)

    def interrupt() -> None:
        if controls.is_stopping:
            running.cancel()
        controls.stop("interrupted")

    with stopped_by_signals(interrupt):
        try:
            await running
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
