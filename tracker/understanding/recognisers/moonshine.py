"""Moonshine tiny: English words with no download, at a cost that follows the length of a turn.

An encoder and a decoder on raw samples (Jeffries et al., arXiv 2410.15608), int8. Where Whisper hears 30 s whatever was
said, Moonshine hears the turn. The package ``moonshine-voice`` carries the weights (MIT).

Notation: S samples, T of the encoder's frames (about 42 a second), D its width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from emotrack.errors import EmotrackError
from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.errors import RecogniserError
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.packaged_weights import packaged_model, packaged_weights
from emotrack.tracker.understanding.recognisers.gates import GateOptions, believed
from emotrack.tracker.understanding.recognisers.transcript import ENGLISH, Transcript

REQUIREMENT: Final = "moonshine-voice==0.0.73"
_ENCODER: Final = (
    REQUIREMENT,
    "assets/tiny-en/encoder_model.ort",
    "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
)
_DECODER: Final = (
    REQUIREMENT,
    "assets/tiny-en/decoder_model_merged.ort",
    "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
)
_TOKENS: Final = (
    REQUIREMENT,
    "assets/tiny-en/tokenizer.bin",
    "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
)
# Of 163 English readings, calls and acted sentences, the 152 above it had .10 of their words wrong, the 11 below .95;
# of 60 Polish sentences it lets 3 pass.
_GATES = GateOptions(min_confidence=0.55)
_BEGIN, _END = 1, 2  # tokens
_TOKENS_PER_S = 6.5  # its authors' bound, against a text that never ends ...
_TOKENS_AT_LEAST = 8  # ... and for a turn of one word
_SHORTEST = SAMPLE_RATE // 2  # it hears no shorter turn, so silence follows one
_HEADS, _HEAD_WIDTH = 8, 36


class Moonshine:
    """Moonshine tiny on ONNX Runtime, greedy."""

    name = "moonshine tiny-en"
    batch_size = 1
    languages: tuple[str, ...] = (ENGLISH,)

    def __init__(self, threads: int) -> None:
        """Load and warm it; raises ``RecogniserError`` where its package is missing."""
        try:
            self._encoder = packaged_model(*_ENCODER, threads=threads)
            self._decoder = packaged_model(*_DECODER, threads=threads)
            self._tokens = _read_tokens(packaged_weights(*_TOKENS))
        except EmotrackError as error:
            raise RecogniserError(str(error)) from error
        self._kept = [given.name for given in self._decoder.get_inputs() if given.name.startswith("past_key_values.")]
        self._made = [made.name.replace("present.", "past_key_values.") for made in self._decoder.get_outputs()][1:]
        self._read(np.zeros(SAMPLE_RATE, dtype=np.float32))

    def transcribe(self, turn: SpeechTurn) -> Transcript:
        """The words of ``turn``; rejected when Moonshine itself is not sure of them."""
        text, confidence = self._read(turn.samples)
        return believed(turn, Transcript(text, "moonshine", None, confidence, ENGLISH), _GATES)

    def transcribe_batch(self, turns: Sequence[SpeechTurn]) -> list[Transcript]:
        """The words of several turns, one after the other."""
        return [self.transcribe(turn) for turn in turns]

    def close(self) -> None:
        """Nothing outlives the object."""

    def _read(self, samples: Samples) -> tuple[str, float]:
        """The words in (S,) samples, and the geometric mean of their tokens' probabilities."""
        most = _TOKENS_AT_LEAST + round(_TOKENS_PER_S * len(samples) / SAMPLE_RATE)
        heard = np.pad(samples, (0, max(0, _SHORTEST - len(samples))))[None]  # (1, S)
        mask = np.ones(heard.shape, dtype=np.int64)  # (1, S)
        (frames,) = self._encoder.run(None, {"input_values": heard, "attention_mask": mask})  # (1, T, D)
        nothing = np.zeros((1, _HEADS, 0, _HEAD_WIDTH), dtype=np.float32)
        # Held by the runtime, so that what the decoder keeps is not copied for every token.
        given = {name: _value(nothing) for name in self._kept}
        given |= {"encoder_hidden_states": _value(frames), "encoder_attention_mask": _value(mask)}
        token, certainty = _BEGIN, 0.0
        found: list[int] = []
        while token != _END and len(found) < most:
            given["input_ids"] = _value(np.array([[token]]))
            given["use_cache_branch"] = _value(np.array([bool(found)]))
            scores, *made = self._decoder.run_with_ort_values(None, given)
            # The keys and values of the frames are made with the first token, and then only handed through.
            given |= {
                name: value for name, value in zip(self._made, made, strict=True) if not found or ".decoder." in name
            }
            token, log_probability = _likeliest(scores.numpy()[0, -1])
            found.append(token)
            certainty += log_probability
        spelled = b"".join(self._tokens[token] for token in found if token > _END)
        text = spelled.decode(errors="ignore").replace("▁", " ").strip()
        return text, math.exp(certainty / len(found))


def _value(array: NDArray[np.generic]) -> onnxruntime.OrtValue:
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _likeliest(scores: NDArray[np.float32]) -> tuple[int, float]:
    """(tokens,) -> the token of the highest score and its log probability."""
    token = int(scores.argmax())
    return token, -math.log(float(np.exp(scores - scores[token]).sum()))


def _read_tokens(table: bytes) -> list[bytes]:
    """The tokens' UTF-8, each after its length: one byte, or two of seven bits with the lower first."""
    tokens, place = [], 0
    while place < len(table):
        length, place = table[place], place + 1
        if length >= 128:
            length, place = length - 128 + 128 * table[place], place + 1
        tokens.append(table[place : place + length])
        place += length
    return tokens
