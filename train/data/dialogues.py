"""Any corpus, by its name, and its turns with their voice in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emotrack.models.bounds import MIN_SPEECH_S, SAMPLE_RATE
from emotrack.models.features import HOP, LogMel
from emotrack.models.labels import EMOTIONS, canonical
from emotrack.tracker.messages.output import say
from emotrack.train.corpora import READERS, Corpus, CorpusTurn, Dialogue
from emotrack.train.corpora.acted_corpora import ACTED, Clip, read_conversations, read_index, split_of
from emotrack.train.data.audio import read_audio
from emotrack.train.data.augment import active_span
from emotrack.train.errors import TrainError

CORPORA = (*READERS, "acted")
TURNS = 16  # of a conversation that is put together
ROUNDED_S = 0.5  # by which a turn's end may lie behind that of its file


@dataclass(frozen=True, slots=True)
class LabelledTurn:
    """One turn with its truth; a turn without ``emotion`` is context for the others and is not scored."""

    waveform: NDArray[np.float32] | None  # (samples,) at 16 kHz
    text: str | None
    speaker: str | None
    emotion: str | None  # one of its corpus's labels
    given: Mapping[str, Tensor] = field(default_factory=dict)  # (F,) each; see CorpusTurn


def read_corpus(name: str, folder: Path, split: str) -> Corpus:
    """Read one split of a corpus; no audio is read yet.

    Args:
        name: one of ``CORPORA``, or a corpus of acted speech by its own name.
        folder: where its official layout begins; for acted speech, where its ``index.csv`` or ``acted-*.json`` are, or
            the folders of several such indexes.
        split: train, dev or test.

    Raises:
        TrainError: unknown corpus, or data that is missing or malformed.
    """
    if name in READERS:
        return READERS[name](folder, split)
    if name not in ("acted", *ACTED):
        raise TrainError(f"no corpus {name!r}: there are {', '.join(CORPORA)}")
    if any(folder.glob("acted-*.json")) and not (folder / "index.csv").is_file():
        return _acted_conversations(name, folder, split)
    indexes = [folder / "index.csv"] if (folder / "index.csv").is_file() else sorted(folder.glob("*/index.csv"))
    if not indexes:
        raise TrainError(f"{folder}: neither an index.csv nor acted-*.json in it")
    return _acted_clips(name, [index.parent for index in indexes], split)


def _acted_clips(name: str, folders: Sequence[Path], split: str) -> Corpus:
    """Each clip a dialogue of one turn, and speech alone: its words were the same for every emotion."""
    dialogues = tuple(
        Dialogue(clip.path.stem, (CorpusTurn("0", None, (clip.emotion,), clip.speaker, clip.path, traits=clip.traits),))
        for folder in folders
        for clip in read_index(folder)
        if split_of(clip.speaker) == split
    )
    if not dialogues:
        raise TrainError(f"{', '.join(map(str, folders))}: no clips of a {split} speaker")
    return Corpus(name, EMOTIONS, dialogues)


def _acted_conversations(name: str, folder: Path, split: str) -> Corpus:
    """The turns of speakers of other splits are context, without a label."""
    dialogues = []
    for path, conversation in read_conversations(folder):
        turns = tuple(
            CorpusTurn(
                name=str(number),
                text=turn.text.strip() or None,
                labels=(emotion,) if emotion is not None and split_of(corpus_speaker(turn.speaker)) == split else (),
                speaker=turn.speaker,
                audio=path,
                span=(turn.start, turn.end),
            )
            for number, turn in enumerate(conversation.turns)
            for emotion in (canonical(turn.emotion),)
        )
        dialogues.append(Dialogue(path.stem, turns))
    corpus = Corpus(name, EMOTIONS, tuple(dialogues))
    if not any(turn.labels for turn in corpus.turns):
        raise TrainError(f"{folder}: no turns of a {split} speaker")
    return corpus


def hear(turn: CorpusTurn) -> LabelledTurn:
    """Read a turn's voice.

    Raises:
        TrainError: its file cannot be read, or is shorter than the turn.
    """
    waveform = None
    if turn.audio is not None and "speech" not in turn.given:
        waveform = _samples(turn.audio)  # (samples,)
        if turn.span is not None:
            if turn.span[1] > len(waveform) / SAMPLE_RATE + ROUNDED_S:
                lasts = f"{len(waveform) / SAMPLE_RATE:.2f} s"
                raise TrainError(f"{turn.audio}: lasts {lasts}, and a turn ends at {turn.span[1]:.2f} s")
            start, end = (round(seconds * SAMPLE_RATE) for seconds in turn.span)
            waveform = waveform[start:end]
        if len(waveform) < MIN_SPEECH_S * SAMPLE_RATE:
            raise TrainError(f"{turn.audio}: a turn of {len(waveform) / SAMPLE_RATE:.2f} s, less than {MIN_SPEECH_S} s")
    return LabelledTurn(waveform, turn.text, turn.speaker, turn.emotion, turn.given)


def hear_if_readable(turn: CorpusTurn) -> LabelledTurn:
    """Read a turn's voice; one that cannot be read is left out, which is said on standard error once."""
    try:
        return hear(turn)
    except TrainError as error:
        _say_left_out(str(error))
        return hear(replace(turn, audio=None))


@cache
def _say_left_out(fault: str) -> None:
    say(f"set aside: {fault}", None)


@lru_cache(maxsize=1)  # the turns of a conversation follow one another
def _samples(path: Path) -> NDArray[np.float32]:
    return read_audio(path)


def read_dialogues(corpus: str, folder: Path, split: str, modalities: str) -> Iterator[list[LabelledTurn]]:
    """The conversations of a corpus, one after the other, with ``both`` their voice and words, or one of them.

    Raises:
        TrainError: data that is missing, malformed, or without the modality.
    """
    found = read_corpus(corpus, folder, split)
    if modalities == "speech" and not any(turn.audio for turn in found.turns):
        raise TrainError(f"{corpus} has no speech in {folder}: choose text")
    if modalities == "text" and not any(turn.text for turn in found.turns):
        raise TrainError(f"{corpus} has no words in {folder}: choose speech")
    for dialogue in found.dialogues:
        yield [hear(_with(turn, modalities)) for turn in dialogue.turns]


def _with(turn: CorpusTurn, modalities: str) -> CorpusTurn:
    if modalities == "text":
        return replace(turn, audio=None)
    return replace(turn, text=None) if modalities == "speech" else turn


def corpus_speaker(name: str) -> str:
    """The conversations' name for a RAVDESS actor as the clips' index has it: actor01 -> ravdess-01."""
    return name.replace("actor", "ravdess-")


def converse(turns: Sequence[CorpusTurn], generator: torch.Generator) -> list[Dialogue]:
    """Conversations of two actors each, in turn, in random order; of an odd number of actors, the last has no part."""
    speakers = sorted({str(turn.speaker) for turn in turns})
    conversations = []
    for pair in zip(speakers[::2], speakers[1::2], strict=False):
        shuffled = [[turn for turn in turns if turn.speaker == speaker] for speaker in pair]
        for own in shuffled:
            own[:] = [own[index] for index in torch.randperm(len(own), generator=generator).tolist()]
        said = [turn for both in zip(*shuffled, strict=False) for turn in both]
        conversations += [
            Dialogue(f"{'-'.join(pair)}-{start // TURNS}", tuple(said[start : start + TURNS]))
            for start in range(0, len(said), TURNS)
        ]
    return conversations


def as_turn(clip: Clip) -> CorpusTurn:
    """A clip as a turn of a conversation, without the silence at both ends, which a segmenter cuts off.

    Raises:
        TrainError: its file cannot be read.
    """
    first, end = active_span(LogMel()(torch.from_numpy(read_audio(clip.path))))
    span = (first * HOP / SAMPLE_RATE, end * HOP / SAMPLE_RATE)
    return CorpusTurn(clip.path.stem, clip.text, (clip.emotion,), clip.speaker, clip.path, span)
