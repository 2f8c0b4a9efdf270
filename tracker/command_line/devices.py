"""``emotrack devices``: what ``--mic`` and ``--system`` can listen to."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from emotrack.tracker.errors import SourceError
from emotrack.tracker.messages.output import show_tables
from emotrack.tracker.messages.plain import plain
from emotrack.tracker.sources.devices import NO_INPUT, find_device
from emotrack.tracker.sources.pulse import all_inputs


def run_devices() -> int:
    """Print the input devices. Raises ``SourceError`` when there is none."""
    devices = all_inputs()
    if not devices:
        raise SourceError(NO_INPUT)
    monitors = [device for device in devices if device.is_monitor]
    usual = [find_device(None, devices), *([find_device(None, monitors)] if monitors else [])]
    table = Table("", "for", "name", "channels", "rate", "system", box=None, header_style="bold")
    for device in devices:
        mark, option = "*" if device in usual else "", "--system" if device.is_monitor else "--mic"
        name, system = Text(plain(device.name)), Text(plain(device.host_api))
        table.add_row(mark, option, name, str(device.channels), f"{device.default_rate} Hz", system)
    bare = "--mic or --system" if monitors else "--mic"
    show_tables(table, f"* is what a bare {bare} takes; any part of a name that fits one device will do.")
    return 0
