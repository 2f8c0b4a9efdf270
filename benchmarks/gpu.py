"""The network on a graphics card: the full-size stages, embeddings a second, and how many rooms it holds.

Only where there is a CUDA device. Every stage of the recipe ``merits-l`` at its true size, on synthetic data; ``mini``
as it ships, and RoBERTa-large with a CARE of WavLM-base's size and random weights, which costs what a trained one does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks import encoders
from benchmarks.figures import Benchmark, Figure, Found, Note, Settings, UnavailableError, percentile
from benchmarks.rooms import LATE_MS, hold
from emotrack.models.bundle import load_bundle
from emotrack.models.config import NetworkConfig, SpeechHeadConfig
from emotrack.models.hub_encoders import HubTextConfig
from emotrack.models.network import EmotionNetwork
from emotrack.models.published_care import PublishedCareConfig
from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.understanding.engine import Engine

ROOMS = (50, 100, 200, 400, 800)
BATCHES = (1, 8, 32)
SECONDS = 3.0  # of an utterance


def measure(settings: Settings) -> Found:
    """Yield the share of the card's peak, embeddings a second and rooms held."""
    if not torch.cuda.is_available():
        raise UnavailableError("no CUDA device")
    device = torch.device("cuda")
    peak = encoders.bf16_peak(device)
    yield Note(f"{torch.cuda.get_device_name()}, {peak:.0f} TFLOP/s of bf16 matrix products measured.")
    for stage in encoders.STAGES:
        figures = encoders.measure(stage, device, stage[1], 5 if settings.quick else 20, peak)
        yield Figure(stage[0], "full size", "samples/s", (figures.samples_per_s,))
        if figures.share_of_peak is not None:
            yield Figure(f"{stage[0]}, of peak", "full size", "%", (100 * figures.share_of_peak,))
    mini = load_bundle("mini", "cuda")
    for name, network in (("mini", mini), ("full size", full_size(mini).to(device))):
        yield from _embeddings(name, network, settings)
        yield from _rooms(name, network, settings)


def full_size(mini: EmotionNetwork) -> EmotionNetwork:
    """The published sizes with random weights; it reads word pieces as ``mini`` does."""
    config = NetworkConfig(
        name="full-size",
        text=HubTextConfig(encoders.roberta_large(), "random"),
        speech=PublishedCareConfig(),
        speech_head=SpeechHeadConfig(hidden=768, embedding=1_024),
        conversation=encoders.PUBLISHED,
    )
    return EmotionNetwork(config, mini.tokenizer).eval()


def _embeddings(name: str, network: EmotionNetwork, settings: Settings) -> Found:
    voice = np.random.default_rng(0).normal(0.0, 0.1, round(SECONDS * SAMPLE_RATE)).astype(np.float32)  # (samples,)
    words = ("it is good to see you again today", ("where have you been", "we were waiting"))
    for batch in BATCHES:
        for _ in range(5 if settings.quick else 20):
            kinds: dict[str, Callable[[], object]] = {
                "voices": lambda: network.embed_speech_batch([voice] * batch),  # noqa: B023
                "words": lambda: network.embed_text_batch([words] * batch),  # noqa: B023
            }
            for kind, embed in kinds.items():
                began = time.perf_counter()
                embed()
                torch.cuda.synchronize()
                taken = time.perf_counter() - began
                yield Figure(f"{kind}, {batch} together", name, "embeddings/s", (batch / taken,))


def _rooms(name: str, network: EmotionNetwork, settings: Settings) -> Found:
    engine = Engine(network, None)
    try:
        for count in ROOMS[:1] if settings.quick else ROOMS:
            held = asyncio.run(hold(engine, count, 8.0 if settings.quick else 20.0))
            yield Figure(f"{count} rooms", name, "ms", tuple(held.late_ms))
            if percentile(held.late_ms, 95) > LATE_MS:
                return
            yield Figure("rooms held", name, "rooms", (float(count),))
    finally:
        engine.close()


BENCHMARK = Benchmark("gpu", "On a graphics card", measure)
