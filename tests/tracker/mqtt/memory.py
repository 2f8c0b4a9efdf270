"""How much memory a process holds."""

from __future__ import annotations

import resource
from pathlib import Path


def resident_mib(pid: int | str = "self") -> float:
    """The resident set of a process, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
