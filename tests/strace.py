"""Running a command under strace, to see whom it speaks to and what it leaves behind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

EMOTRACK = [sys.executable, "-m", "emotrack.command_line"]
# A descriptor is shown with its path (-y), a path whole (-s).
STRACE = ["strace", "-f", "-qq", "-y", "-s", "4096", "-e", "trace=network,open,openat,creat,mkdir,mkdirat", "-o"]

_SENT = re.compile(r"^\d+ +(?:connect|sendto|sendmsg|sendmmsg)\(.*")
_HOST = re.compile(r'sin6?_port=htons\((\d+)\).*?inet_(?:addr|pton)\((?:AF_INET6, )?"([^"]+)"')
_RESOLVER = re.compile(r'sun_path="([^"]*(?:resolve|avahi)[^"]*)"')  # systemd's and Avahi's look names up for others
_MADE = re.compile(
    r'^\d+ +(?:(?:creat|mkdir)\("([^"]+)"|mkdirat\([^<]*<([^>]*)>, "([^"]+)"'
    r'|(?:open|openat)\((?:[^<"]*<([^>]*)>, )?"([^"]+)",[^)]*O_CREAT)'
)
_DNS = "53"


@dataclass(frozen=True)
class Seen:
    """What a command did."""

    code: int
    out: str
    err: str
    hosts: set[str]
    """Whom it asked or sent to outside this machine, HOST:PORT; look-ups of names are among them wherever they go."""
    left: list[Path]
    """Files and folders that it made or changed and that are still there."""


@cache
def missing() -> str | None:
    """Why nothing can be traced here; None where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed: nobody can see whom a command speaks to"
    tried = subprocess.run([*STRACE, os.devnull, "true"], capture_output=True, text=True, check=False)
    return f"strace may not trace here: {tried.stderr.strip()}" if tried.returncode else None


class Tracer:
    """Runs commands as a new user with an empty home, whose environment switches nothing off."""

    def __init__(self, folder: Path) -> None:
        self.home, self.temporary, self.work = folder / "home", folder / "temporary", folder / "work"
        for new in (self.home, self.temporary, self.work):
            new.mkdir()
        self._log = folder / "strace.log"
        # Nothing else of ours: reports are left out where CI is set, for one.
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "TERM": "xterm-256color",
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *arguments: object, use: Callable[[], None] = lambda: None, **options: Any) -> Seen:
        """Run ``emotrack`` with ``arguments`` in ``self.work``; ``use`` does meanwhile what a person would do."""
        began = time.time() - 1.0  # a file system's clock is coarser
        before = {path: path.stat().st_ctime_ns for path in self._places()}
        command = [*STRACE, str(self._log), *EMOTRACK, *map(str, arguments)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        with subprocess.Popen(command, text=True, cwd=self.work, env=self._environment, **options) as process:
            try:
                use()
                out, err = process.communicate(timeout=100)
            finally:
                process.kill()  # what still runs is the command's own failure, told above
        lines = self._log.read_text(errors="replace").splitlines()
        return Seen(
            process.returncode, out or "", err or "", set(_hosts(lines)), sorted(self._left(lines, began, before))
        )

    def _places(self) -> set[Path]:
        return {path for folder in (self.home, self.temporary, self.work) for path in folder.rglob("*")}

    def _left(self, lines: list[str], began: float, before: dict[Path, int]) -> set[Path]:
        found = set()
        for line in lines:
            made = _MADE.match(line)
            if made is None or re.search(r" = -1 E[A-Z]+ ", line):
                continue
            one, at, below, beside, other = made.groups()
            path = self.work / Path(one or "") if one else Path(at or beside or self.work) / (below or other)
            found.add(path)
        found |= self._places()  # what was renamed, or made by other means
        there = {path: path.stat() for path in found if path.is_file() or path.is_dir()}
        return {path for path, now in there.items() if now.st_ctime >= began and now.st_ctime_ns != before.get(path)}


def _hosts(lines: list[str]) -> list[str]:
    found = []
    for line in filter(_SENT.match, lines):
        found += _RESOLVER.findall(line)
        for port, host in _HOST.findall(line):
            if port == _DNS or not ip_address(host.partition("%")[0]).is_loopback:
                found.append(f"{host}:{port}")
    return found
