"""A site: the place, or the stream, whose conversation is tracked."""

from __future__ import annotations

from typing import Final

DEFAULT_SITE: Final = "default"  # where nobody gave it a name
