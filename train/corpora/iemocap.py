"""IEMOCAP (Busso et al. 2008), in the layout of its full release.

    SessionN/dialog/EmoEvaluation/<dialogue>.txt     [6.2901 - 8.2357]  Ses01F_impro01_F000  neu  [2.5000, ...]
    SessionN/dialog/transcriptions/<dialogue>.txt    Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.
    SessionN/sentences/wav/<dialogue>/<utterance>.wav

The 4-way task has anger, joy (happy and excited), sadness and neutral; the 6-way task keeps ``excitement`` apart and
adds ``frustration``. Turns with any other label, or none that annotators agreed on, are context. Session 1 is dev, 2
to 4 are train, 5 is test. That is the fifth of five folds: of fold N, session N is test, the next one is dev (1 comes
after 5), and the other three are train.

In the files of the release 595 utterances are happy, so that the 6-way task has 7,380. The 7,433 that are often
published come from label files in which 648 are.
"""

from __future__ import annotations

import re
from pathlib import Path

from emotrack.train.corpora.corpus import Corpus, CorpusTurn, Counts, Dialogue, checked, existing, read_lines, visible
from emotrack.train.errors import TrainError

FOUR = {"neu": "neutral", "hap": "joy", "exc": "joy", "sad": "sadness", "ang": "anger"}
SIX = FOUR | {"exc": "excitement", "fru": "frustration"}
SESSIONS = 5
PUBLISHED_FOLD = 5
PUBLISHED = {"train": Counts(3_205, None), "dev": Counts(1_085, None), "test": Counts(1_241, None)}  # 4-way

_EVALUATION = re.compile(r"\[(?P<start>[\d.]+) - [\d.]+\]\t(?P<name>\S+)\t(?P<label>\S+)\t")
_TRANSCRIPTION = re.compile(r"(?P<name>\S+) \[[\d.]+-[\d.]+\]:\s*(?P<text>.*)")


def read_iemocap(folder: Path, split: str, fold: int = PUBLISHED_FOLD) -> Corpus:
    """Read one split with the four labels. Raises as ``read_iemocap_6``."""
    return _read("iemocap", FOUR, folder, split, fold)


def read_iemocap_6(folder: Path, split: str, fold: int = PUBLISHED_FOLD) -> Corpus:
    """Read one split with the six labels.

    Raises:
        TrainError: a session is missing, or a dialogue has no transcription.
    """
    if fold == PUBLISHED_FOLD:
        read_iemocap(folder, split)  # whose size is published, and checked
    return _read("iemocap-6", SIX, folder, split, fold)


def sessions_of(split: str, fold: int) -> tuple[int, ...]:
    """The sessions of a split, in a fold from 1 to 5."""
    test, dev = fold, fold % SESSIONS + 1
    rest = tuple(number for number in range(1, SESSIONS + 1) if number not in (test, dev))
    return {"test": (test,), "dev": (dev,), "train": rest}[split]


def _read(name: str, names: dict[str, str], folder: Path, split: str, fold: int) -> Corpus:
    dialogues = []
    for number in sessions_of(split, fold):
        session = folder / f"Session{number}"
        evaluations = visible((session / "dialog/EmoEvaluation").glob("*.txt"))
        if not evaluations:
            raise TrainError(f"{session}: no dialog/EmoEvaluation/*.txt in it")
        dialogues += [_dialogue(session, path, names) for path in evaluations]
    called = name if fold == PUBLISHED_FOLD else f"{name}-fold-{fold}"
    corpus = Corpus(called, tuple(dict.fromkeys(names.values())), tuple(dialogues))
    return checked(corpus, split, PUBLISHED[split] if names is FOUR and fold == PUBLISHED_FOLD else None)


def _dialogue(session: Path, evaluation: Path, names: dict[str, str]) -> Dialogue:
    transcription = session / "dialog/transcriptions" / evaluation.name
    texts = {found["name"]: found["text"].strip() for found in _found(_TRANSCRIPTION, transcription)}
    recordings = session / "sentences/wav" / evaluation.stem
    turns = []
    for found in sorted(_found(_EVALUATION, evaluation), key=lambda found: float(found["start"])):
        name = found["name"]
        label = names.get(found["label"])
        speaker = name[:5] + name.rpartition("_")[2][0]  # Ses01 and F or M: the actor who speaks
        turns.append(
            CorpusTurn(
                name=name,
                text=texts.get(name) or None,
                labels=() if label is None else (label,),
                speaker=speaker,
                audio=existing(recordings / f"{name}.wav"),
            )
        )
    return Dialogue(evaluation.stem, tuple(turns))


def _found(pattern: re.Pattern[str], path: Path) -> list[re.Match[str]]:
    return [found for line in read_lines(path) if (found := pattern.match(line))]
