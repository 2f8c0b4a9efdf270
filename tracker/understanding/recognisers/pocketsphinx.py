"""PocketSphinx: words with no download, roughly.

Its US English model lies in its wheel. On clean reading about 30 % of its words are wrong, on telephone speech 88 %,
so its confidence decides whether a transcript is used at all. It holds Python's global lock while it decodes, which
would stall the audio: it works in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from threading import Thread

import numpy as np
import pocketsphinx

from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.errors import RecogniserError
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.understanding.recognisers.gates import GateOptions, believed
from emotrack.tracker.understanding.recognisers.transcript import ENGLISH, Transcript

_GATES = GateOptions(min_confidence=0.4)
_NOT_WORDS = ("<", "[", "+")  # <s>, <sil>, [NOISE], ++UM++

_decoder: pocketsphinx.Decoder  # of the process that decodes


class PocketSphinx:
    """The recogniser that needs no download. Close it to end its process."""

    name = "pocketsphinx en-us"
    batch_size = 1
    languages: tuple[str, ...] = (ENGLISH,)

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks
        try:
            self._process = ProcessPoolExecutor(max_workers=1, mp_context=spawn, initializer=_start)
        except OSError as error:  # its locks are files there
            raise RecogniserError(f"PocketSphinx cannot use shared memory (/dev/shm): {error.strerror}") from error
        # Ctrl-C is for the tracker, which still wants the last turn's words: the process inherits that it is blocked.
        # Starting multiprocessing's own helper would unblock it, so that comes first.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            warm = self._process.submit(_decode, bytes(SAMPLE_RATE))  # half a second of silence
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            warm.result()
        except BrokenProcessPool as error:
            raise RecogniserError("PocketSphinx cannot load its model; reinstall the package pocketsphinx") from error

    def transcribe(self, turn: SpeechTurn) -> Transcript:
        """The words of ``turn``; rejected when PocketSphinx itself is not sure of them."""
        text, confidence = self._process.submit(_decode, _pcm(turn.samples)).result()
        return believed(turn, Transcript(text, "pocketsphinx", None, confidence, ENGLISH), _GATES)

    def transcribe_batch(self, turns: Sequence[SpeechTurn]) -> list[Transcript]:
        """The words of several turns, one after the other."""
        return [self.transcribe(turn) for turn in turns]

    def close(self) -> None:
        self._process.shutdown(wait=False, cancel_futures=True)


def _pcm(samples: Samples) -> bytes:
    """16-bit PCM of ``samples``, (samples,)."""
    return (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


def _start() -> None:
    global _decoder
    Thread(target=_end_with_parent, daemon=True).start()
    _decoder = pocketsphinx.Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")


def _end_with_parent() -> None:
    """A parent that is killed cannot tell its process to end, and nobody else would."""
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)


def _decode(pcm: bytes) -> tuple[str, float]:
    """The words in 16-bit PCM, and the mean posterior probability of a word, weighted by duration."""
    _decoder.reinit_feat()  # else the words would depend on what it heard before, be it somebody else
    _decoder.start_utt()
    _decoder.process_raw(pcm, full_utt=True)
    _decoder.end_utt()
    words = [segment for segment in _decoder.seg() if not segment.word.startswith(_NOT_WORDS)]
    if not words:
        return "", 0.0
    frames = np.array([word.end_frame - word.start_frame + 1 for word in words], dtype=np.float64)
    posteriors = np.array([word.prob for word in words], dtype=np.float64)
    # "read(2)" is the second pronunciation of "read"
    return " ".join(word.word.partition("(")[0] for word in words), float(posteriors @ frames / frames.sum())
