"""``emotrack live`` as a process of its own, as the tests of several machines want it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.warm import warm

_IMPATIENT = """
import sys
from emotrack.command_line import main
from emotrack.tracker.mqtt.connection import client
client.KEEPALIVE_S = {}
sys.exit(main())
"""


class TrackerProcess:
    """A running command; what it says on standard error is in ``notices``.

    With ``keepalive_s`` the broker gives it up when it has heard nothing for half as long again, not after 30 s. One
    that is stopped or measured is not ``is_warm`` (``tests.warm``), nor is one with ``keepalive_s``.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *arguments: str,
        env: dict[str, str] | None = None,
        keepalive_s: int | None = None,
        is_warm: bool = True,
    ) -> None:
        if keepalive_s is not None:
            command = [sys.executable, "-c", _IMPATIENT.format(keepalive_s), "live", *arguments]
        elif is_warm:
            command = warm("live", *arguments)
        else:
            command = [sys.executable, "-m", "emotrack.command_line", "live", *arguments]
        self._said = folder / f"{name}.err"
        with self._said.open("w") as said:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env={**os.environ, **(env or {})},
            )

    @property
    def notices(self) -> list[str]:
        return self._said.read_text().splitlines()

    def wait_until_ready(self, seconds: float = 120.0) -> None:
        deadline = time.monotonic() + seconds
        while not any("ready in" in line for line in self.notices):
            assert self.process.poll() is None, self.notices
            assert time.monotonic() < deadline, "never became ready"
            time.sleep(0.05)

    def interrupt(self) -> int:
        """End it in order; its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)
