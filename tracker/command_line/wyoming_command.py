"""What ``emotrack wyoming`` understands; what it does is in ``wyoming.py``."""

from __future__ import annotations

import argparse
from typing import Final

from emotrack.tracker.command_line.broker_options import add_broker_options
from emotrack.tracker.command_line.metrics import add_metrics_option
from emotrack.tracker.command_line.option_groups import add_options
from emotrack.tracker.command_line.session_commands import Commands
from emotrack.tracker.command_line.tracking_options import (
    add_network_options,
    add_notice_option,
    add_recogniser_options,
    add_saving_options,
    add_speaker_options,
    add_topics_option,
    let_threads_sleep,
)
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.messages.plain import unicode
from emotrack.tracker.wyoming import DEFAULT_URI

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
    output = wyoming.add_argument_group("output", "at least one of --publish, --json and --save")
    output.add_argument("--publish", metavar="URL", help="publish events to this MQTT broker")
    output.add_argument("--json", action="store_true", help="JSON lines on standard output")
    add_saving_options(output)
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
    let_threads_sleep()
    from emotrack.tracker.command_line.wyoming import run_wyoming

    return run_wyoming(arguments)
