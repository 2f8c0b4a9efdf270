"""One channel's ear: audio in, finished turns with their samples out, and a look at the one under way.

Holds the detector, the segmenter and just enough audio for the turn under way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

import numpy as np

from emotrack.tracker.audio import FRAME_SAMPLES, SAMPLE_RATE, Samples, level_dbfs
from emotrack.tracker.hearing.audio_buffer import Tape
from emotrack.tracker.hearing.segmenter import Segmenter, SegmenterOptions, SpeechEnded
from emotrack.tracker.hearing.silence import SoundHeard
from emotrack.tracker.hearing.vad import VoiceActivityDetector

MAX_BRIDGED_GAP_S = 1.0  # lost audio up to this long is heard as silence; more of it ends the turn
_RESET_AFTER_NON_SPEECH_S = 30.0  # the detector's state drifts on long silence
_INAUDIBLE_DB = 6.0  # so much below the least level of a turn, no turn begins, whatever the detector would say
_SETTLED_S = 1.0  # of that, after which the detector has nothing more to learn from it


@dataclass(frozen=True, slots=True)
class SpeechTurn:
    """One stretch of speech on one channel."""

    channel: int
    start: int
    end: int
    speech_end: int
    decided: int
    """Stream index at which it was known that the turn had ended."""
    samples: Samples
    """(samples,) from ``start`` to ``end``, 16 kHz."""
    speech_probability: float
    speech_s: float
    """Of the turn; less than it lasts."""
    truncated: bool
    """Cut at the longest length, or while somebody spoke, or part of its audio was lost."""

    @property
    def start_s(self) -> float:
        return self.start / SAMPLE_RATE

    @property
    def end_s(self) -> float:
        return self.end / SAMPLE_RATE

    def divide(self, borders: list[int]) -> list[SpeechTurn]:
        """This turn cut at each stream index in ``borders``, which must increase and lie inside it."""
        edges = [self.start, *borders, self.end]
        return [
            replace(
                self,
                start=start,
                end=end,
                speech_end=min(self.speech_end, end),
                speech_s=min(self.speech_s, (end - start) / SAMPLE_RATE),
                samples=self.samples[start - self.start : end - self.start],
            )
            for start, end in pairwise(edges)
        ]


class Listener:
    """Cuts one channel into turns."""

    def __init__(self, channel: int, options: SegmenterOptions, remembers: int = 0) -> None:
        """``remembers``: samples of the past that ``between`` can still be asked for."""
        self._channel = channel
        self.detector = VoiceActivityDetector()
        self._segmenter = Segmenter(options)
        self._onset = options.onset
        self._frames = self._speech_frames = 0  # that were judged, and of these what sounded like speech
        self._loudest_dbfs = -120.0
        self._inaudible_dbfs = options.min_level_dbfs - _INAUDIBLE_DB
        self._last_audible = 0
        self._keep = round(options.pre_roll_s * SAMPLE_RATE) + FRAME_SAMPLES
        self._remembers = remembers
        self._audio = Tape()
        self._next_frame = 0  # stream index of the first sample not yet judged
        self._last_speech = 0
        self.level_dbfs = level_dbfs(np.empty(0, dtype=np.float32))
        """Of the latest frame."""
        self._ends_at: int | None = None  # where a sentence of the turn under way has ended
        self._lost_at: int | None = None  # where audio went missing, while a turn may still contain it
        self.pending: SpeechTurn | None = None
        """The turn under way as it will have been unless speech goes on; None while that cannot be told."""

    @property
    def speaking(self) -> bool:
        """Whether a turn may be under way."""
        return self._segmenter.turn_start is not None

    @property
    def speech_s(self) -> float:
        """Speech heard so far in what may be a turn."""
        return self._segmenter.speech_s

    @property
    def heard(self) -> SoundHeard:
        """What there was to hear so far."""
        frame_s = FRAME_SAMPLES / SAMPLE_RATE
        return SoundHeard(self._frames * frame_s, self._loudest_dbfs, self._speech_frames * frame_s)

    @property
    def turn_start(self) -> int | None:
        """First sample of the turn that may be under way."""
        return self._segmenter.turn_start

    @property
    def heard_until(self) -> int:
        """Stream index of the first sample that was not yet judged."""
        return self._next_frame

    @property
    def remembers_from(self) -> int:
        """Stream index of the oldest sample that is kept."""
        return self._audio.start

    def between(self, start: int, end: int) -> Samples:
        """What was heard from ``start`` to ``end``, (end - start,); it must be kept and judged."""
        return self._audio.between(start, end).copy()

    def split(self, end: int, goes_on_from: int) -> list[SpeechTurn]:
        """End the turn under way at the sample ``end``; what goes on began at ``goes_on_from``, which may be before."""
        decision = self._segmenter.split(end, goes_on_from)
        self.pending = None
        return [self._take(decision)] if isinstance(decision, SpeechEnded) else []

    def finish(self, pending: SpeechTurn) -> None:
        """The words of the ``pending`` turn are a finished sentence: unless more follows, the turn ends soon."""
        self._segmenter.finish(pending.speech_end)

    def end_at(self, end: int) -> None:
        """End what was said up to the sample ``end`` of the turn under way; the same person goes on."""
        self._ends_at = end

    def latest(self, longest_s: float) -> SpeechTurn | None:
        """The last ``longest_s`` of the turn under way, or all of it if it is shorter; None while there is none."""
        heard = self._segmenter.so_far
        if heard is None:
            return None
        return self._turn(replace(heard, start=max(heard.start, heard.end - round(longest_s * SAMPLE_RATE))))

    @property
    def patience(self) -> float:
        """Turns end only after so many times the usual silence; 1 is the usual."""
        return self._segmenter.patience

    @patience.setter
    def patience(self, patience: float) -> None:
        self._segmenter.patience = patience

    def push(self, samples: Samples, start: int) -> list[SpeechTurn]:
        """Take ``samples``, (samples,) from stream index ``start`` on; return the turns that ended in them."""

        async def judge(frame: Samples) -> float:
            return self.detector.probability(frame)

        try:
            self.hear(samples, start, judge).send(None)  # which never waits, so it ends at once
        except StopIteration as heard:
            return cast("list[SpeechTurn]", heard.value)
        raise AssertionError("it waited")

    async def hear(
        self, samples: Samples, start: int, judge: Callable[[Samples], Awaitable[float]]
    ) -> list[SpeechTurn]:
        """As ``push``, with each frame's probability of speech from ``judge``, which may ask ``detector`` elsewhere."""
        turns = self._end_sentence()
        heard = self._audio.end
        gap = start - heard
        if gap > MAX_BRIDGED_GAP_S * SAMPLE_RATE:
            self._lost_at = heard or None
            turns += self.flush()
            self._segmenter.resume(start)
            self._audio.restart(start)
            self._next_frame = start
        elif gap > 0:
            self._lost_at = heard or None  # what begins late has lost nothing
            self._audio.append(np.zeros(gap, dtype=np.float32))
        self._audio.append(samples)

        while self._audio.end - self._next_frame >= FRAME_SAMPLES:
            frame = self._audio.between(self._next_frame, self._next_frame + FRAME_SAMPLES)
            self.level_dbfs = level_dbfs(frame)
            probability = 0.0 if self._is_silence(self.level_dbfs) else await judge(frame)
            turns += self._judge(probability, self.level_dbfs)
        self._look_ahead()
        self._forget()
        return turns

    def flush(self, *, breaks_off: bool = False) -> list[SpeechTurn]:
        """End the turn under way, if any: the stream stopped here.

        With ``breaks_off`` more of it would have come: a turn that is in no pause lost its rest.
        """
        is_cut = breaks_off and self.pending is None
        decision = self._segmenter.flush()
        self.detector.reset()
        self.pending = None
        if not isinstance(decision, SpeechEnded):
            return []
        turn = self._take(decision)
        return [replace(turn, truncated=True) if is_cut else turn]

    def _end_sentence(self) -> list[SpeechTurn]:
        end, start, self._ends_at = self._ends_at, self.turn_start, None
        return self.split(end, end) if end is not None and start is not None and start < end else []

    def _judge(self, probability: float, level: float) -> list[SpeechTurn]:
        self._frames += 1
        self._speech_frames += probability >= self._onset
        self._loudest_dbfs = max(self._loudest_dbfs, level)
        was_speaking = self.speaking
        decision = self._segmenter.push(self._next_frame, probability, level)
        self._next_frame += FRAME_SAMPLES
        if self.speaking:
            self._last_speech = self._next_frame
        elif was_speaking or self._next_frame - self._last_speech >= _RESET_AFTER_NON_SPEECH_S * SAMPLE_RATE:
            self.detector.reset()
            self._last_speech = self._next_frame
        return [self._take(decision)] if isinstance(decision, SpeechEnded) else []

    def _is_silence(self, level: float) -> bool:
        """Whether the next frame need not be judged, as most frames of a room at night need not."""
        if self.speaking or level >= self._inaudible_dbfs:
            self._last_audible = self._next_frame
        return self._next_frame - self._last_audible >= _SETTLED_S * SAMPLE_RATE

    def _look_ahead(self) -> None:
        ended = self._segmenter.would_end
        if ended is None:
            self.pending = None
        elif self.pending is None or (self.pending.start, self.pending.end) != (ended.start, ended.end):
            self.pending = self._turn(ended)

    def _take(self, ended: SpeechEnded) -> SpeechTurn:
        turn = self._turn(ended)
        self._lost_at = None
        return turn

    def _turn(self, ended: SpeechEnded) -> SpeechTurn:
        lost = self._lost_at is not None and self._lost_at >= ended.start
        return SpeechTurn(
            channel=self._channel,
            start=ended.start,
            end=ended.end,
            speech_end=ended.speech_end,
            decided=self._next_frame,
            samples=self._audio.between(ended.start, ended.end).copy(),
            speech_probability=ended.speech_probability,
            speech_s=ended.speech_s,
            truncated=ended.cut or lost,
        )

    def _forget(self) -> None:
        """Drop the audio that no turn can need any more."""
        turn_start = self._segmenter.turn_start
        needed = self._next_frame - self._keep if turn_start is None else min(turn_start, self._next_frame)
        self._audio.forget(min(needed, self._next_frame - self._remembers))
