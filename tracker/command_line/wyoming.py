"""``emotrack wyoming``: words for Home Assistant's voice pipeline, and how they sounded for everybody else."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import re
import socket
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final

from emotrack.errors import UsageError
from emotrack.tracker.command_line.broker_options import broker_options
from emotrack.tracker.command_line.metrics import metrics_of, open_metrics
from emotrack.tracker.command_line.option_groups import read_options
from emotrack.tracker.command_line.running import (
    NO_COMMANDS,
    known_voices,
    load_named_engine,
    run_until_interrupted,
    speaker_options,
)
from emotrack.tracker.command_line.saving import check_saving, consent
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.messages.output import say
from emotrack.tracker.mqtt.connection.broker import read_broker
from emotrack.tracker.options import PORTS
from emotrack.tracker.session.options import SessionOptions
from emotrack.tracker.sinks.audio_archive import AudioKeeper
from emotrack.tracker.wyoming import DEFAULT_URI

if TYPE_CHECKING:
    from emotrack.tracker.mqtt.connection.broker import Broker
    from emotrack.tracker.session.controls import Controls
    from emotrack.tracker.session.status import LiveStatus, Status
    from emotrack.tracker.sinks.json_lines import Sink
    from emotrack.tracker.understanding.engine import Engine
    from emotrack.tracker.wyoming.server import WyomingServer

MAX_SITE_CHARS: Final = 200  # a number is added where several speak at once
_URI: Final = re.compile(r"tcp://(?P<host>[\w.-]+|\[[0-9A-Fa-f:]+\]):(?P<port>\d{1,5})/?", re.ASCII)


def run_wyoming(arguments: argparse.Namespace) -> int:
    """Serve until interrupted; returns the exit code. Raises ``EmotrackError``."""
    if not (arguments.publish or arguments.json or arguments.save):
        raise UsageError("--publish URL, --json or --save FILE: how it sounds has to go somewhere")
    check_saving(arguments)
    if arguments.asr == "none":
        raise UsageError("--asr none: Home Assistant wants words")
    if not 0 < len(arguments.site) <= MAX_SITE_CHARS:
        raise UsageError(f"--site: a name of 1 to {MAX_SITE_CHARS} characters")
    from emotrack.tracker.wyoming.server import WyomingServer  # what is missing of the extra is said before models load
    from emotrack.tracker.wyoming.site import UtteranceOptions

    segmenter = read_options(arguments, SegmenterOptions)
    broker = read_broker(arguments.publish, broker_options(arguments)) if arguments.publish else None
    known = known_voices(arguments)
    endpoint = open_metrics(arguments)
    bound = bind(arguments.uri)
    engine = load_named_engine(arguments, arguments.asr or "auto", speakers=True)
    try:
        if engine.recogniser is None:
            raise UsageError(f"--language {arguments.language}: there is no recogniser here for it; --asr names one")
        counting, metrics = metrics_of(endpoint, engine, lambda: not server.is_stopping)
        options = SessionOptions(
            segmenter=segmenter,
            speakers=speaker_options(arguments, known, engine),
            context_turns=arguments.context,
            notice_given=arguments.notice_given,
            speculate=not arguments.no_speculation,
        )
        sinks = _sinks(arguments, broker, engine, counting)
        server = WyomingServer(bound, engine, UtteranceOptions(arguments.site, options, sinks, _keeper(arguments)))
        say(f"ready in {time.perf_counter() - arguments.began:.1f} s, listening at {_shown(bound)}")
        if not ipaddress.ip_address(bound.getsockname()[0]).is_loopback:
            say("whoever reaches this address can have speech recognised; all of it can be read on the way")
        say(consent(arguments, by_site=True))
        if broker and arguments.commands == "off":
            say(NO_COMMANDS)
        asyncio.run(_run(server, metrics))
    finally:
        engine.close()
        bound.close()
    return 0


def bind(uri: str) -> socket.socket:
    """Take the address of ``tcp://HOST:PORT``, without answering there yet. Raises ``UsageError``."""
    found = _URI.fullmatch(uri.strip())
    if found is None or not (int(found["port"]) == 0 or int(found["port"]) in PORTS):
        raise UsageError(f"--uri: {uri!r} is no tcp://HOST:PORT, such as {DEFAULT_URI}")
    host, port = found["host"].strip("[]"), int(found["port"])
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, place = min(places, key=lambda each: each[0] != socket.AF_INET)
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
    except OSError as error:
        raise UsageError(f"--uri: cannot listen at {host}:{port}: {error.strerror or error}") from error
    bound.setblocking(False)
    return bound


def _shown(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"tcp://{f'[{host}]' if ':' in host else host}:{port}"


def _sinks(
    arguments: argparse.Namespace,
    broker: Broker | None,
    engine: Engine,
    counting: Callable[[Status], list[Sink]],
) -> Callable[[LiveStatus, Controls], list[Sink]]:
    """What makes the sinks of a session; each has a connection of its own to the broker."""
    from emotrack.tracker.command_line.service import worker_name
    from emotrack.tracker.mqtt.publishing.options import Publishing
    from emotrack.tracker.mqtt.publishing.sink import MqttSink
    from emotrack.tracker.mqtt.sites.site import file_of_site
    from emotrack.tracker.sinks.json_lines import JsonLines
    from emotrack.tracker.sinks.wordless import Wordless

    def make(status: LiveStatus, controls: Controls) -> list[Sink]:
        sinks: list[Sink] = [JsonLines.to_file(file_of_site(arguments.save, status.site))] if arguments.save else []
        if arguments.json:
            sinks.append(JsonLines.to_stdout())
        if broker:
            publishing = Publishing(broker, worker_name(), arguments.topics == "full", engine)
            sinks.append(MqttSink(publishing, status, controls, takes_commands=arguments.commands == "on"))
        if arguments.no_text:  # only whoever asked for the words gets them
            sinks = [Wordless(sink) for sink in sinks]
        return [*sinks, *counting(status)]

    return make


def _keeper(arguments: argparse.Namespace) -> Callable[[str], AudioKeeper | None]:
    """What makes the keeper of a site's audio, if it is to be kept."""
    from emotrack.tracker.mqtt.sites.site import file_of_site

    return lambda site: AudioKeeper(file_of_site(arguments.save, site)) if arguments.keep_audio else None


async def _run(server: WyomingServer, metrics: AbstractAsyncContextManager[None]) -> None:
    async with metrics:
        await run_until_interrupted(server.run(), server)
