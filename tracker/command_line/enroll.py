"""``emotrack voices enroll``: hear a person who speaks alone, and keep the voice print."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from emotrack.errors import EmotrackError, UsageError
from emotrack.tracker.audio import SAMPLE_RATE, AudioChunk, SourceLost
from emotrack.tracker.messages.output import say
from emotrack.tracker.sources import Source
from emotrack.tracker.speakers.enrolment import ENOUGH_S, Enrolment
from emotrack.tracker.speakers.networks import VoicePrint, load_speaker_networks
from emotrack.tracker.speakers.voice_store import VoiceStore, kept_name, new_voice, voice_folder

MIC_S: Final = 20  # of listening: twice the speech that a print takes, with pauses


def run_enroll(arguments: argparse.Namespace) -> int:
    """Enroll a person; returns the exit code. Raises ``EmotrackError`` for what the user can mend."""
    if arguments.seconds is not None and arguments.mic is None:
        raise UsageError("--seconds goes with --mic; a recording is as long as it is")
    name, store = kept_name(arguments.name), VoiceStore(voice_folder())
    source = _open_source(arguments)
    say(
        f"A voice print is biometric data (GDPR, Art. 9). That of {name} will be kept in {store.folder}, readable by "
        "you alone, until it is deleted by: emotrack voices forget. Nothing of the audio is kept."
    )
    if store.path(name).exists():
        say(f"it takes the place of the print that is kept of {name}")
    if not (arguments.yes or _agreed(name)):
        say("nothing was kept")
        return 1
    networks = load_speaker_networks(arguments.speaker_model)
    enrolment = Enrolment(networks)
    if arguments.mic is None:
        voice_print, seconds = asyncio.run(_hear(source, enrolment, None, lambda _: None))
    else:
        voice_print, seconds = _record(source, enrolment, arguments.seconds or MIC_S, name)
    path = store.keep(new_voice(name, voice_print, seconds, networks.prints.name, datetime.now(UTC)))
    say(f"{name}: the voice print of {seconds:.1f} s of speech is kept in {path}")
    return 0


def _open_source(arguments: argparse.Namespace) -> Source:
    if arguments.file is not None:
        from emotrack.tracker.sources.file import File

        return File(arguments.file)
    from emotrack.tracker.sources.microphone import Microphone

    return Microphone(arguments.mic or None)


def _agreed(name: str) -> bool:
    """Whether a person at a terminal says that the one who is enrolled agrees; true where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    print(f"Has {name} agreed? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _record(source: Source, enrolment: Enrolment, seconds: int, name: str) -> tuple[VoicePrint, float]:
    say(f"listening to {source.name} for {seconds} s: {name} speaks now, alone")
    with Progress(
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total} s, {task.fields[speech]:.0f} s of speech"),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as progress:
        bar = progress.add_task("listening", total=seconds, speech=0.0)
        return asyncio.run(
            _hear(
                source,
                enrolment,
                seconds,
                lambda heard_s: progress.update(bar, completed=heard_s, speech=enrolment.clean_s),
            )
        )


async def _hear(
    source: Source, enrolment: Enrolment, longest_s: float | None, tell: Callable[[float], None]
) -> tuple[VoicePrint, float]:
    """Hear the source until it ends, or for so long, or until there is speech enough."""
    async with aclosing(source.items()) as items:
        async for item in items:
            if isinstance(item, SourceLost):
                raise EmotrackError(f"{source.name} was lost ({item.reason}): nothing was kept")
            if isinstance(item, AudioChunk):
                await enrolment.hear(item)
                tell(item.end / SAMPLE_RATE)
                if enrolment.clean_s >= ENOUGH_S or (longest_s is not None and item.end >= longest_s * SAMPLE_RATE):
                    break
    return await enrolment.finish()
