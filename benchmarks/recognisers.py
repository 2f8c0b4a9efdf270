"""What the words of a turn cost: Moonshine, Whisper of two sizes and PocketSphinx, one turn at a time and together.

One thread each; Whisper computes in int8. Made-up weights write as many words as turns of three seconds have.
Recognisers take turns on the same bundled turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import faster_whisper
import numpy as np
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer

from benchmarks.figures import Benchmark, Figure, Found, Note, Settings
from benchmarks.speech import turns
from benchmarks.whisper import SIZES, whisper
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.understanding.recognisers.faster_whisper import FasterWhisper
from emotrack.tracker.understanding.recognisers.moonshine import Moonshine
from emotrack.tracker.understanding.recognisers.pocketsphinx import PocketSphinx

TOGETHER = (2, 4, 8)
MAX_TOKENS = 64


class Batched:
    """Whisper on several turns at once: each is a window of 30 s anyway."""

    def __init__(self, folder: Path) -> None:
        self._model = faster_whisper.WhisperModel(
            str(folder), device="cpu", compute_type="auto", cpu_threads=1, local_files_only=True
        )
        self._tokenizer = Tokenizer(self._model.hf_tokenizer, self._model.model.is_multilingual, "transcribe", "en")

    def transcribe(self, spoken: Sequence[SpeechTurn]) -> list[str]:
        """The words of each turn."""
        features = [
            pad_or_trim(self._model.feature_extractor(turn.samples)[..., :-1]) for turn in spoken
        ]  # (M, T) each
        encoded = self._model.encode(np.stack(features))
        prompt = [*self._tokenizer.sot_sequence, self._tokenizer.no_timestamps]
        found = self._model.model.generate(encoded, [prompt] * len(spoken), beam_size=1, max_length=MAX_TOKENS)
        return [self._tokenizer.decode(result.sequences_ids[0]).strip() for result in found]


def measure(settings: Settings) -> Found:
    """Yield the cost of a turn, ms."""
    spoken = turns()[: 4 if settings.quick else len(turns())]
    sphinx = PocketSphinx()
    try:
        single: dict[str, Callable[[SpeechTurn], object]] = {
            "Moonshine tiny": Moonshine(1).transcribe,
            "PocketSphinx": sphinx.transcribe,
        }
        together: dict[str, Batched] = {}
        for size in SIZES:
            model = whisper(size, settings.workspace)
            single[f"Whisper {size}"] = FasterWhisper(str(model.folder), "cpu", 1, "en").transcribe
            together[f"Whisper {size}"] = Batched(model.folder)
            yield Note(model.note)
        for turn in spoken:
            for name, transcribe in single.items():
                yield Figure("a turn, alone", name, "ms", (_ms(transcribe, turn),))
        for count in TOGETHER:
            for first in range(0, len(spoken) - count + 1, count):
                batch = spoken[first : first + count]
                for name, recogniser in together.items():
                    taken = _ms(recogniser.transcribe, batch)
                    yield Figure(f"a turn, {count} together", name, "ms", (taken / count,))
    finally:
        sphinx.close()


def _ms(work: Callable[..., object], *given: object) -> float:
    began = time.perf_counter()
    work(*given)
    return 1000 * (time.perf_counter() - began)


BENCHMARK = Benchmark("words", "Recognisers: what the words of a turn cost", measure)
