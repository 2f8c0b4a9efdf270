"""What ``emotrack`` understands. Only what ``--help`` needs is imported here; the rest when a command runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from emotrack.tracker.command_line.broker_options import add_broker_options
from emotrack.tracker.command_line.help_text import HelpFormatter
from emotrack.tracker.command_line.metrics import add_metrics_option
from emotrack.tracker.command_line.notice import add_notice_command
from emotrack.tracker.command_line.option_groups import add_options
from emotrack.tracker.command_line.page import add_page_options
from emotrack.tracker.command_line.session_commands import Commands, add_session_commands
from emotrack.tracker.command_line.tracking_options import (
    add_network_options,
    add_notice_option,
    add_recogniser_options,
    add_saving_options,
    add_speaker_options,
    add_topics_option,
    let_threads_sleep,
)
from emotrack.tracker.command_line.voice_commands import add_voice_commands
from emotrack.tracker.command_line.wyoming_command import add_wyoming_command
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.messages.output import show
from emotrack.tracker.messages.plain import plain_line, unicode
from emotrack.tracker.options import Bounds
from emotrack.tracker.site import DEFAULT_SITE

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_DESCRIPTION = """\
Live emotion tracking for conversations: who sounds how, turn by turn, from voice, words and context.
Nothing is recorded, and nothing leaves this computer, unless you ask for it.
"""

_EXAMPLES = """\
examples:
  emotrack live --mic                              listen to the default microphone
  emotrack live --mic "USB" --save meeting.jsonl   a microphone by (part of) its name, and keep the events
  emotrack live --file talk.mp3 --json             a recording, paced as it was spoken, one JSON object per event
  emotrack watch mqtt://localhost/                 the dashboard of sites that are tracked elsewhere
  emotrack wyoming --publish mqtt://localhost/     words for Home Assistant, emotions over MQTT
  emotrack report meeting.jsonl                    afterwards: a web page of what was heard
  emotrack devices                                 what --mic and --system can listen to

Estimating emotions from voices at work or in education is prohibited in the EU (AI Act, Art. 5(1)(f)), save for
medical or safety reasons. Make sure that everyone who can be heard knows and agrees.
"""

_LIVE_EXAMPLES = """\
examples:
  emotrack live --mic                                          the dashboard, listening
  emotrack live --file call.wav --channels split               each channel of a call is a speaker
  emotrack live --file talk.flac --captions talk.vtt --fast --json > turns.jsonl
                                                               words and speakers from captions, as quick as possible
  emotrack live --mic --speakers 2                             there are two people in the room
  emotrack live --mic --system                                 a call on this computer: you, and the others
  emotrack live --mic --asr none                               voice only, no words at all
  emotrack live --mqtt mqtt://localhost/                       every microphone on an MQTT broker, and publish there
  emotrack live --mic --web                                    a page in the browser as well
  emotrack live --web-mic --web 0.0.0.0 --web-cert cert.pem --web-key key.pem
                                                               a phone's browser is the microphone
  emotrack live --mic --publish mqtt://localhost/ --site desk  publish what a microphone here hears
  emotrack live --mic --asr ./whisper-small-ct2 --language de  a CTranslate2 Whisper model of your own

On a terminal a dashboard is shown (q quits, p pauses, m marks a moment); elsewhere, or with --json, one JSON object a
line is written to standard output. Ctrl-C ends in order, a second one at once. Exit code: 0 normal end, Ctrl-C at any
moment included; 1 failure; 2 wrong usage.
"""


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in harmless words, as it repeats what was typed, and whose help is heard."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"formatter_class": HelpFormatter} | options)

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Print the help. Raises ``OutputError``, which argparse would pass over."""
        if file is None:
            show(self.format_help(), end="")
        else:
            super().print_help(file)

    def error(self, message: str) -> NoReturn:
        """End with one line and exit code 2; the usage of a command with many options would push it off the screen."""
        self.exit(2, plain_line(f"{self.prog}: error: {message} (--help says more)") + "\n")


def make_parser() -> tuple[argparse.ArgumentParser, Commands[argparse.ArgumentParser]]:
    """The parser of the command line, and what further commands are added to."""
    parser: argparse.ArgumentParser = Parser(
        prog="emotrack",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_live(commands)
    _add_watch(commands)
    add_wyoming_command(commands)
    _add_forget(commands)
    devices = commands.add_parser(
        "devices", help="list the microphones and outputs", description="List what --mic and --system can listen to."
    )
    devices.set_defaults(run=_devices)
    add_notice_command(commands)
    add_voice_commands(commands)
    add_session_commands(commands)
    return parser, commands


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # slow to import, seldom asked for

        show(f"emotrack {version('emotrack')}")
        parser.exit()


def _add_live(commands: Commands[argparse.ArgumentParser]) -> None:
    live = commands.add_parser(
        "live",
        help="track a conversation as it happens",
        description="Track a conversation turn by turn, from a microphone or a recording.",
        epilog=_LIVE_EXAMPLES,
    )
    sources = live.add_argument_group("what to listen to")
    source = sources.add_mutually_exclusive_group()
    source.add_argument(
        "--mic", nargs="?", const="", metavar="NAME", help="a microphone: the default one, or by (part of) its name"
    )
    source.add_argument("--file", type=Path, metavar="PATH", help="a recording: any audio or video file FFmpeg reads")
    source.add_argument(
        "--web-mic",
        action="store_true",
        help="the microphone of whoever opens the page and lends it, or audio that a program sends there (see --web)",
    )
    source.add_argument(
        "--mqtt", metavar="URL", help="every microphone that sends over this MQTT broker: mqtt://[user@]host[:port]/"
    )

    sources.add_argument(
        "--system",
        nargs="?",
        const="",
        metavar="NAME",
        help="what this computer plays, on its default output or the one of (part of) that name (PulseAudio or "
        "PipeWire); with --mic a call: the microphone is you, what is played the others, and their echo is left out",
    )

    live.add_argument("--fast", action="store_true", help="read the file as quickly as possible, not as it was spoken")
    live.add_argument(
        "--channels",
        choices=("mix", "split"),
        default="mix",
        help="mix: all channels are one room (default); split: each channel is a speaker of its own",
    )
    live.add_argument(
        "--track",
        type=Bounds(1, 1000),
        metavar="N",
        help="with --file: the audio track of that number, the first being 1 (default: the one that the file prefers)",
    )
    add_speaker_options(live)
    live.add_argument(
        "--site", type=unicode, default=DEFAULT_SITE, help="a name for this place, carried by every event"
    )

    sites = live.add_argument_group("microphones on a broker", "with --mqtt; emotions are published there too")
    sites.add_argument(
        "--audio-topic",
        metavar="FILTER",
        help="where audio is sent; the first + is the site (default: Hermes' topics and emotrack/+/audio)",
    )
    sites.add_argument(
        "--sites",
        action="append",
        default=[],
        metavar="NAMES",
        help="serve only these sites: names with commas between them, in which * stands for any characters and ? for "
        "one; may be repeated (default: whoever sends audio)",
    )
    sites.add_argument(
        "--max-sites",
        type=Bounds(1, 1000),
        default=64,
        metavar="N",
        help="sites at once (default: 64); where all places are taken, one where nobody has spoken yet makes room",
    )
    sites.add_argument(
        "--idle", type=Bounds(1, 1000), default=5, metavar="MINUTES", help="a site without audio is closed (default: 5)"
    )
    sites.add_argument(
        "--group",
        type=unicode,
        metavar="NAME",
        help="share the sites with other workers of this name: a site's start reaches one of them, and when one "
        "dies the others go on with its conversations",
    )

    words = live.add_argument_group("words")
    add_recogniser_options(words)
    words.add_argument(
        "--captions",
        type=Path,
        metavar="FILE",
        help="words and speakers from a .vtt or .srt file, not from recognition",
    )

    network = live.add_argument_group("network")
    add_network_options(network)
    network.add_argument(
        "--no-provisional", action="store_true", help="no estimates of turns that still go on, by the voice so far"
    )

    output = live.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="JSON lines on standard output even on a terminal")
    add_saving_options(output)
    add_notice_option(output)
    output.add_argument(
        "--publish", metavar="URL", help="publish events to this MQTT broker (with --mqtt: to this one instead)"
    )
    add_topics_option(output)
    output.add_argument(
        "--commands",
        choices=("on", "off"),
        default="on",
        help="with --publish or --mqtt: follow commands to start, stop, pause, reset and label, and Hermes'. Where the "
        "broker has no access list anybody may send them (default: on)",
    )
    add_page_options(live)
    add_metrics_option(live.add_argument_group("operation"))
    add_broker_options(live)
    add_options(live.add_argument_group("turns", "where speech is cut into turns"), SegmenterOptions)
    live.set_defaults(run=_live)


def _add_watch(commands: Commands[argparse.ArgumentParser]) -> None:
    watch = commands.add_parser(
        "watch",
        help="watch sites that are tracked elsewhere",
        description="The dashboard of one or many sites, from the topics of an MQTT broker alone.",
        epilog="keys: arrows or Tab choose a site, Enter or its number opens it, Backspace shows all of them, q quits. "
        "With --web a page in the browser shows them instead, and no terminal is needed.",
    )
    watch.add_argument("broker", metavar="URL", help="mqtt://[user@]host[:port]/, or mqtts:// over TLS")
    watch.add_argument("--site", type=unicode, metavar="NAME", help="only this site")
    add_page_options(watch)
    add_broker_options(watch)
    watch.set_defaults(run=_watch)


def _add_forget(commands: Commands[argparse.ArgumentParser]) -> None:
    forget = commands.add_parser(
        "forget",
        help="have a broker forget a site",
        description="Delete what an MQTT broker keeps of sites, and their devices in Home Assistant. The session of a "
        "site that is served ends, and audio alone does not open it again.",
    )
    forget.add_argument("broker", metavar="URL", help="mqtt://[user@]host[:port]/, or mqtts:// over TLS")
    forget.add_argument("site", type=unicode, nargs="+", metavar="SITE", help="its name")
    add_broker_options(forget)
    forget.set_defaults(run=_forget)


def _live(arguments: argparse.Namespace) -> int:
    let_threads_sleep()
    from emotrack.tracker.command_line.live import run_live

    return run_live(arguments)


def _watch(arguments: argparse.Namespace) -> int:
    from emotrack.tracker.command_line.watch import run_watch

    return run_watch(arguments)


def _forget(arguments: argparse.Namespace) -> int:
    from emotrack.tracker.command_line.forget import run_forget

    return run_forget(arguments)


def _devices(_: argparse.Namespace) -> int:
    from emotrack.tracker.command_line.devices import run_devices

    return run_devices()
