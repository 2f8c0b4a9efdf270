"""``emotrack devices``: what ``--mic`` can listen to."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from emotrack.tracker.errors import SourceError
from emotrack.tracker.messages.output import show_tables
from emotrack.tracker.messages.plain import plain
from emotrack.tracker.sources.devices import NO_INPUT, list_devices


def run_devices() -> int:
    """Print the input devices. Raises ``SourceError`` when there is none."""
    devices = list_devices()
    if not devices:
        raise SourceError(NO_INPUT)
    table = Table("", "name", "channels", "rate", "system", box=None, header_style="bold")
    for device in devices:
        default = "*" if device.is_default else ""
        name, system = Text(plain(device.name)), Text(plain(device.host_api))
        table.add_row(default, name, str(device.channels), f"{device.default_rate} Hz", system)
    show_tables(table, "* is what a bare --mic takes; any part of a name that fits one device will do.")
    return 0
