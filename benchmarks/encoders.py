"""How fast the full-size recipe runs on a machine: every stage with random weights, synthetic audio and text.

    python benchmarks/encoders.py [--device cpu|cuda] [--batch N] [--repeats N] [--json FILE]

Prints samples a second, milliseconds a step and peak memory; on a CUDA device also the share of the bf16 peak, which is
measured there first with a large matrix product. Steps marked "train" go forwards and backwards and move the weights;
operations are counted by torch, which knows nothing of GRUs, so the share of stages II and III is too low. Batches are
the recipe's on CUDA and small elsewhere. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from emotrack.models.bounds import SAMPLE_RATE
from emotrack.models.care import SpeechFeatures
from emotrack.models.co_attention import CoAttention
from emotrack.models.context_network import ContextConfig, ContextNetwork
from emotrack.models.conversation import TurnEmbedding, collate
from emotrack.models.heads import SpeechHead
from emotrack.models.hub_encoders import HubTextConfig, HubTextEncoder
from emotrack.models.published_care import PublishedCare, PublishedCareConfig
from emotrack.train.pretraining.encoders.care import CareDistillation
from emotrack.train.pretraining.encoders.descriptors import NAMES, Descriptors, at_rate

LABELS, TOKENS, TURNS = 7, 40, 32
CROP = 5 * SAMPLE_RATE  # samples
PUBLISHED = ContextConfig(hidden=512, layers=3, blocks=4, speakers=False, residual=False)
MATRIX = 8_192  # side of the product that measures the peak


@dataclass(frozen=True)
class Figures:
    """What one stage costs."""

    parameters: int
    batch: int
    step_ms: float  # median
    samples_per_s: float
    tflops: float  # a second
    peak_gb: float  # of the device; of the whole process so far on a CPU
    share_of_peak: float | None


Stage = tuple[str, int, Callable[[torch.device, int], tuple[nn.Module, Callable[[], Tensor]]], bool]


def roberta_large() -> dict[str, Any]:
    """Its dimensions, as the hub has them."""
    from transformers import RobertaConfig  # after emotrack, which has told it to report nothing

    config = RobertaConfig(
        vocab_size=50_265,
        hidden_size=1_024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4_096,
        max_position_embeddings=514,
        type_vocab_size=1,
    )
    dimensions: dict[str, Any] = config.to_dict()
    return dimensions


def text(device: torch.device, batch: int) -> tuple[nn.Module, Callable[[], Tensor]]:
    encoder = HubTextEncoder(HubTextConfig(roberta_large(), "random")).to(device)
    ids = torch.randint(5, 50_000, (batch, TOKENS), device=device)
    padding = torch.zeros_like(ids, dtype=torch.bool)
    own = torch.full((batch,), TOKENS, device=device)
    return encoder, lambda: encoder(ids, padding, own).square().mean()


def _care(device: torch.device, batch: int) -> tuple[PublishedCare, Tensor, Tensor]:
    care = PublishedCare(PublishedCareConfig()).to(device)
    return care, torch.randn(batch, CROP, device=device), torch.full((batch,), CROP, device=device)


def care_training(device: torch.device, batch: int) -> tuple[nn.Module, Callable[[], Tensor]]:
    care, crops, lengths = _care(device, batch)
    model = CareDistillation(care, care.frame_width, len(NAMES)).to(device)
    describe = Descriptors().to(device)

    def loss() -> Tensor:
        meant, heard, _ = model(crops, lengths)
        sounds = torch.stack([at_rate(each, heard.shape[1]) for each in describe(crops)])
        missed: Tensor = meant.square().mean() + nn.functional.mse_loss(heard, sounds)
        return missed

    return model, loss


def care_features(device: torch.device, batch: int) -> tuple[nn.Module, Callable[[], Tensor]]:
    care, crops, lengths = _care(device, batch)

    def hear() -> Tensor:
        features: SpeechFeatures = care(crops, lengths)
        return features.layers

    return care.eval(), hear


def speech_head(device: torch.device, batch: int) -> tuple[nn.Module, Callable[[], Tensor]]:
    head = SpeechHead(13, 1_536, 768, LABELS, hidden=768, embedding=1_024).to(device)
    features = SpeechFeatures(torch.randn(batch, 13, 1_536, device=device), torch.randn(batch, 768, device=device))
    return head, lambda: head(head.embed(features)).square().mean()


def context(device: torch.device, batch: int) -> tuple[nn.Module, Callable[[], Tensor]]:
    network, head = ContextNetwork(1_024, LABELS, PUBLISHED).to(device), nn.Linear(1_024, LABELS).to(device)
    turns = collate([[TurnEmbedding(None, torch.randn(1_024), None)] * TURNS] * batch, 1_024, 1_024, device)

    def loss() -> Tensor:
        states = network(turns.text, turns.text_missing, turns.lengths, turns.relation)  # (B, K, D)
        scores = network.scores(states, head, turns.text, turns.text_missing)  # (B, K, C)
        return scores.square().mean()

    return network, loss


def fusion(device: torch.device, batch: int) -> tuple[nn.Module, Callable[[], Tensor]]:
    network = CoAttention(1_024, LABELS, PUBLISHED).to(device)
    words, voice = torch.randn(2, batch, TURNS, 1_024, device=device)
    present = torch.zeros(batch, TURNS, dtype=torch.bool, device=device)
    return network, lambda: network(words, voice, present, present).square().mean()


STAGES: tuple[Stage, ...] = (  # name, the recipe's batch, what to run, whether it trains
    ("text pre-training and Stage I: RoBERTa-large, train", 32, text, True),
    ("CARE: its own training, 5-s crops", 128, care_training, True),
    ("CARE: features of 5-s utterances", 32, care_features, False),
    ("Stage I speech: head on features, train", 32, speech_head, True),
    ("Stage II: Bi-GRU and attention, dialogues of 32, train", 8, context, True),
    ("Stage III: co-attention, dialogues of 32, train", 8, fusion, True),
)


def measure(stage: Stage, device: torch.device, batch: int, repeats: int, peak: float | None) -> Figures:
    """Run a stage a few times. ``peak`` is in TFLOP/s."""
    _, _, make, trains = stage
    model, forward = make(device, batch)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad] if trains else []
    optimiser = torch.optim.AdamW(trained, lr=1e-6, fused=device.type == "cuda") if trains else None

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            if optimiser is None:
                with torch.inference_mode():
                    forward()
                return
            loss = forward()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    with FlopCounterMode(display=False) as counter:
        step()
    step()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    median = statistics.median(_timed(step, device, repeats))
    tflops = counter.get_total_flops() / median / 1e12
    return Figures(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        batch=batch,
        step_ms=1e3 * median,
        samples_per_s=batch / median,
        tflops=tflops,
        peak_gb=_peak_gb(device),
        share_of_peak=tflops / peak if peak else None,
    )


def bf16_peak(device: torch.device) -> float:
    """TFLOP/s of a large bf16 matrix product."""
    left, right = torch.randn(2, MATRIX, MATRIX, device=device, dtype=torch.bfloat16)
    times = list(_timed(lambda: left @ right, device, 20))
    return 2 * MATRIX**3 / statistics.median(times[5:]) / 1e12


def _timed(step: Callable[[], object], device: torch.device, repeats: int) -> Iterator[float]:
    for _ in range(repeats):
        began = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        yield time.perf_counter() - began


def _peak_gb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, help="samples a step, for all stages")
    parser.add_argument("--repeats", type=int, help="timed steps a stage")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures")
    arguments = parser.parse_args()

    device = torch.device(arguments.device)
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name() if cuda else f"{torch.get_num_threads()} CPU thread(s), float32"
    peak = bf16_peak(device) if cuda else None
    print(name + (f", {peak:.0f} TFLOP/s in bf16 measured" if peak else ""))
    print(f"{'':56} {'batch':>6} {'ms/step':>9} {'samples/s':>10} {'TFLOP/s':>8} {'peak GB':>8} {'of peak':>8}")
    results = {}
    for stage in STAGES:
        batch = arguments.batch or (stage[1] if cuda else 2)
        figures = measure(stage, device, batch, arguments.repeats or (20 if cuda else 3), peak)
        share = "" if figures.share_of_peak is None else f"{figures.share_of_peak:8.1%}"
        print(
            f"{stage[0]:56} {batch:6} {figures.step_ms:9.1f} {figures.samples_per_s:10.1f} {figures.tflops:8.2f}"
            f" {figures.peak_gb:8.2f} {share:>8}",
            flush=True,
        )
        results[stage[0]] = asdict(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps({"device": name, "bf16_tflops": peak, "stages": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
