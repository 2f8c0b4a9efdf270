"""Speech recognition for Home Assistant over the Wyoming protocol, which tells how everybody sounds besides."""

from __future__ import annotations

from typing import Final

DEFAULT_URI: Final = "tcp://127.0.0.1:10300"
