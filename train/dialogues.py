"""Conversations to evaluate on: turns with their voice, words, speaker and true emotion, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from emotrack.models.features import HOP, SAMPLE_RATE, LogMel
from emotrack.models.labels import canonical
from emotrack.models.network import MIN_SPEECH_S
from emotrack.train.acted import Clip, read_clips, read_conversations, split_of
from emotrack.train.audio import read_audio
from emotrack.train.augment import active_span
from emotrack.train.corpora import TextCorpus, read_text_corpus
from emotrack.train.errors import TrainError

TEXT_CORPORA = ("meld", "emorynlp", "goemotions")
TURNS = 16  # of a conversation that is put together


@dataclass(frozen=True, slots=True)
class LabelledTurn:
    """One turn with its truth; a turn without ``emotion`` is context for the others and is not scored."""

    waveform: NDArray[np.float32] | None  # (samples,) at 16 kHz
    text: str | None
    speaker: str | None
    emotion: str | None


def read_dialogues(corpus: str, folder: Path, split: str, modalities: str) -> Iterator[list[LabelledTurn]]:
    """The conversations of a corpus, one after the other.

    A clip of acted speech is a conversation of one turn, and speech alone: its words were the same for every emotion.

    Raises:
        TrainError: data that is missing, malformed, or without the modality.
    """
    if corpus in TEXT_CORPORA:
        if modalities == "speech":
            raise TrainError(f"{corpus} has no speech: evaluate it with --modalities text")
        yield from _from_text(read_text_corpus(corpus, folder, split))
    elif (folder / "index.csv").is_file():
        if modalities == "text":
            raise TrainError(f"{folder}: acted clips are evaluated by voice: use --modalities speech")
        clips = [clip for clip in read_clips(folder) if split_of(clip.speaker) == split]
        if not clips:
            raise TrainError(f"{folder}: no clips of a {split} speaker")
        for clip in clips:
            yield [LabelledTurn(_long_enough(read_audio(clip.path), clip.path), None, None, clip.emotion)]
    elif any(folder.glob("acted-*.json")):
        yield from _from_conversations(folder, split, modalities)
    else:
        raise TrainError(f"{folder}: neither an index.csv nor acted-*.json in it")


def _from_text(corpus: TextCorpus) -> Iterator[list[LabelledTurn]]:
    for _, dialogue in groupby(corpus.utterances, key=lambda utterance: utterance.dialogue):
        yield [
            LabelledTurn(
                None,
                utterance.text,
                utterance.speaker,
                canonical(utterance.labels[0]) if len(utterance.labels) == 1 else None,
            )
            for utterance in dialogue
        ]


def _from_conversations(folder: Path, split: str, modalities: str) -> Iterator[list[LabelledTurn]]:
    scored = False
    for path, conversation in read_conversations(folder):
        samples = read_audio(path)
        turns = []
        for turn in conversation.turns:
            emotion = canonical(turn.emotion) if split_of(corpus_speaker(turn.speaker)) == split else None
            scored |= emotion is not None
            cut = _long_enough(samples[round(turn.start * SAMPLE_RATE) : round(turn.end * SAMPLE_RATE)], path)
            turns.append(
                LabelledTurn(
                    None if modalities == "text" else cut,
                    None if modalities == "speech" else turn.text,
                    turn.speaker,
                    emotion,
                )
            )
        yield turns
    if not scored:
        raise TrainError(f"{folder}: no turns of a {split} speaker")


def _long_enough(waveform: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    if len(waveform) < MIN_SPEECH_S * SAMPLE_RATE:
        raise TrainError(f"{path}: a turn of {len(waveform) / SAMPLE_RATE:.2f} s, less than {MIN_SPEECH_S} s")
    return waveform


def corpus_speaker(name: str) -> str:
    """The conversations' name for a RAVDESS actor as the clips' index has it: actor01 -> ravdess-01."""
    return name.replace("actor", "ravdess-")


def converse(clips: list[Clip], generator: torch.Generator) -> list[list[LabelledTurn]]:
    """Conversations of two actors each, in turn, in random order, out of clips of an even number of actors.

    Silence is cut from both ends of a clip, as a segmenter would.
    """
    speakers = sorted({clip.speaker for clip in clips})
    conversations = []
    for pair in zip(speakers[::2], speakers[1::2], strict=False):
        shuffled = [[clip for clip in clips if clip.speaker == speaker] for speaker in pair]
        for own in shuffled:
            own[:] = [own[index] for index in torch.randperm(len(own), generator=generator).tolist()]
        turns = [_spoken(clip) for both in zip(*shuffled, strict=False) for clip in both]
        conversations += [turns[start : start + TURNS] for start in range(0, len(turns), TURNS)]
    return conversations


def _spoken(clip: Clip) -> LabelledTurn:
    waveform = read_audio(clip.path)  # (samples,)
    first, end = active_span(LogMel()(torch.from_numpy(waveform)))
    return LabelledTurn(waveform[first * HOP : end * HOP], clip.text, clip.speaker, clip.emotion)
