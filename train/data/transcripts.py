"""Words that a recogniser made of a corpus's turns, in the place of those in the corpus.

    FILE.csv    split, dialogue, turn, text, recogniser

Dialogues and turns are called as ``emotrack evaluate --predictions`` calls them. A turn whose text is empty, or that
the file lacks, has no words. The file may be anyone's; what ``recognise`` adds to it is not recognised again.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from emotrack.errors import UsageError
from emotrack.models.bounds import MAX_SPEECH_S, SAMPLE_RATE
from emotrack.models.files import whole_file
from emotrack.train.corpora import Corpus, CorpusTurn, read_table
from emotrack.train.data.dialogues import hear
from emotrack.train.errors import TrainError
from emotrack.train.running.progress import track

if TYPE_CHECKING:
    from emotrack.tracker.hearing.listener import SpeechTurn
    from emotrack.tracker.understanding.recognisers import Recogniser

COLUMNS = ("split", "dialogue", "turn", "text", "recogniser")
KEPT_AFTER = 100  # turns, so that a run that is killed loses no more
Row = dict[str, str]


def recogniser_name(asr: str, language: str | None) -> str:
    """What words are called that this recogniser made. Raises ``UsageError`` where it has no name of its own."""
    if asr in {"auto", "none"}:
        raise UsageError(f"--asr {asr}: scores of recognised words want a recogniser with a name")
    name = Path(asr).resolve().name if Path(asr).is_dir() else asr
    return f"{name}, {language}" if language else name


def recognise(corpus: Corpus, split: str, path: Path, asr: str, language: str | None) -> None:
    """Recognise the turns with a voice that a file of transcripts lacks, and add them to it.

    Raises:
        TrainError: audio or a file that cannot be read, or transcripts of another recogniser.
        RecogniserError: the recogniser cannot be had.
        UsageError: the recogniser has no name.
    """
    from emotrack.tracker.understanding.recognisers import open_recogniser

    name = recogniser_name(asr, language)
    rows = read_table(path, COLUMNS) if path.is_file() else []
    if other := next((row["recogniser"] for row in rows if row["recogniser"] != name), None):
        raise TrainError(f"{path}: holds words of {other}, not of {name}: choose another file")
    known = {(row["split"], row["dialogue"], row["turn"]) for row in rows}
    missing = [
        (dialogue.name, turn)
        for dialogue in corpus.dialogues
        for turn in dialogue.turns
        if turn.audio is not None and (split, dialogue.name, turn.name) not in known
    ]
    if not missing:
        return
    recogniser = open_recogniser(asr, "auto", 1, language)
    assert recogniser is not None  # noqa: S101  # only "none" is
    try:
        for (dialogue, turn), text in _heard(recogniser, missing):
            rows.append(dict(zip(COLUMNS, (split, dialogue, turn, text, name), strict=True)))
            if len(rows) % KEPT_AFTER == 0:
                _write(rows, path)
    finally:
        recogniser.close()
        _write(rows, path)


def _heard(recogniser: Recogniser, turns: Sequence[tuple[str, CorpusTurn]]) -> Iterator[tuple[tuple[str, str], str]]:
    """Dialogue and turn, and the words of it; nothing where none are believed."""
    waiting = iter(track(turns, "recognise"))
    while some := list(islice(waiting, recogniser.batch_size)):
        try:
            found = recogniser.transcribe_batch([_as_speech(turn) for _, turn in some])
        except (RuntimeError, ValueError) as error:  # of the recogniser's engine
            raise TrainError(f"{recogniser.name} failed: {str(error).strip().partition(chr(10))[0]}") from error
        for (dialogue, turn), words in zip(some, found, strict=True):
            yield (dialogue, turn.name), words.text or ""


def _as_speech(turn: CorpusTurn) -> SpeechTurn:
    """A corpus's turn as the tracker hears one: speech throughout, cut where the encoders cut it."""
    from emotrack.tracker.hearing.listener import SpeechTurn

    waveform = hear(turn).waveform
    assert waveform is not None  # noqa: S101  # it has audio
    samples = waveform[: int(MAX_SPEECH_S * SAMPLE_RATE)]
    end = len(samples)
    return SpeechTurn(0, 0, end, end, end, samples, 1.0, end / SAMPLE_RATE, truncated=end < len(waveform))


def with_transcripts(corpus: Corpus, split: str, path: Path) -> Corpus:
    """The corpus with the words of a file in the place of its own.

    Raises:
        TrainError: the file is missing or malformed, has no words of this split, or names a turn that is not in it.
    """
    if any("text" in turn.given for turn in corpus.turns):
        raise TrainError(f"{path}: no words are read, as the embeddings of {corpus.name}'s words are given")
    rows = [row for row in read_table(path, COLUMNS) if row["split"] == split]
    words = {(row["dialogue"], row["turn"]): row["text"].strip() or None for row in rows}
    if not any(words.values()):
        raise TrainError(f"{path}: no words of split {split} in it")
    known = {(dialogue.name, turn.name) for dialogue in corpus.dialogues for turn in dialogue.turns}
    if strange := sorted(words.keys() - known):
        raise TrainError(f"{path}: {corpus.name} has no turn {strange[0][1]} of dialogue {strange[0][0]}")
    dialogues = tuple(
        replace(
            dialogue,
            turns=tuple(replace(turn, text=words.get((dialogue.name, turn.name))) for turn in dialogue.turns),
        )
        for dialogue in corpus.dialogues
    )
    return replace(corpus, dialogues=dialogues, words=", ".join(dict.fromkeys(row["recogniser"] for row in rows)))


def _write(rows: Sequence[Row], path: Path) -> None:
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
