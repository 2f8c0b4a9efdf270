"""A private mosquitto on a loopback port, as the tests of MQTT use it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

START_S = 10.0


def executable() -> str | None:
    """mosquitto; Debian puts it where a user's path may not look."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Mosquitto:
    """A broker that keeps its port, and what it persists, over restarts. Everything lies in ``folder``."""

    def __init__(self, folder: Path, *configuration: str, anonymous: bool = True) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}/"
        self.log = folder / f"{self.port}.log"
        self.database = folder / f"{self.port}.db"
        self.configuration = folder / f"{self.port}.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {'true' if anonymous else 'false'}",
            "set_tcp_nodelay true",
            "persistence true",
            f"persistence_location {folder}/",
            f"persistence_file {self.database.name}",
            "user root",  # ignored unless root runs the tests; it keeps the folder readable then
            *configuration,
        ]
        self.configuration.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        path = executable()
        assert path
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([path, "-c", self.configuration], stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.log.read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        self.stop(kill=True)
        raise AssertionError(f"mosquitto does not answer: {self.log.read_text()}")

    def stop(self, kill: bool = False) -> None:
        """End it in order, so that it writes down what it holds, or at once."""
        if self._process is not None:
            (self._process.kill if kill else self._process.terminate)()
            self._process.wait(timeout=10)
            self._process = None
