"""``emotrack devices``: what ``--mic`` can listen to."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from emotrack.tracker.errors import SourceError
from emotrack.tracker.sources.devices import NO_INPUT, list_devices


def run_devices() -> int:
    """Print the input devices. Raises ``SourceError`` when there is none."""
    devices = list_devices()
    if not devices:
        raise SourceError(NO_INPUT)
    table = Table("", "name", "channels", "rate", "system", box=None, header_style="bold")
    for device in devices:
        default = "*" if device.is_default else ""
        table.add_row(default, device.name, str(device.channels), f"{device.default_rate} Hz", device.host_api)
    console = Console()
    console.print(table)
    console.print("* is what a bare --mic takes; any part of a name that fits one device will do.", highlight=False)
    return 0
