"""Several processes: why one of them ends."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

PROGRAM = """
from emotrack.train.errors import CollapsedError
from emotrack.train.running.ranks import joined, rank

with joined():
    raise CollapsedError(f"speech: collapsed in rank {rank()}")
"""


def test_torchrun_is_told_why_a_rank_ends(tmp_path: Path) -> None:
    """Where it looks, so that it closes with that and not with its own traceback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, **place, "RANK": str(rank), "TORCHELASTIC_ERROR_FILE": str(tmp_path / f"{rank}.json")},
            stderr=subprocess.DEVNULL,
        )
        for rank in range(2)
    ]
    assert [run.wait(60) for run in runs] == [1, 1]
    for rank in range(2):
        told = json.loads((tmp_path / f"{rank}.json").read_text())["message"]
        assert told["message"] == f"speech: collapsed in rank {rank}"
        assert int(told["extraInfo"]["timestamp"]) > 0
