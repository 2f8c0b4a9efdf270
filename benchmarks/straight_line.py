"""The rival: the same task as a straight-line script, the way it is usually written.

    python -m benchmarks.straight_line FILE [--captions FILE.vtt | --asr FOLDER] [--keep-embeddings]

Prints a JSON object a turn. One loop in one thread: audio in at the pace at which it was spoken; when the turn has
ended, the recogniser, then the text model, then the voice model, then the dialogue, one after the other, with the
history encoded anew for every turn. ``--keep-embeddings`` encodes the new turn alone.

It has the same models as emotrack (the recogniser, the encoders and the network of ``mini``), cuts turns with the same
detector and bounds, and is otherwise written with care: models are loaded once and warm, nothing records gradients,
words that were recognised are kept, the recogniser decodes greedily in a language that it is told, and torch has one
thread or all cores, whichever is faster where it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import torch

from benchmarks.speech import mono
from emotrack.models.bundle import load_bundle
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.network import EmotionNetwork
from emotrack.models.scorer import ConversationScorer
from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.hearing.listener import Listener, SpeechTurn
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.understanding.captions import Captions, read_captions
from emotrack.tracker.understanding.recognisers import Recogniser, open_recogniser

CHUNK = SAMPLE_RATE // 10


class StraightLine:
    """The script's models, and all that was said so far."""

    def __init__(self, recogniser: Recogniser | None, *, keep_embeddings: bool) -> None:
        self.network: EmotionNetwork = load_bundle("mini")
        self.network.store_in_half()
        self._recogniser = recogniser
        self._keep_embeddings = keep_embeddings
        self.history: list[tuple[Samples, str | None, str | None]] = []  # voice, words and speaker of every turn
        self._embedded: list[TurnEmbedding] = []
        torch.set_num_threads(self._best_threads())

    def turn(self, turn: SpeechTurn, words: str | None, speaker: str | None) -> str:
        """The emotion of a turn that has ended."""
        if words is None and self._recogniser is not None:
            words = self._recogniser.transcribe(turn).text
        self.remember(turn.samples, words, speaker)
        if not self._keep_embeddings:
            self._embedded.clear()
        for place in range(len(self._embedded), len(self.history)):
            self._embedded.append(self._embed(place))
        return ConversationScorer(self.network).score_dialogue(self._embedded)[-1].emotion

    def remember(self, samples: Samples, words: str | None, speaker: str | None) -> None:
        """Add a turn to the history, to be encoded with the next one."""
        self.history.append((samples, words, speaker))

    def _embed(self, place: int) -> TurnEmbedding:
        samples, words, speaker = self.history[place]
        before = [said for _, said, _ in self.history[:place]]
        text = self.network.embed_text(words, before) if words else None
        return TurnEmbedding(self.network.embed_speech(samples), text, speaker)

    def _best_threads(self) -> int:
        """One or all cores: a core that somebody else is busy on would hold up the other."""
        voice = torch.randn(3 * SAMPLE_RATE).mul(0.1).numpy()
        taken = {}
        for threads in (1, len(os.sched_getaffinity(0))):
            torch.set_num_threads(threads)
            self.network.embed_speech(voice)
            began = time.perf_counter()
            for _ in range(3):
                self.network.embed_speech(voice)
                self.network.embed_text("ready when you are")
            taken[threads] = time.perf_counter() - began
        return min(taken, key=taken.__getitem__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--captions", type=Path)
    parser.add_argument("--asr", default="none")
    parser.add_argument("--keep-embeddings", action="store_true")
    arguments = parser.parse_args()

    captions = Captions(read_captions(arguments.captions)) if arguments.captions else None
    cores = len(os.sched_getaffinity(0))
    recogniser = open_recogniser(arguments.asr, "cpu", cores, "en")
    script = StraightLine(recogniser, keep_embeddings=arguments.keep_embeddings)
    listener = Listener(0, SegmenterOptions())
    audio = mono(arguments.file)
    print("ready", file=sys.stderr, flush=True)

    began = time.monotonic()
    for start in range(0, len(audio), CHUNK):
        chunk = audio[start : start + CHUNK]
        time.sleep(max(0.0, began + (start + len(chunk)) / SAMPLE_RATE - time.monotonic()))
        turns = listener.push(chunk, start)
        if start + CHUNK >= len(audio):
            turns += listener.flush()
        decided = time.perf_counter()
        for whole in turns:
            captioned = captions.caption(whole) if captions else None
            parts = [(part.turn, part.text, part.speaker) for part in captioned] if captioned else [(whole, None, None)]
            for turn, words, speaker in parts:
                emotion = script.turn(turn, words, speaker)
                latency = {
                    "end_of_turn": 1000 * (turn.decided - turn.speech_end) / SAMPLE_RATE,
                    "after_end": 1000 * (time.perf_counter() - decided),
                }
                print(json.dumps({"type": "turn", "emotion": emotion, "latency_ms": latency}), flush=True)
    if recogniser is not None:
        recogniser.close()


if __name__ == "__main__":
    main()
