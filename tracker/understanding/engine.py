"""The loaded models at work, each in one thread of its own; any number of conversations share them.

Every conversation asks for one turn at a time, and each model serves those first that have waited longest: nobody waits
for more than one turn of every other conversation. What need not be done at once asks ``is_busy`` first.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from emotrack.models.context import EmotionEstimate, Revision, RollingContext
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.network import EmotionNetwork
from emotrack.models.scorer import ConversationScorer
from emotrack.models.text_encoder import MAX_EARLIER_TOKENS
from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.hearing.listener import Listener, SpeechTurn
from emotrack.tracker.hearing.vad import Detecting
from emotrack.tracker.messages.notices import lasting
from emotrack.tracker.speakers.networks import SpeakerNetworks, VoicePrint
from emotrack.tracker.understanding.batching import Batcher, BatchLimits
from emotrack.tracker.understanding.overload import Lateness, LeftOut, Overload
from emotrack.tracker.understanding.recognisers import Recogniser, Transcript

_log = logging.getLogger(__name__)

SKIPPED: Final = "skipped_to_catch_up"  # why a turn has no words that was not recognised for lack of time

# What pays on one core: ms a turn of `mini` alone, by 2, by 4 and by 8.
#     voices of about 1.2 s   11.8   7.5   5.4   5.5     words: 8 a turn    9.7  7.9  6.8  6.4
#     voices of about 3.5 s   19.0  14.0  13.2  11.7            30 a turn   26   24   23   23
#     voices of about 6 s     26.2  23.8  28.8  20.2     (words: another processor, of neighbouring lengths)
# Of voices of unlike lengths, 1.5 to 5 s, two together take 14.7 (alone 24.9), four 15.8 (18.1), eight 15.7 (19.4).
_CPU_SPEECH: Final = BatchLimits(requests=8, padded=20.0, alike=0.4)  # seconds
_CPU_TEXT: Final = BatchLimits(requests=8, padded=1000.0, alike=0.75)  # characters
# A GPU is idle with a single turn, and pads to few shapes anyway. Never measured.
_GPU_SPEECH: Final = BatchLimits(requests=32, padded=240.0, alike=0.5)
_GPU_TEXT: Final = BatchLimits(requests=64, padded=32_000.0, alike=0.0)
_CONTEXT: Final = BatchLimits(requests=8, padded=math.inf, alike=0.0)
_MAX_EARLIER_CHARACTERS: Final = 4 * MAX_EARLIER_TOKENS  # of a turn before: a token has about four

_SO_FAR_SHARE: Final = 0.2  # of the time is spent on turns under way at most, however many rooms talk


class Engine:
    """The network, the recogniser and their threads. Close it when no conversation uses it any more."""

    def __init__(
        self,
        network: EmotionNetwork,
        recogniser: Recogniser | None,
        speaker_networks: SpeakerNetworks | None = None,
    ) -> None:
        """Without ``speaker_networks`` voices are not told apart."""
        self.network = network
        self.scorer = ConversationScorer(network)
        self.recogniser = recogniser
        self.speaker_networks = speaker_networks
        speech, text = (_GPU_SPEECH, _GPU_TEXT) if network.device.type == "cuda" else (_CPU_SPEECH, _CPU_TEXT)
        self._detecting = Detecting()
        self._recognising = Batcher[SpeechTurn, Transcript]("recogniser", self._transcribe)
        self._encoding_speech = Batcher("speech", network.embed_speech_batch, _seconds, speech)
        self._encoding_text = Batcher("text", network.embed_text_batch, self._characters, text)
        self._relating = Batcher("context", self.scorer.update_batch, limits=_CONTEXT)
        self._estimating_so_far = Batcher("provisional", self.scorer.estimate_next)
        self._segmenting = Batcher[Samples, NDArray[np.bool_]]("segmentation", self._segment)
        self._printing = Batcher[tuple[Samples, NDArray[np.bool_]], VoicePrint | None]("voice prints", self._print)
        self._models = (
            self._segmenting,
            self._printing,
            self._recognising,
            self._encoding_speech,
            self._encoding_text,
            self._relating,
            self._estimating_so_far,
        )
        self.overload = Overload(self._lateness)
        self._none_so_far_before = 0.0  # seconds, time.perf_counter

    @property
    def is_busy(self) -> bool:
        """Whether what is asked for now may have to wait for another turn, or had better not be asked for at all."""
        return self.overload.level >= LeftOut.EXTRAS or self._recognising.is_busy or self._encoding_speech.is_busy

    @property
    def is_idle(self) -> bool:
        """Whether nothing at all is under way, so that what is asked for now delays nobody."""
        if self.overload.level >= LeftOut.EXTRAS or time.perf_counter() < self._none_so_far_before:
            return False
        return not any(model.is_busy for model in self._models)

    @property
    def recognition_s(self) -> float:
        """What the recogniser takes for a turn at present, in seconds; 0 before the first, and without a recogniser."""
        return self._recognising.takes_s

    @property
    def waiting(self) -> dict[str, int]:
        """How many turns of all conversations wait for each model."""
        return {
            "recognition": self._recognising.waiting,
            "encoding": self._encoding_speech.waiting + self._encoding_text.waiting,
            "context": self._relating.waiting,
        }

    async def listen(self, listener: Listener, samples: Samples, start: int) -> list[SpeechTurn]:
        """As ``listener.push(samples, start)``, its frames judged together with those of other listeners."""
        return await listener.hear(samples, start, partial(self._detecting.probability, listener.detector))

    async def segment(self, samples: Samples) -> NDArray[np.bool_]:
        """When each voice of a window is active; needs ``speaker_networks``. See ``Segmentation``."""
        return await self._segmenting.ask(samples)

    async def print_voice(self, samples: Samples, clean: NDArray[np.bool_]) -> VoicePrint | None:
        """The print of a voice, of those frames that are clean; needs ``speaker_networks``. See ``VoicePrints``.

        None, too, where the network fails: a turn can be scored without its speaker.
        """
        try:
            return await self._printing.ask((samples, clean))
        except Exception as error:  # noqa: BLE001  # ONNX Runtime has a class of its own for each kind of failure
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            _log.warning("a voice print failed, speakers are told without it: %s", reason, extra=lasting("voice print"))
            return None

    async def recognise(self, turn: SpeechTurn) -> Transcript:
        """The words of ``turn``; none without a recogniser, or when words are left out before it was begun.

        Raises what the recogniser's own engine raises.
        """
        if self.recogniser is None:
            return Transcript(None, None)
        return await self._recognising.ask(turn)

    async def embed_text(self, text: str, before: Sequence[str | None]) -> Tensor:
        """The words of a turn, read with those of the turns before it, oldest first."""
        return await self._encoding_text.ask((text, before))

    async def embed_speech(self, samples: Samples) -> Tensor:
        """The voice in ``samples``, (samples,) at 16 kHz."""
        return await self._encoding_speech.ask(samples)

    async def update(self, context: RollingContext, turn: TurnEmbedding) -> tuple[EmotionEstimate, list[Revision]]:
        """Score the newest turn and remember it in ``context``, which nothing else may touch meanwhile."""
        return await self._relating.ask((context, turn))

    async def estimate_so_far(self, context: RollingContext, samples: Samples, speaker: str | None) -> EmotionEstimate:
        """How a turn under way sounds in a ``context``, by its latest ``samples``; to ask if ``is_idle``."""
        began = time.perf_counter()
        try:
            return await self.estimate(context, TurnEmbedding(await self.embed_speech(samples), None, speaker))
        finally:
            taken_s = time.perf_counter() - began
            self._none_so_far_before = began + taken_s / _SO_FAR_SHARE

    async def estimate(self, context: RollingContext, turn: TurnEmbedding) -> EmotionEstimate:
        """How a ``turn`` sounds in a ``context``, which is not to change meanwhile and remembers nothing of it."""
        return await self._estimating_so_far.ask((context, turn))

    def close(self) -> None:
        """End the threads, and the recogniser with them."""
        for model in self._models:
            model.close()
        if self.recogniser is not None:
            self.recogniser.close()

    def _transcribe(self, turns: Sequence[SpeechTurn]) -> list[Transcript]:
        """In the recogniser's thread."""
        if self.recogniser is None or self.overload.level >= LeftOut.WORDS:  # since it began to wait
            return [Transcript(None, None, rejected=SKIPPED) for _ in turns]
        return [self.recogniser.transcribe(turn) for turn in turns]

    def _segment(self, windows: Sequence[Samples]) -> list[NDArray[np.bool_]]:
        assert self.speaker_networks is not None  # noqa: S101
        return [self.speaker_networks.segmentation(window) for window in windows]

    def _print(self, voices: Sequence[tuple[Samples, NDArray[np.bool_]]]) -> list[VoicePrint | None]:
        assert self.speaker_networks is not None  # noqa: S101
        return [self.speaker_networks.prints(samples, clean) for samples, clean in voices]

    def _characters(self, words: tuple[str, Sequence[str | None]]) -> float:
        """About how much the text encoder reads of a turn's words and of those before."""
        text, before = words
        earlier = [said for said in before if said is not None][::-1][: self.network.config.text.turns_before]
        return float(len(text) + sum(min(len(said), _MAX_EARLIER_CHARACTERS) for said in earlier))

    def _lateness(self) -> Lateness:
        encoding = (self._encoding_speech, self._encoding_text, self._relating, self._segmenting)
        return Lateness(max(model.late_s for model in encoding), self._recognising.late_s)


def _seconds(samples: Samples) -> float:
    return len(samples) / SAMPLE_RATE
