"""The page in the browser: its options, and how a command serves it. Its libraries are an extra, imported if needed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emotrack.errors import UsageError
from emotrack.tracker.messages.notices import NoticeBoard
from emotrack.tracker.messages.output import say

if TYPE_CHECKING:
    from emotrack.tracker.session.controls import Controls
    from emotrack.tracker.sources import Source
    from emotrack.tracker.web.address import WebAddress
    from emotrack.tracker.web.server import WebServer
    from emotrack.tracker.web.site import LiveSite, Shown


DEFAULT_ADDRESS: Final = "localhost:8717"


def add_page_options(parser: argparse.ArgumentParser) -> None:
    """Add what every command that serves the page needs."""
    group = parser.add_argument_group(
        "page in the browser",
        "On an address that others can reach, a token in the link lets people in; it is made anew each time, unless "
        "EMOTRACK_WEB_TOKEN in the environment has one.",
    )
    group.add_argument(
        "--web",
        nargs="?",
        const=DEFAULT_ADDRESS,
        metavar="HOST:PORT",
        help=f"serve a page that shows it live, and a WebSocket for programs (default: {DEFAULT_ADDRESS}, for this "
        "computer alone; 0.0.0.0 is for every other one, too)",
    )
    group.add_argument("--web-cert", type=Path, metavar="FILE", help="serve it by HTTPS with this certificate (PEM)")
    group.add_argument("--web-key", type=Path, metavar="FILE", help="its key, where it is in a file of its own (PEM)")


def page_address(arguments: argparse.Namespace, *, is_wanted: bool = False) -> WebAddress | None:
    """The address that the page is served at, taken already; None where no page is wanted. Raises ``UsageError``."""
    if arguments.web is None and not is_wanted:
        if _has_certificate(arguments):
            raise UsageError("--web-cert and --web-key go with --web")
        return None
    from emotrack.tracker.web import server  # noqa: F401 - what is missing of the extra is said before models load
    from emotrack.tracker.web.address import bind

    return bind(arguments.web or DEFAULT_ADDRESS, arguments.web_cert, arguments.web_key)


def check_page_options(arguments: argparse.Namespace) -> None:
    """Raise ``UsageError`` where the options of ``emotrack live`` do not go together."""
    if arguments.mqtt is not None and (arguments.web is not None or _has_certificate(arguments)):
        raise UsageError("--web: with --mqtt, emotrack watch --web shows the sites")
    if arguments.web_mic and arguments.channels == "split":
        raise UsageError("--channels split: a browser's microphone is one channel")


def _has_certificate(arguments: argparse.Namespace) -> bool:
    return arguments.web_cert is not None or arguments.web_key is not None


def live_page(
    arguments: argparse.Namespace, address: WebAddress, controls: Controls, source: Source, notices: NoticeBoard
) -> tuple[LiveSite, WebServer]:
    """The page of the session that runs here: a sink, and the server that shows what it gets."""
    from emotrack.tracker.command_line.saving import saved_to  # which takes its time
    from emotrack.tracker.web.site import LiveSite

    kept = saved_to(arguments, without_folders=True)
    site = LiveSite(controls, f"Saved to {kept}." if kept else "Nothing is recorded.", notices, source)
    return site, page_server(address, site)


def page_server(address: WebAddress, shown: Shown) -> WebServer:
    """The server of the page. Where it is, the terminal alone is told: who looks on sees all other notices."""
    from emotrack.tracker.web.server import WebServer

    for line in address.lines():
        say(line)
    return WebServer(address, shown)
