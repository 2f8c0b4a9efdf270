"""How long the audio of a Core Audio Format file is by its header, which FFmpeg measures against the file's size.

Apple, "Core Audio Format Specification 1.0": chunks of a name and a length, all numbers with the highest byte first.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

_MAX_CHUNKS: Final = 1000


def caf_seconds(path: Path) -> float | None:
    """The length that the header gives; None where it gives none, and for sizes that vary. Raises ``OSError``."""
    rate, packet_bytes, packet_frames = 0.0, 0, 0
    with path.open("rb") as file:
        if file.read(4) != b"caff":
            return None
        file.seek(8)
        for _ in range(_MAX_CHUNKS):
            if len(head := file.read(12)) < 12:
                return None
            name, length = struct.unpack(">4sq", head)
            body = file.tell()
            if name == b"data":
                is_known = length > 4 and packet_bytes and packet_frames and 0 < rate < 1e6
                return (length - 4) / packet_bytes * packet_frames / rate if is_known else None
            if name == b"desc" and len(form := file.read(24)) == 24:
                rate, packet_bytes, packet_frames = struct.unpack(">d8xII", form)
            if not 0 <= length < 2**62:
                return None
            file.seek(body + length)
    return None
