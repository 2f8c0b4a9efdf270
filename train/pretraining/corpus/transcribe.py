"""Speech -> transcripts: audio is cut into turns and recognised as in the live tracker, many turns at a time."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from emotrack.errors import UsageError
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.messages.output import show
from emotrack.tracker.options import THREADS, environment_number
from emotrack.train.errors import TrainError
from emotrack.train.pretraining.corpus.audio_files import AudioClip, AudioFound, find_audio, read_clip
from emotrack.train.pretraining.corpus.rows import TurnRow, turn_id
from emotrack.train.pretraining.corpus.table import Answer, Table, address, only_writer
from emotrack.train.pretraining.corpus.work import Engine, Job, Worker, run_plainly, to_do

if TYPE_CHECKING:
    from emotrack.tracker.hearing.listener import SpeechTurn
    from emotrack.tracker.understanding.recognisers import Recogniser
    from emotrack.train.pretraining.corpus.hearing import Cut, FileTurns

_MEGABYTE = 2**20
_SHOWN = 20  # files that are named with what is wrong with them


@dataclass(frozen=True, slots=True)
class Manner:
    """How speech is transcribed. Turns that were made in two manners are never mixed."""

    asr: str
    """A size of faster-whisper, a hub id, a CTranslate2 folder, moonshine or pocketsphinx."""
    language: str | None = None
    """None: detected in every turn."""
    turns: SegmenterOptions = field(default_factory=SegmenterOptions)

    def __post_init__(self) -> None:
        """Raises ``UsageError``."""
        if self.asr in {"auto", "none"}:
            raise UsageError(f"--asr {self.asr}: transcripts that others learn from want a recogniser with a name")

    @property
    def made_by(self) -> str:
        """The manner in words. Raises ``TrainError`` where the model's folder cannot be read."""
        turns = asdict(self.turns)
        changed = [f"{name}={value:g}" for name, value in turns.items() if value != getattr(SegmenterOptions(), name)]
        cutting = f"turns {address(repr(turns))[:8]}"  # what is usual may change from one release to the next
        return ", ".join([_model_name(self.asr), f"language {self.language or 'detected'}", cutting, *changed])


class Recognise:
    """The step from turns to words. Raises ``RecogniserError`` when the recogniser cannot be had."""

    def __init__(self, asr: str, device: str, language: str | None) -> None:
        from emotrack.tracker.understanding.recognisers import open_recogniser

        threads = environment_number("OMP_NUM_THREADS", THREADS, len(os.sched_getaffinity(0)))
        opened = open_recogniser(asr, device, threads, language)
        self._recogniser = cast("Recogniser", opened)  # only "none" is None

    def __call__(self, heard: Sequence[FileTurns]) -> list[Answer[TurnRow]]:
        rows: dict[str, list[TurnRow]] = {each.clip.key: [] for each in heard}
        unusable: dict[str, str] = {}
        turns = _in_turn(heard, unusable)
        while some := list(islice(turns, self._recogniser.batch_size)):
            for (clip, _), row in zip(some, self._recognise(some), strict=True):
                rows[clip.key].append(row)
        return [
            Answer(key, [], unusable[key]) if key in unusable else Answer(key, found) for key, found in rows.items()
        ]

    def _recognise(self, some: Sequence[tuple[AudioClip, SpeechTurn]]) -> Iterator[TurnRow]:
        try:
            transcripts = self._recogniser.transcribe_batch([turn for _, turn in some])
        except (RuntimeError, ValueError) as error:  # of the recogniser's engine, as when the GPU's memory is full
            raise TrainError(f"{self._recogniser.name} failed: {str(error).strip().partition(chr(10))[0]}") from error
        for (clip, turn), words in zip(some, transcripts, strict=True):
            yield TurnRow(
                turn_id=turn_id(clip.key, turn.start_s, turn.end_s),
                source=clip.source,
                source_sha256=clip.key,
                start_s=turn.start_s,
                end_s=turn.end_s,
                speaker=clip.speaker,
                text=words.text,
                confidence=words.confidence,
                language=words.language,
                rejected=words.rejected,
            )


def transcribe(audio: Path, out: Path, manner: Manner, device: str, batch: int, run: Engine = run_plainly) -> None:
    """Transcribe a folder or list of audio into ``out/turns``, print a summary. Finished work is not done again.

    Args:
        audio: what ``find_audio`` takes.
        out: the corpus.
        manner: how.
        device: auto, cpu or cuda.
        batch: files in a shard at most; on average they are not larger than a megabyte, or there are fewer.
        run: the loop, or the cluster, that does the work.

    Raises:
        TrainError: there is no audio, or the corpus cannot be read or written. What was done until then is kept.
        RecogniserError: the recogniser cannot be had.
    """
    began = time.perf_counter()
    files = sum(1 for _ in find_audio(audio))
    with only_writer(out / "turns"):
        table = Table(out / "turns", TurnRow, manner.made_by)
        before = set(table.done)
        unreadable: list[str] = []
        job = Job("transcribe", _workers(manner, device), table, "files")
        with _progress() as progress:
            bar = progress.add_task(job.name, total=files)
            advance = partial(progress.advance, bar)
            clips = _clips(find_audio(audio), before, unreadable, advance)
            run(job, to_do(clips, table, batch, batch * _MEGABYTE), advance)
    show(_summary(table, before, unreadable, time.perf_counter() - began))
    show(table.folder)


def _workers(manner: Manner, device: str) -> tuple[Worker, Worker]:
    return Worker(partial(_cut, manner.turns)), Worker(
        partial(Recognise, manner.asr, device, manner.language), gpu=device != "cpu"
    )


def _cut(options: SegmenterOptions) -> Cut:
    from emotrack.train.pretraining.corpus.hearing import Cut

    return Cut(options)


def _clips(
    found: Iterator[AudioFound], done: set[str], unreadable: list[str], advance: Callable[[int], None]
) -> Iterator[AudioClip]:
    """The files with their addresses; those that are done count at once."""
    for file in found:
        try:
            clip = read_clip(file)
        except OSError as error:  # not kept in the corpus: it may be readable next time
            unreadable.append(f"{file.source}: {error.strerror}")
            advance(1)
            continue
        if clip.key in done:
            advance(1)
        yield clip


def _in_turn(heard: Sequence[FileTurns], unusable: dict[str, str]) -> Iterator[tuple[AudioClip, SpeechTurn]]:
    """All turns, one clip after the other; what is wrong with a clip goes to ``unusable``."""
    from emotrack.train.pretraining.corpus.hearing import UnusableAudioError

    for each in heard:
        try:
            for turn in each:
                yield each.clip, turn
        except UnusableAudioError as error:
            unusable[each.clip.key] = f"{each.clip.source}: {error}"


def _model_name(asr: str) -> str:
    """What is recognised with; a folder by what is in it, since another model may lie there tomorrow."""
    weights = Path(asr).expanduser() / "model.bin"
    if not weights.is_file():
        return asr
    try:
        with weights.open("rb") as file:
            return f"{weights.parent.resolve().name}@{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"
    except OSError as error:
        raise TrainError(f"{weights} cannot be read: {error.strerror}") from error


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _summary(table: Table[TurnRow], before: set[str], unreadable: list[str], seconds: float) -> str:
    turns = with_words = 0
    speech_s = new_speech_s = 0.0
    rejected = Counter[str]()
    for row in table.rows():
        turns += 1
        with_words += row.text is not None
        speech_s += row.end_s - row.start_s
        new_speech_s += row.end_s - row.start_s if row.source_sha256 not in before else 0.0
        if row.rejected is not None:
            rejected[row.rejected] += 1
    gates = ", ".join(f"{count:,} {gate}" for gate, count in rejected.most_common())
    bad = [*table.quarantined.values(), *unreadable]
    lines = [
        f"corpus: {len(table.done):,} files, {speech_s / 3600:.2f} h of speech in {turns:,} turns",
        f"words: {with_words:,} turns; rejected: {gates or 'none'}",
        f"this run: {len(table.done) - len(before):,} files in {seconds:,.1f} s"
        + (f", {seconds / new_speech_s:.3f} s for a second of speech" if new_speech_s else ""),
        f"quarantined: {len(bad):,} files",
        *(f"  {reason}" for reason in bad[:_SHOWN]),
    ]
    if len(bad) > _SHOWN:
        lines.append(f"  and {len(bad) - _SHOWN:,} more")
    return "\n".join(lines)
