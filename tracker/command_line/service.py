"""``emotrack live --mqtt``: all the microphones of a broker, in one process."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import socket
import time
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from emotrack.errors import UsageError
from emotrack.tracker.command_line.broker_options import broker_options
from emotrack.tracker.command_line.metrics import metrics_of, open_metrics
from emotrack.tracker.command_line.option_groups import read_options
from emotrack.tracker.command_line.running import (
    NO_COMMANDS,
    known_voices,
    listed_names,
    load_named_engine,
    run_until_interrupted,
    speaker_options,
)
from emotrack.tracker.command_line.saving import consent
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.messages.output import say
from emotrack.tracker.mqtt.connection.broker import BrokerError, read_broker
from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.format.audio_topics import AudioTopics
from emotrack.tracker.mqtt.format.payloads import MAX_NAME_CHARS

if TYPE_CHECKING:
    from emotrack.tracker.mqtt.sites.sites import Sites


def run_service(arguments: argparse.Namespace) -> int:
    """Track every site until interrupted; returns the exit code. Raises ``EmotrackError``."""
    if arguments.group is not None and not 0 < len(arguments.group) <= MAX_NAME_CHARS:
        raise UsageError(f"--group: a name of 1 to {MAX_NAME_CHARS} characters")
    if arguments.group is not None and arguments.commands == "off":
        raise UsageError("--commands off: the sites of a group are opened by commands")
    segmenter = read_options(arguments, SegmenterOptions)
    audio_topics = AudioTopics(arguments.audio_topic)
    broker = read_broker(arguments.mqtt, broker_options(arguments))
    publish_to = read_broker(arguments.publish, broker_options(arguments)) if arguments.publish else broker
    known = known_voices(arguments)
    endpoint = open_metrics(arguments)
    asr = arguments.asr or "auto"
    engine = load_named_engine(arguments, asr, speakers=True)
    from emotrack.tracker.mqtt.publishing.options import Publishing
    from emotrack.tracker.mqtt.sites.site import SiteOptions
    from emotrack.tracker.mqtt.sites.sites import Sites

    counting, metrics = metrics_of(endpoint, engine, lambda: sites.connection.connected)
    sites = Sites(
        engine,
        broker,
        Publishing(publish_to, worker_name(), arguments.topics == "full", engine, not arguments.no_text),
        SiteOptions(
            segmenter=segmenter,
            speakers=speaker_options(arguments, known, engine),
            context_turns=arguments.context,
            with_text=not arguments.no_text,
            notice_given=arguments.notice_given,
            max_sites=arguments.max_sites,
            idle_s=60.0 * arguments.idle,
            to_stdout=arguments.json,
            save=arguments.save,
            keep_audio=arguments.keep_audio,
            speculate=not arguments.no_speculation,
            provisional=not arguments.no_provisional and (arguments.topics == "full" or arguments.json),
            takes_commands=arguments.commands == "on",
            sinks=counting,
            only=listed_names("--sites", arguments.sites),
        ),
        audio_topics,
        arguments.group,
        on_ready=lambda: say(f"ready in {time.perf_counter() - arguments.began:.1f} s, listening to {broker}"),
    )
    say(consent(arguments, by_site=True))
    if arguments.commands == "off":
        say(NO_COMMANDS)
    try:
        asyncio.run(_run(sites, metrics))
    finally:
        engine.close()
    if sites.has_told_nobody:
        raise BrokerError(f"{publish_to}: nothing could be delivered")
    return 0


async def _run(sites: Sites, metrics: AbstractAsyncContextManager[None]) -> None:
    async with metrics:
        await run_until_interrupted(sites.run(), sites)


def worker_name() -> str:
    """This process's own name on the broker: the machine's, for people, and something that is never twice."""
    return f"{topics.ROOT}-{socket.gethostname()[:32]}-{secrets.token_hex(4)}"
