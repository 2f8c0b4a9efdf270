"""Where events are written, and what happens when they cannot be."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from emotrack.tracker.errors import SinkError
from emotrack.tracker.events import Mark, to_json
from emotrack.tracker.sinks.json_lines import JsonLines
from tests.tracker.dashboard.made_up import provisional


def mark(at_s: float) -> Mark:
    return Mark(site="default", session="s", time=datetime.now(UTC), at_s=at_s)


def emit(sink: JsonLines, count: int) -> None:
    async def run() -> None:
        try:
            for at_s in range(count):
                await sink.emit(mark(at_s))
        finally:
            await sink.close()

    asyncio.run(run())


def test_events_are_appended_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    for _ in range(2):
        emit(JsonLines.to_file(path), 3)
    assert [json.loads(line)["at_s"] for line in path.read_text().splitlines()] == [0, 1, 2, 0, 1, 2]
    assert path.stat().st_mode & 0o077 == 0  # what people said is nobody else's business


def test_what_is_saved_does_not_grow_while_somebody_talks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "session.jsonl"

    async def run() -> None:
        file, stdout = JsonLines.to_file(path), JsonLines.to_stdout()
        for sink in (file, stdout):
            await sink.emit(provisional(1.0, 2.0))
            await sink.emit(mark(1))
            await sink.close()

    asyncio.run(run())
    assert [json.loads(line)["type"] for line in path.read_text().splitlines()] == ["mark"]
    assert [json.loads(line)["type"] for line in capfd.readouterr().out.splitlines()] == ["provisional", "mark"]


def test_each_event_is_on_disk_at_once(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"

    async def run() -> None:
        sink = JsonLines.to_file(path)
        await sink.emit(mark(1))
        assert json.loads(path.read_text())["at_s"] == 1
        await sink.close()

    asyncio.run(run())


def test_a_half_line_left_by_a_crash_is_ended_first(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    path.write_text('{"type":"turn","si')
    emit(JsonLines.to_file(path), 1)
    half, whole = path.read_text().splitlines()
    assert half == '{"type":"turn","si'
    assert json.loads(whole)["type"] == "mark"


@pytest.mark.parametrize("path", ["/nowhere/session.jsonl", "/"])
def test_a_place_that_cannot_be_written(path: str) -> None:
    with pytest.raises(SinkError, match=f"cannot write {path}"):
        JsonLines.to_file(Path(path))


def test_a_full_disk_leaves_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write then fails as it does on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (250, limits[1]))
    try:
        with pytest.raises(SinkError, match="cannot write to"):
            emit(JsonLines.to_file(path), 50)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    lines = path.read_text().splitlines()
    assert 1 <= len(lines) < 50
    assert all(json.loads(line) for line in lines)
    assert path.read_text().endswith("\n")


def test_a_closed_pipe() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(SinkError, match="Broken pipe"):
        emit(JsonLines(writer, "standard output"), 1)


@pytest.mark.parametrize(
    "content", [b"RIFF\x24\x00\x00\x00WAVEfmt ", b"shopping\n", b'{"a": 1}\n', b"\x00" * 2_000_000]
)
def test_a_file_that_is_no_session_is_not_appended_to(tmp_path: Path, content: bytes) -> None:
    other = tmp_path / "other"
    other.write_bytes(content)
    with pytest.raises(SinkError, match="is no saved session"):
        JsonLines.to_file(other)
    assert other.read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b'{"typ',
        b'{"type":"session_started","schema":1,"si',  # a crash cut it off
        b'{"type":"turn","schema":9,"whispered":true}\n',  # of a newer version
        b"half a line\n" + to_json(mark(1)).encode() + b"\n",
    ],
)
def test_a_session_in_any_state_is_gone_on_with(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "session.jsonl"
    path.write_bytes(content)
    emit(JsonLines.to_file(path), 1)
    assert path.read_bytes().startswith(content)
    assert json.loads(path.read_text().splitlines()[-1])["type"] == "mark"
