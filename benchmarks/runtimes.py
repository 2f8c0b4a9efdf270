"""What might run the encoders of ``mini``: as they are, in full width by oneDNN and by torch's own layers, compiled, by
ONNX Runtime, and by that in quarter width.

One turn at a time, one thread, processor time; each turn has a length of its own, as turns have, and torch pads it to
one of few as the network does, so that whatever a runtime prepares for a length is paid for. ONNX Runtime needs the
packages onnx and onnxscript, which nothing else here does, and is left out without them.
"""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.figures import Benchmark, Figure, Found, Note, Settings
from benchmarks.speech import turns, words
from emotrack.models.bounds import MAX_SPEECH_S
from emotrack.models.bundle import load_bundle
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.front_end import padding_mask
from emotrack.models.network import EmotionNetwork
from emotrack.models.shapes import with_few_lengths
from emotrack.models.text_encoder import read_turn
from emotrack.models.transformer import TransformerLayer

SECONDS = (1, 3, 8, 20)
TOKENS = (10, 40, 120)
FRAMES_PER_S = 100
LONGEST = int(MAX_SPEECH_S * FRAMES_PER_S)  # frames

Encode = Callable[[Tensor], Tensor]
Runtime = tuple[Encode, Encode]  # (1, T, M) log-mel frames -> (1, E) and (1, N) ids -> (1, E)


def measure(settings: Settings) -> Found:
    """Yield what an encoder takes, ms, what it takes to be ready, s, and by how much probabilities differ."""
    torch.set_num_threads(1)
    network = load_bundle("mini")
    runtimes: dict[str, Runtime] = {}
    for name, make in _makers(settings).items():
        began = time.process_time()
        runtimes[name] = make(network)
        with torch.inference_mode():
            for encode, inputs in zip(runtimes[name], (_voice(network, 3.0), _ids(40)), strict=True):
                encode(inputs)
        yield Figure("ready, from loaded weights", name, "s", (time.process_time() - began,))
    rng = np.random.default_rng(0)
    for _ in range(3 if settings.quick else 20):
        longer = rng.uniform(0.9, 1.1)
        kinds = [(f"voice of about {seconds} s", 0, _voice(network, longer * seconds)) for seconds in SECONDS]
        most = network.config.text.max_tokens
        kinds += [(f"words, about {tokens} tokens", 1, _ids(min(round(longer * tokens), most))) for tokens in TOKENS]
        for row, which, inputs in kinds:
            for name, runtime in runtimes.items():
                yield Figure(row, name, "ms", (_ms(runtime[which], inputs),))
    plain = _probabilities(network, runtimes["torch's layers"])
    for name, runtime in runtimes.items():
        difference = float((_probabilities(network, runtime) - plain).abs().max())
        yield Figure("largest difference of a probability", name, "points", (100 * difference,))
    if not _has_onnx():
        yield Note("ONNX Runtime was left out: onnx and onnxscript, which export to it, are not installed.")


def _makers(settings: Settings) -> dict[str, Callable[[EmotionNetwork], Runtime]]:
    makers: dict[str, Callable[[EmotionNetwork], Runtime]] = {
        "as it is": _as_it_is,
        "oneDNN, full width": _by_one_dnn,
        "torch's layers": _plain,
    }
    if not settings.quick:
        makers["torch.compile"] = _compiled
        if _has_onnx():
            makers["ONNX Runtime"] = lambda network: _onnx(network, settings.workspace, int8=False)
            makers["ONNX Runtime int8"] = lambda network: _onnx(network, settings.workspace, int8=True)
    return makers


class Voice(nn.Module):
    """Log-mel frames -> the Stage-I embedding."""

    def __init__(self, network: EmotionNetwork) -> None:
        super().__init__()
        self.encoder, self.head = network.speech_encoder, network.speech_head

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, M), (B,) -> (B, E)."""
        embedding: Tensor = self.head.embed(self.encoder(frames, lengths))
        return embedding


def _as_it_is(_: EmotionNetwork) -> Runtime:
    """With matrices in half width, where the processor has that."""
    network = load_bundle("mini")
    network.store_in_half()
    return _by_one_dnn(network)


def _by_one_dnn(network: EmotionNetwork) -> Runtime:
    voice = Voice(network)

    def hear(frames: Tensor) -> Tensor:
        heard: Tensor = voice(with_few_lengths(frames, LONGEST), torch.tensor([frames.shape[1]]))
        return heard

    def read(ids: Tensor) -> Tensor:
        own = torch.tensor([ids.shape[1]])  # (1,)
        padded = with_few_lengths(ids, network.config.text.max_tokens)  # (1, N')
        embedding: Tensor = network.text_encoder(padded, padding_mask(own, padded.shape[1]), own)
        return embedding

    return hear, read


def _by_torch(encode: Encode) -> Encode:
    """With the layers that torch has."""

    def run(inputs: Tensor) -> Tensor:
        with mock.patch.object(TransformerLayer, "_is_for_one_dnn", return_value=False):
            return encode(inputs)

    return run


def _plain(network: EmotionNetwork) -> Runtime:
    voice, words_ = _by_one_dnn(network)
    return _by_torch(voice), _by_torch(words_)


def _compiled(network: EmotionNetwork) -> Runtime:
    voice = torch.compile(Voice(network), dynamic=True)
    encoder = torch.compile(network.text_encoder, dynamic=True)
    return (
        _by_torch(lambda frames: voice(frames, torch.tensor([frames.shape[1]]))),
        _by_torch(
            lambda ids: encoder(ids, torch.zeros_like(ids, dtype=torch.bool), torch.tensor([ids.shape[1]])),
        ),
    )


def _has_onnx() -> bool:
    return all(importlib.util.find_spec(package) for package in ("onnx", "onnxscript"))


def _onnx(network: EmotionNetwork, folder: Path, *, int8: bool) -> Runtime:
    import onnx
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    rows, places = torch.export.Dim.DYNAMIC, torch.export.Dim.DYNAMIC
    examples = {
        "voice": (
            Voice(network),
            (torch.randn(2, 313, 80), torch.tensor([313, 200])),
            ({0: rows, 1: places}, {0: rows}),
        ),
        "words": (
            network.text_encoder,
            (torch.randint(5, 1000, (2, 37)), torch.zeros(2, 37, dtype=torch.bool), torch.tensor([30, 20])),
            ({0: rows, 1: places}, {0: rows, 1: places}, {0: rows}),
        ),
    }
    sessions = []
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    for name, (module, inputs, shapes) in examples.items():
        path = folder / f"{name}.onnx"
        if not path.is_file():
            with warnings.catch_warnings(), mock.patch.object(TransformerLayer, "_is_for_one_dnn", return_value=False):
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    module.eval(),
                    inputs,
                    str(path),
                    dynamo=True,
                    dynamic_shapes=shapes,
                    external_data=False,
                    verbose=False,
                )
        if int8:
            graph = onnx.load(path)
            del graph.graph.value_info[:]  # some of the exporter's shapes contradict those that quantising infers
            path = folder / f"{name}-int8.onnx"
            quantize_dynamic(graph, path, weight_type=QuantType.QInt8)
        sessions.append(onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]))

    def run(session: onnxruntime.InferenceSession, *inputs: Tensor) -> Tensor:
        names = [each.name for each in session.get_inputs()]
        given = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, given)[0])

    voice, text = sessions
    return (
        lambda frames: run(voice, frames, torch.tensor([frames.shape[1]])),
        lambda ids: run(text, ids, torch.zeros_like(ids, dtype=torch.bool), torch.tensor([ids.shape[1]])),
    )


def _voice(network: EmotionNetwork, seconds: float) -> Tensor:
    """(1, T, M) of the bundled speech."""
    speech = np.concatenate([turn.samples for turn in turns()])
    frames = network.speech_encoder.prepare(torch.from_numpy(speech))[: round(seconds * FRAMES_PER_S)]  # (T, M)
    return frames.unsqueeze(0)


def _ids(count: int) -> Tensor:
    """(1, N) some word pieces."""
    return torch.randint(1_000, 15_000, (1, count), generator=torch.Generator().manual_seed(count))


@torch.inference_mode()
def _ms(encode: Encode, inputs: Tensor) -> float:
    began = time.thread_time()
    encode(inputs)
    return 1000 * (time.thread_time() - began)


@torch.inference_mode()
def _probabilities(network: EmotionNetwork, runtime: Runtime) -> Tensor:
    """(K, C) of the bundled conversation."""
    voice, text = runtime
    embedded = []
    for place, (turn, said) in enumerate(zip(turns(), words(), strict=True)):
        tokens, _ = read_turn(network.tokenizer, said, words()[:place][-2:], network.config.text)
        frames = network.speech_encoder.prepare(torch.from_numpy(turn.samples)).unsqueeze(0)  # (1, T, M)
        read = text(torch.tensor([tokens]))[0]  # (E,)
        read = nn.functional.pad(read, (0, network.text_width - len(read)))  # (E',) a second opinion is on words alone
        embedded.append(TurnEmbedding(voice(frames)[0].clone(), read, None))
    return network.probabilities(network.collate([embedded]))[0]


BENCHMARK = Benchmark("runtimes", "What might run the encoders", measure)
