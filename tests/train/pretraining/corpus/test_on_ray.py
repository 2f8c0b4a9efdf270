"""A job on a real Ray cluster of this machine: the tables are those of the plain loop, whoever is killed."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from threading import Thread
from typing import ClassVar

import pytest

from emotrack.command_line import main
from emotrack.train.errors import TrainError
from emotrack.train.pretraining.corpus import on_ray
from emotrack.train.pretraining.corpus.on_ray import connected, run_on_ray
from emotrack.train.pretraining.corpus.table import Answer, Table
from emotrack.train.pretraining.corpus.work import Job, Worker, run_plainly, to_do
from tests.tracker.kitchen_table import samples
from tests.train.conftest import RATE, write_audio

ITEMS = 60
PER_BATCH = 3


@dataclass(frozen=True, slots=True)
class Note:
    key: str
    size: int = 1


@dataclass(frozen=True, slots=True)
class Echo:
    TABLE: ClassVar[str] = "echoes/1"

    key: str
    text: str | None


class Shout:
    """The first step. What ``on`` names befalls the worker that meets the note in the middle, if not before."""

    def __init__(self, on: Callable[[], None] | None = None) -> None:
        self._on = on

    def __call__(self, notes: Sequence[Note]) -> list[tuple[str, str]]:
        if self._on is not None and any(note.key == "note 30" for note in notes):
            self._on()
        return [(note.key, note.key.upper()) for note in notes]


class Echoes:
    """The second step: one item has no rows, and one is set aside."""

    def __init__(self, pause_s: float = 0.0) -> None:
        self._pause_s = pause_s

    def __call__(self, shouts: Sequence[tuple[str, str]]) -> list[Answer[Echo]]:
        time.sleep(self._pause_s)
        return [_answer(*shout) for shout in shouts]


class NoModelError(Exception):
    """What a step may raise, as the recognisers do."""


def _answer(key: str, text: str) -> Answer[Echo]:
    if key == "note 7":
        return Answer(key, [], "cannot be shouted")
    return Answer(key, [] if key == "note 11" else [Echo(key, text), Echo(key, None)])


def die_once(marker: Path) -> None:
    if not marker.exists():
        marker.touch()
        die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def no_model(_pause_s: float) -> Echoes:
    raise NoModelError("model.bin is missing")


def job(
    out: Path, on: Callable[[], None] | None = None, pause_s: float = 0.0, echoes: Callable[[float], Echoes] = Echoes
) -> Job[Echo]:
    return Job("echo", (Worker(partial(Shout, on)), Worker(partial(echoes, pause_s))), Table(out, Echo, "me"), "notes")


def batches(of: Job[Echo]) -> Iterator[list[Note]]:
    return to_do((Note(f"note {number}") for number in range(ITEMS)), of.table, PER_BATCH, ITEMS)


def run(of: Job[Echo]) -> int:
    """How many items were done."""
    done: list[int] = []
    run_on_ray(of, batches(of), done.append)
    return sum(done)


def contents(out: Path) -> dict[str, bytes]:
    """Shard -> what is in it, byte for byte."""
    return {shard.name: shard.read_bytes() for shard in out.rglob("*.parquet")}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the plain loop makes."""
    out = tmp_path_factory.mktemp("plain")
    undisturbed = job(out)
    run_plainly(undisturbed, batches(undisturbed), lambda _items: None)
    return contents(out)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster on this machine, which the tests are connected to. It leaves nothing behind."""
    import ray  # before its settings are made, as a host may have done

    before = left_by_ray()
    with connected(None):
        assert [stat.S_IMODE(folder.stat().st_mode) for folder in left_by_ray() - before] == [0o700]
        yield ray.get_runtime_context().gcs_address
    assert left_by_ray() == before


def left_by_ray() -> set[Path]:
    top = Path(gettempdir())
    return {*top.glob("ray-*"), *top.glob("ray/session_*")}


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_a_worker_is_killed_and_the_table_is_that_of_the_plain_loop(tmp_path: Path, plain: dict[str, bytes]) -> None:
    killed, out = tmp_path / "killed", tmp_path / "out"
    disturbed = job(out, partial(die_once, killed))
    assert run(disturbed) == ITEMS
    assert killed.exists()
    assert contents(out) == plain
    assert disturbed.table.count == 2 * (ITEMS - 2)
    assert disturbed.table.quarantined == {"note 7": "cannot be shouted"}


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_a_batch_that_kills_every_worker_ends_the_run(
    tmp_path: Path, plain: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_ray, "_RETRIES", 1)
    with pytest.raises(TrainError, match=r"^echo: workers died 2 times over the same batch, .* too little memory"):
        run(job(tmp_path, die))
    assert contents(tmp_path).items() < plain.items()


@pytest.mark.long
@pytest.mark.usefixtures("cluster")
def test_what_a_step_raises_is_raised_here(tmp_path: Path) -> None:
    with pytest.raises(NoModelError, match=r"^model\.bin is missing$"):
        run(job(tmp_path, echoes=no_model))


@pytest.mark.long
def test_the_driver_is_killed_and_the_next_one_goes_on(cluster: str, tmp_path: Path, plain: dict[str, bytes]) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.train.pretraining.corpus.test_on_ray import *\n"
        "with connected(sys.argv[1]): run(job(Path(sys.argv[2]), pause_s=0.2))"
    )
    with subprocess.Popen([sys.executable, "-c", code, cluster, str(tmp_path)]) as driver:
        give_up = time.monotonic() + 120
        while len(contents(tmp_path)) < 3 and driver.poll() is None and time.monotonic() < give_up:
            time.sleep(0.02)
        driver.kill()
    assert driver.returncode == -signal.SIGKILL
    kept = len(Table(tmp_path, Echo).done)
    assert 3 * PER_BATCH <= kept < ITEMS
    assert run(job(tmp_path)) == ITEMS - kept
    assert contents(tmp_path) == plain


def test_the_commands_make_the_same_corpus(cluster: str, tmp_path: Path, tiny_whisper: Path) -> None:
    audio = tmp_path / "audio"
    audio.mkdir()
    whole = samples().mean(axis=1)
    for number in range(4):
        write_audio(audio / f"{number}.wav", whole[number * 3 * RATE :][: 3 * RATE])
    (audio / "letter.mp3").write_text("Dear Monica")
    asked = ["train", "transcribe", "--audio", str(audio), "--asr", str(tiny_whisper), "--batch", "2", "--out"]
    assert main([*asked, str(tmp_path / "plain")]) == 0
    command = [sys.executable, "-c", "import sys; from emotrack.command_line import main; sys.exit(main())", *asked]
    done = subprocess.run(
        [*command, str(tmp_path / "ray"), "--engine", "ray", "--address", cluster],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert "ray" not in done.stderr
    assert "quarantined: 1 files" in done.stdout
    assert len(contents(tmp_path / "plain")) == 3
    assert contents(tmp_path / "ray") == contents(tmp_path / "plain")


def test_single_workers_do_their_job_here(tmp_path: Path) -> None:
    process: list[int] = []

    def build() -> Callable[[Sequence[Note]], list[Answer[Echo]]]:
        process.append(os.getpid())
        return lambda notes: [Answer(note.key, []) for note in notes]

    alone = Job("echo", (Worker(build, most=1),), Table(tmp_path, Echo, "me"), "notes")
    assert run(alone) == ITEMS
    assert process == [os.getpid()]


def test_what_is_read_ahead_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "_WAVE_BATCHES", 3)
    monkeypatch.setattr(on_ray, "_WAVE_BYTES", 10)
    read: list[bytes] = []

    def contents() -> Iterator[bytes]:
        for content in (b"a", b"b", b"c", b"d", b"e" * 9, b"f", b"g" * 20, b"h"):
            read.append(content)
            yield content

    waves = on_ray._waves(contents())
    assert next(waves) == [b"a", b"b", b"c"]
    assert len(read) == 4
    assert list(waves) == [[b"d", b"e" * 9], [b"f"], [b"g" * 20], [b"h"]]


def test_a_cluster_that_does_not_answer_is_said(
    closed_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["train", "annotate", "--corpus", str(tmp_path), "--llm", "vader", "--out", str(tmp_path / "out")]
    assert main([*asked, "--engine", "ray", "--address", f"127.0.0.1:{closed_port}"]) == 1
    said = capsys.readouterr().err
    assert f"no Ray cluster answers at 127.0.0.1:{closed_port}: " in said
    assert said.count("\n") == 1
    assert main([*asked, "--address", "127.0.0.1:6379"]) == 2
    assert capsys.readouterr().err == "emotrack train annotate: --address goes with --engine ray\n"


@pytest.mark.parametrize(("says", "why"), [(b"", "timed out"), (b"HTTP/1.1 400 Bad Request\r\n", "something else")])
def test_what_is_no_cluster_is_not_waited_for(says: bytes, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "_REACH_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            line, _ = listener.accept()
            with line:
                line.sendall(says)
                line.recv(100)
                time.sleep(0.6)

        thread = Thread(target=answer)
        thread.start()
        with (
            pytest.raises(TrainError, match=f"no Ray cluster answers at .*{why}"),
            connected(f"127.0.0.1:{listener.getsockname()[1]}"),
        ):
            pass
        thread.join()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """One that nobody listens at."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
