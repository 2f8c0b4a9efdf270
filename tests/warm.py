"""The command ``emotrack`` in processes that need not import its libraries first: most of what a short one does.

One server for each process of pytest has imported them and forks for every command. What runs then is the command's
own ``main``, with the arguments, streams, folder, environment and umask of whoever starts it, its signals and its exit
code. A process that is stopped, measured or limited, or whose start is tested, has to be a cold one:
``python -m emotrack.command_line``.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn

ROOT: Final = Path(__file__).parents[1]
_LOADED: Final = (
    "emotrack.tracker.command_line.live",
    "emotrack.tracker.command_line.running",
    "emotrack.tracker.command_line.session_commands",
    "emotrack.tracker.command_line.voice_commands",
    "emotrack.tracker.mqtt.sites.sites",
    "emotrack.tracker.session.live_session",
    "emotrack.tracker.understanding.loading",
    "emotrack.models.bundle",
    "emotrack.train.command_line.commands",
)
# Takes the place of the command: passes on what it was started with, then signals, and ends as the command does.
_CLIENT: Final = """
import json, os, signal, socket, sys
os.umask(umask := os.umask(0))
server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[1])
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: server.send(bytes([number])))
wanted = {"arguments": sys.argv[2:], "folder": os.getcwd(), "environment": dict(os.environ), "umask": umask}
message = json.dumps(wanted).encode() + b"\\0"
socket.send_fds(server, [message[:1]], [0, 1, 2])
server.sendall(message[1:])
code = int(server.recv(16))
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


def warm(*arguments: object) -> list[str]:
    """The words that start a command."""
    return [sys.executable, "-I", "-S", "-c", _CLIENT, _address(), *map(str, arguments)]


@cache
def _address() -> str:
    """Where the server of this process listens; it ends with this process, which holds its standard input."""
    address = str(Path(tempfile.mkdtemp(prefix="emotrack-"), "warm"))
    command = [sys.executable, "-m", "tests.warm", address]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    atexit.register(server.communicate)
    assert server.stdout
    server.stdout.readline()  # it listens, and answers once everything is imported
    return address


def serve(address: str) -> None:
    """Fork for every command until nobody holds the standard input any more."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print(flush=True)
        for name in _LOADED:
            importlib.import_module(name)
        gc.freeze()
        attending = set[int]()
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if not (process := os.fork()):
                listener.close()
                _attend(connection)
            connection.close()
            attending.add(process)
            attending -= {each for each in attending if os.waitpid(each, os.WNOHANG)[0]}
    for each in attending:
        os.waitpid(each, 0)
    Path(address).unlink()
    Path(address).parent.rmdir()


def _attend(connection: socket.socket) -> NoReturn:
    """Start the command that a client wants, pass its signals on, and tell how it ended; without client it ends."""
    try:
        message, descriptors, _, _ = socket.recv_fds(connection, 1, 3)
        while not message.endswith(b"\0"):
            message += connection.recv(1 << 16)
        if not (command := os.fork()):
            connection.close()
            _run(json.loads(message[:-1]), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        ended = os.pidfd_open(command)
        while ended not in select.select([connection.fileno(), ended], [], [])[0]:
            for number in connection.recv(16) or [signal.SIGKILL]:
                os.kill(command, number)
        code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
        with suppress(BrokenPipeError):  # the client was killed
            connection.send(str(code).encode())
    finally:
        os._exit(0)


def _run(wanted: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Become the command."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, closefd=False, errors="backslashreplace")
    os.chdir(wanted["folder"])
    os.umask(wanted["umask"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    sys.argv = ["emotrack", *wanted["arguments"]]
    random.seed()
    code: object = 1
    try:
        from emotrack.command_line import main

        code = main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001  # as Python says it
        traceback.print_exc()
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    serve(sys.argv[1])
