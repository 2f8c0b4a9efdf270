"""A real terminal for the tests of what is shown on one."""

from __future__ import annotations

import os
import subprocess
import time

PATIENCE_S = 30.0  # a busy machine


class Terminal:
    """A shell in tmux on a socket of its own."""

    def __init__(self, folder: str, width: int, height: int) -> None:
        self._socket = f"{folder}/tmux"
        self._tmux(
            "new-session", "-d", "-x", str(width), "-y", str(height), "env PS1='READY> ' bash --norc --noprofile"
        )
        self._tmux("set", "-g", "status", "off")
        self.wait_for("READY>")

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, "-f", "/dev/null", *words],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        return done.stdout

    def type(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def wait_for(self, words: str) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while words not in (screen := self.screen()):
            assert time.monotonic() < deadline, f"{words!r} did not appear:\n{screen}"
            time.sleep(0.1)
        return screen

    def close(self) -> None:
        self._tmux("kill-server")


def read_to_end(master: int) -> bytes:
    """All that is written to a pseudo-terminal, until its other end is closed; closes this one."""
    shown = b""
    while True:
        try:
            shown += os.read(master, 65_536)
        except OSError:  # how Linux says that the other end is closed
            os.close(master)
            return shown
