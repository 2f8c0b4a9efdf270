"""A job on a Ray cluster: every step is a stage of actors, and the batches stream through them.

One row of a Ray Dataset is one batch, so that the shards are those of the plain loop. Steps that want a GPU and steps
that do not have workers of their own, as many as the cluster has room for. Answers come back to the driver, and it
alone writes: whatever happens to a worker, and however often a batch is done again, there is one shard of it. What
waits between stages lies in Ray's object store, which holds the stages before it back when it is full.

Every worker must find what is read, audio or turns, by the same path; the tables that are made are the driver's alone.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from emotrack.models.extras import missing_extra
from emotrack.train.errors import TrainError
from emotrack.train.pretraining.corpus.table import Row
from emotrack.train.pretraining.corpus.work import Job, Step, run_plainly

if TYPE_CHECKING:
    from ray.data import Dataset

_WAVE_BATCHES = 4096  # that are read ahead, as long as
_WAVE_BYTES = 2**26  # they are no larger; the workers of the next wave are built anew
_RETRIES = 3  # of a batch whose worker died
_REACH_S = 10.0  # for the cluster to answer
_SETTINGS = b"\0\0\0\4\0\0\0\0\0"  # an empty frame of HTTP/2; the fourth byte says what it is
_TRIES = 50  # to remove a cluster's folder, a tenth of a second apart
_STUCK_S = 2 * 3600.0  # without a batch done anywhere: there is no room, or a step hangs


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Be connected to a cluster.

    Args:
        address: HOST:PORT of one that runs; None starts one on this machine alone, which ends with the block.

    Raises:
        TrainError: Ray is not installed, or the cluster cannot be reached or started.
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # like the others, read when it is imported
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # what it would print of workers that died
    if address is None:  # whoever reaches a cluster may run code on it, so nobody else does
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
    try:
        import ray
        import ray.data
        from ray._raylet import Config  # type: ignore[attr-defined]
    except ImportError as error:
        raise TrainError(missing_extra(error) or f"Ray cannot be imported: {_line(error)}") from error
    with _scratch() if address is None else nullcontext() as folder:
        if address is None:  # the environment is read when Ray is imported, which somebody may have done before
            Config.initialize('{"AUTH_MODE": "token"}')
        _join(address, folder)
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.execution_no_progress_timeout_s = _STUCK_S
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _scratch() -> Iterator[str]:
    """A folder for a cluster's logs and sockets, whose path must be short: Ray opens it to everybody, and leaves it."""
    private = mkdtemp(prefix="ray-")
    try:
        yield f"{private}/r"
    finally:
        for _ in range(_TRIES):  # Ray's processes end, and write, a moment after it has shut down
            shutil.rmtree(private, ignore_errors=True)
            if not os.path.exists(private):  # noqa: PTH110
                break
            time.sleep(0.1)


def _join(address: str | None, folder: str | None) -> None:
    """Join the cluster at an address, or one that keeps its logs and sockets in a folder. Raises ``TrainError``."""
    import ray

    quiet: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    try:
        if address is not None:
            _reach(address)
        with _muted():
            if address is None:
                ray.init("local", include_dashboard=False, _temp_dir=folder, **quiet)
            else:
                ray.init(address, **quiet)
    except (ray.exceptions.RayError, OSError, RuntimeError, ValueError) as error:
        where = "can be started here" if address is None else f"answers at {address}"
        raise TrainError(f"no Ray cluster {where}: {_line(error)}") from error


def _reach(address: str) -> None:
    """Raise ``OSError`` unless a cluster answers, for which Ray itself waits minutes. See RFC 9113, section 3.4."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=_REACH_S) as line:
        line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _SETTINGS)
        if line.recv(len(_SETTINGS))[3:4] != _SETTINGS[3:4]:
            raise OSError("what is there is something else")


@contextmanager
def _muted() -> Iterator[None]:
    """No stderr: Ray's native part says there that it was told to log less."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def run_on_ray(job: Job[Row], batches: Iterable[Sequence[Any]], advance: Callable[[int], None]) -> None:
    """Do the batches on the cluster that is ``connected``; ``advance`` hears how many items are done.

    Where every step has a single worker there is nothing to scale, and the batches are done here.

    Raises:
        TrainError: workers died again and again over the same batch, or the cluster fails.
        Exception: what a step raised, as in the plain loop.
    """
    from ray.data.exceptions import ExecutionTimeoutError
    from ray.exceptions import OutOfMemoryError, RayActorError, RayError

    if all(worker.most == 1 for worker in job.steps):
        run_plainly(job, batches, advance)
        return
    try:
        for wave in _waves(_packed(batch) for batch in batches):
            for done in _flow(job, wave).iter_batches(batch_size=1, batch_format="pyarrow", prefetch_batches=1):
                answers = _unpacked(done)
                if isinstance(answers, Exception):
                    raise answers
                job.table.write(answers)
                advance(len(answers))
    except (RayActorError, OutOfMemoryError) as error:
        why = f"workers died {_RETRIES + 1} times over the same batch, as when there is too little memory for it"
        raise TrainError(f"{job.name}: {why}") from error
    except (RayError, ExecutionTimeoutError) as error:
        raise TrainError(f"{job.name}: the Ray cluster failed: {_line(error)}") from error


class _Stage:
    """A step within an actor: a batch at a time goes through it."""

    def __init__(self, build: Callable[[], Step], folder: str) -> None:
        with suppress(OSError):  # where the folder is known, paths relative to it are what they are here
            os.chdir(folder)
        self._build = build
        self._step: Step | None = None

    def __call__(self, parcel: pa.Table) -> pa.Table:
        flowing = _unpacked(parcel)
        if not isinstance(flowing, Exception):
            try:
                self._step = self._step or self._build()  # within a batch, so that it is tried a few times only
                flowing = self._step(flowing)
            except Exception as error:  # noqa: BLE001 - goes on to the driver, which raises it as it is
                flowing = error
        return _parcel(_packed(flowing))


def _flow(job: Job[Row], wave: list[bytes]) -> Dataset:
    import ray

    has = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus = min(1.0, has.get("CPU", 1.0) / len(job.steps))  # so that one of each finds room
    flow: Dataset = ray.data.from_arrow([_parcel(packed) for packed in wave])
    for worker in job.steps:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the last one is to go in 2.64; without it, a batch may kill for ever
            flow = flow.map_batches(
                _Stage,
                fn_constructor_args=(worker.build, str(Path.cwd())),
                batch_size=1,
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(min_size=1, max_size=worker.most),
                num_cpus=cpus,
                num_gpus=1 if worker.gpu and has.get("GPU") else 0,
                udf_modifying_row_count=False,
                max_task_retries=_RETRIES,
            )
    return flow


def _packed(what: Any) -> bytes:
    from ray import cloudpickle

    packed: bytes = cloudpickle.dumps(what)  # type: ignore[no-untyped-call]
    return packed


def _parcel(packed: bytes) -> pa.Table:
    """A batch on its way: a table with one row."""
    return pa.table({"parcel": pa.array([packed], pa.large_binary())})


def _unpacked(parcel: pa.Table) -> Any:
    from ray import cloudpickle

    return cloudpickle.loads(parcel["parcel"][0].as_buffer())


def _waves(batches: Iterable[bytes]) -> Iterator[list[bytes]]:
    """As many as may be read ahead, and the next as many."""
    wave: list[bytes] = []
    size = 0
    for packed in batches:
        if wave and (len(wave) == _WAVE_BATCHES or size + len(packed) > _WAVE_BYTES):
            yield wave
            wave, size = [], 0
        wave.append(packed)
        size += len(packed)
    if wave:
        yield wave


def _line(error: BaseException) -> str:
    """The first line of what an error says."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
