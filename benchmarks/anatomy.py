"""Where the time of a turn goes: its parts one by one, on one thread, in processor time.

Whole bundled turns go through the network; clocks sit on the modules inside it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from benchmarks.figures import Benchmark, Figure, Found, Note, Settings
from benchmarks.speech import turns, words
from emotrack.models.bundle import load_bundle
from emotrack.models.care import Care
from emotrack.models.context import EmotionEstimate
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.features import LogMel
from emotrack.models.network import EmotionNetwork
from emotrack.models.scorer import ConversationScorer
from emotrack.models.text_encoder import TextEncoder, read_turn
from emotrack.tracker.audio import FRAME_SAMPLES, Samples
from emotrack.tracker.events import Latency, Turn, to_json
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.hearing.vad import VoiceActivityDetector

T = TypeVar("T")

SPEAKERS = ("Ana", "Ben")


class Clocks:
    """Milliseconds of processor time of this thread, by part."""

    def __init__(self) -> None:
        self.ms: defaultdict[str, float] = defaultdict(float)

    def time(self, part: str, work: Callable[[], T]) -> T:
        """Do the work, and count it as ``part``."""
        began = time.thread_time()
        result = work()
        self.ms[part] += 1000 * (time.thread_time() - began)
        return result

    def watch(self, part: str, module: nn.Module) -> None:
        """Count whatever time ``module`` takes as ``part``."""
        began: list[float] = []

        def before(*_: Any) -> None:
            began.append(time.thread_time())

        def after(*_: Any) -> None:
            self.ms[part] += 1000 * (time.thread_time() - began.pop())

        module.register_forward_pre_hook(before)
        module.register_forward_hook(after)


def measure(settings: Settings) -> Found:
    """Yield what each part of a turn takes, ms."""
    torch.set_num_threads(1)
    network = load_bundle("mini")
    network.store_in_half()
    clocks = Clocks()
    _watch(network, clocks)
    scorer = ConversationScorer(network)
    detector, context = VoiceActivityDetector(), scorer.new_context()
    for repeat in range(3 if settings.quick else 8):
        for place, (turn, said) in enumerate(zip(turns(), words(), strict=True)):
            before = context.words
            clocks.ms.clear()
            clocks.time("detector", partial(_detect, detector, turn.samples))
            speech = clocks.time("voice", partial(network.embed_speech, turn.samples))
            clocks.time("tokens", partial(read_turn, network.tokenizer, said, before, network.config.text))
            text = clocks.time("words", partial(network.embed_text, said, before))
            newest = TurnEmbedding(speech, text, SPEAKERS[place % 2], said)
            window = [*context.turns[1 - context.size :], newest]
            clocks.time("newest", partial(_score, network, window))
            stages = clocks.ms["stage II"], clocks.ms["stage III"]
            estimate, _ = clocks.time("update", partial(scorer.update, context, newest))
            clocks.time("event", partial(_event, turn, said, estimate))
            if repeat:  # the first time round is for warming up
                yield from _figures(clocks.ms, stages)
    yield Note("On top of it the detector listens to a turn while it is spoken; the event is made and written as JSON.")


def _figures(ms: Mapping[str, float], stages: tuple[float, float]) -> Found:
    parts = {
        "voice: log-mel picture": ms["log-mel"],
        "voice: convolutions": ms["stem"],
        "voice: layers of CARE": ms["care"],
        "voice: pooling, head": ms["voice"] - ms["log-mel"] - ms["stem"] - ms["care"],
        "words: tokens": ms["tokens"],
        "words: layers of the text encoder": ms["text layers"],
        "words: embeddings, mean": ms["words"] - ms["tokens"] - ms["text layers"],
        "stage II": stages[0],
        "stage III": stages[1],
        "stages: batch, scores, softmax": ms["newest"] - sum(stages),
        "why and revisions: a further row": ms["update"] - ms["newest"],
        "event": ms["event"],
        "together": ms["voice"] + ms["words"] + ms["update"] + ms["event"],
        "voice detector, meanwhile": ms["detector"],
    }
    for part, taken in parts.items():
        yield Figure(part, "emotrack", "ms", (max(0.0, taken),))


def _watch(network: EmotionNetwork, clocks: Clocks) -> None:
    """Put clocks on the modules."""
    care = network.speech_encoder
    assert isinstance(care, Care), "the parts are those of mini"
    clocks.watch("stem", care.front_end)
    for module in care.front_end.modules():
        if isinstance(module, LogMel):
            clocks.watch("log-mel", module)
    for layer in (*care.common, *care.semantic, *care.acoustic):
        clocks.watch("care", layer)
    assert isinstance(network.text_encoder, TextEncoder)
    for layer in network.text_encoder.layers.layers:
        clocks.watch("text layers", layer)
    for stage in (network.text_context, network.speech_context):
        clocks.watch("stage II", stage)
    clocks.watch("stage III", network.co_attention)


def _detect(detector: VoiceActivityDetector, samples: Samples) -> None:
    for start in range(0, len(samples) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        detector.probability(samples[start : start + FRAME_SAMPLES])


@torch.inference_mode()
def _score(network: EmotionNetwork, window: list[TurnEmbedding]) -> Tensor:
    return network.probabilities(network.collate([window]))


def _event(turn: SpeechTurn, said: str, estimate: EmotionEstimate) -> str:
    latency = Latency(end_of_turn=608, queued=0, recognition=0, encoding=0, context=0, after_end=0)
    return to_json(
        Turn(
            site="default",
            session="benchmark",
            time=datetime.now(UTC),
            turn_id=1,
            start_s=turn.start_s,
            end_s=turn.end_s,
            speaker=SPEAKERS[0],
            text=said,
            text_source="captions",
            emotion=estimate.emotion,
            confidence=estimate.confidence,
            uncertain=estimate.uncertain,
            probabilities=dict(zip(estimate.labels, estimate.probabilities, strict=True)),
            modalities=("speech", "text"),
            why=estimate.why,
            truncated=turn.truncated,
            latency_ms=latency,
        )
    )


BENCHMARK = Benchmark("anatomy", "Where the time of a turn goes", measure)
