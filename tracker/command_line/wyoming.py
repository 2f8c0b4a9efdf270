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
from emotrack.tracker.command_line.broker_options import add_broker_options, broker_options
from emotrack.tracker.command_line.metrics import add_metrics_option, metrics_of, open_metrics
from emotrack.tracker.command_line.option_groups import add_options, read_options
from emotrack.tracker.command_line.session_commands import Commands
from emotrack.tracker.command_line.tracking_options import (
    add_network_options,
    add_notice_option,
    add_recogniser_options,
    add_speaker_options,
    add_topics_option,
)
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.messages.output import say
from emotrack.tracker.messages.plain import unicode
from emotrack.tracker.options import PORTS

if TYPE_CHECKING:
    from emotrack.tracker.mqtt.connection.broker import Broker
    from emotrack.tracker.session.controls import Controls
    from emotrack.tracker.session.status import LiveStatus, Status
    from emotrack.tracker.sinks.json_lines import Sink
    from emotrack.tracker.understanding.engine import Engine
    from emotrack.tracker.wyoming.server import WyomingServer

DEFAULT_URI: Final = "tcp://127.0.0.1:10300"
MAX_SITE_CHARS: Final = 200  # a number is added where several speak at once
_URI: Final = re.compile(r"tcp://(?P<host>[\w.-]+|\[[0-9A-Fa-f:]+\]):(?P<port>\d{1,5})/?", re.ASCII)

_EXAMPLES: Final = """\
examples:
  emotrack wyoming --publish mqtt://localhost/       Home Assistant on this computer asks for the words
  emotrack wyoming --uri tcp://0.0.0.0:10300 --publish mqtts://ana@broker.example/ --site house
                                                     Home Assistant on another one does
  emotrack wyoming --json                            without a broker: one JSON object an event on standard output

In Home Assistant add the integration "Wyoming Protocol" with the host and the port, then choose emotrack under
Settings, Voice assistants, Speech-to-text. Whoever reaches the port can have speech recognised, and what they say is
published; nobody can listen in there.
"""


def add_wyoming_command(commands: Commands[argparse.ArgumentParser]) -> None:
    """Give the command line ``wyoming``."""
    wyoming = commands.add_parser(
        "wyoming",
        help="recognise speech for Home Assistant's voice assistants, and track how it sounds",
        description="A speech-to-text service for Home Assistant (Wyoming protocol). Home Assistant gets the words of "
        "each utterance; how they sounded is published over MQTT.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    wyoming.add_argument(
        "--uri",
        default=DEFAULT_URI,
        metavar="tcp://HOST:PORT",
        help=f"where to listen (default: {DEFAULT_URI}, for this computer alone; 0.0.0.0 is for every other one, too)",
    )
    wyoming.add_argument(
        "--site", type=unicode, default="assistant", help="a name for whoever speaks there (default: assistant)"
    )
    add_speaker_options(wyoming)
    add_recogniser_options(wyoming.add_argument_group("words"))
    add_network_options(wyoming.add_argument_group("network"))
    output = wyoming.add_argument_group("output", "at least one of --publish and --json")
    output.add_argument("--publish", metavar="URL", help="publish events to this MQTT broker")
    output.add_argument("--json", action="store_true", help="JSON lines on standard output")
    add_topics_option(output)
    output.add_argument(
        "--commands",
        choices=("on", "off"),
        default="on",
        help="follow commands over MQTT to pause, reset, label and rename (default: on)",
    )
    add_notice_option(output)
    add_metrics_option(wyoming.add_argument_group("operation"))
    add_broker_options(wyoming)
    add_options(wyoming.add_argument_group("turns", "where speech is cut into turns"), SegmenterOptions)
    wyoming.set_defaults(run=_wyoming)


def _wyoming(arguments: argparse.Namespace) -> int:
    """Serve until interrupted; returns the exit code. Raises ``EmotrackError``."""
    from emotrack.tracker.command_line.running import (
        CONSENT,
        NO_COMMANDS,
        known_voices,
        load_named_engine,
        speaker_options,
    )
    from emotrack.tracker.mqtt.connection.broker import read_broker
    from emotrack.tracker.session.options import SessionOptions

    if not (arguments.publish or arguments.json):
        raise UsageError("--publish URL or --json: how it sounds has to go somewhere")
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
        server = WyomingServer(bound, engine, UtteranceOptions(arguments.site, options, sinks))
        say(f"ready in {time.perf_counter() - arguments.began:.1f} s, listening at {_shown(bound)}")
        if not ipaddress.ip_address(bound.getsockname()[0]).is_loopback:
            say("whoever reaches this address can have speech recognised; all of it can be read on the way")
        say(f"{CONSENT} Nothing is recorded.")
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
    from emotrack.tracker.sinks.json_lines import JsonLines

    def make(status: LiveStatus, controls: Controls) -> list[Sink]:
        sinks: list[Sink] = [JsonLines.to_stdout()] if arguments.json else []
        if broker:
            publishing = Publishing(broker, worker_name(), arguments.topics == "full", engine)
            sinks.append(MqttSink(publishing, status, controls, takes_commands=arguments.commands == "on"))
        return [*sinks, *counting(status)]

    return make


async def _run(server: WyomingServer, metrics: AbstractAsyncContextManager[None]) -> None:
    from emotrack.tracker.command_line.running import run_until_interrupted

    async with metrics:
        await run_until_interrupted(server.run(), server)
