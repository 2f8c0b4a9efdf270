"""Which server is asked, and how patiently."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Server:
    """A language model behind an OpenAI-compatible address."""

    url: str
    model: str
    cache: Path
    concurrency: int = 16
    timeout_s: float = 120.0  # a local server may first have to load its model
    attempts: int = 6
    first_wait_s: float = 1.0  # before the second attempt, at most; each later one waits up to twice as long
