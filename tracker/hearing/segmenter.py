"""Cutting a stream of speech probabilities into turns.

A pure state machine: one frame's probability and level in, at most one decision out. It holds no audio and reads no
clock; positions are samples on the stream clock.

    waiting --onset--> heard --min speech--> speaking --end silence--> Ended (sooner after a finished sentence)
       ^                 |                      |--- longest turn ---> Ended (cut), and on it goes
       +--- end silence--+ (too short or too quiet to be a turn: nothing was said)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from emotrack.models.bounds import FRAME_SAMPLES, MAX_SPEECH_S, MIN_SPEECH_S, SAMPLE_RATE
from emotrack.tracker.options import Bounds, option, out_of_bounds

_FRAME_S = FRAME_SAMPLES / SAMPLE_RATE
_PAUSE_S = 0.15  # silence after which a turn may well be over; shorter ones lie within words


_PROBABILITY = Bounds(0.01, 1.0)
_SILENCE = Bounds(_FRAME_S, 10.0)


@dataclass(frozen=True, slots=True)
class SegmenterOptions:
    """The bounds of a turn. Names ending in ``_s`` are seconds; they are rounded to frames of 32 ms.

    Whatever they are, the network takes every turn that comes of them.

    Raises:
        ValueError: a number is out of its bounds, or two do not go together.
    """

    onset: float = option(0.5, _PROBABILITY, "speech probability at which a turn may begin")
    offset: float = option(0.35, _PROBABILITY, "speech probability below which a frame counts as silence within a turn")
    min_speech_s: float = option(
        0.2, Bounds(MIN_SPEECH_S, 10.0), 'less speech than this in all is no turn; short enough to keep "yes" and "ok"'
    )
    min_level_dbfs: float = option(
        -60.0, Bounds(-120.0, 0.0), "speech quieter than this on average is no turn: another room, a hum"
    )
    end_silence_s: float = option(0.6, _SILENCE, "silence that ends a turn")
    finished_silence_s: float = option(
        0.3, _SILENCE, "silence that ends a turn after a finished sentence, where its words are recognised so soon"
    )
    long_turn_s: float = option(
        10.0,
        Bounds(0.0, MAX_SPEECH_S),
        "a longer turn ends at --long-turn-silence: brisk exchanges have no longer pauses",
    )
    long_turn_silence_s: float = option(0.2, _SILENCE, "silence that ends a long turn")
    pre_roll_s: float = option(0.3, Bounds(0.0, 10.0), "audio kept from before the onset, which is detected late")
    trailing_s: float = option(
        0.15, Bounds(0.0, 10.0), "silence kept after the last speech; more of it makes recognisers invent words"
    )
    max_turn_s: float = option(
        25.0, Bounds(0.5, MAX_SPEECH_S), "a longer turn is cut; recognisers lose themselves beyond this"
    )
    cut_window_s: float = option(
        2.0, Bounds(_FRAME_S, 10.0), "that cut is made at the least speech-like frame of this last stretch"
    )

    @property
    def pause_s(self) -> float:
        """Silence after which a turn may well be over."""
        return max(self.trailing_s, _PAUSE_S)

    def __post_init__(self) -> None:
        if complaint := next(out_of_bounds(self), None):
            raise ValueError(complaint)
        if self.offset > self.onset:
            raise ValueError("onset and offset must satisfy offset <= onset")
        if self.long_turn_silence_s > self.end_silence_s:
            raise ValueError("long_turn_silence_s must not exceed end_silence_s")
        if self.trailing_s > self.end_silence_s:
            raise ValueError("trailing_s must not exceed end_silence_s")
        if self.max_turn_s < self.pre_roll_s + self.min_speech_s + self.end_silence_s + self.cut_window_s:
            raise ValueError("max_turn_s must be at least pre_roll_s + min_speech_s + end_silence_s + cut_window_s")


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Enough speech was heard for this to be a turn, unless it proves too quiet."""

    start: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """A turn lies between the samples ``start`` and ``end``."""

    start: int
    end: int
    speech_end: int
    """Sample after the last speech; ``end`` adds the trailing silence."""
    speech_probability: float
    """Mean over the frames that counted as speech."""
    speech_s: float
    """How long these are in all."""
    cut: bool
    """True when the turn reached the longest length and goes on in the next one."""


@dataclass(frozen=True, slots=True)
class SpeechDiscarded:
    """What had begun as a turn was too quiet; it is forgotten."""


Decision = SpeechStarted | SpeechEnded | SpeechDiscarded


@dataclass(frozen=True, slots=True)
class _Frame:
    start: int  # stream index of its first sample
    probability: float
    power: float  # mean square, full scale = 1

    @property
    def end(self) -> int:
        return self.start + FRAME_SAMPLES


class _Turn:
    """The frames since an onset, and what they amount to."""

    def __init__(self, start: int, offset: float) -> None:
        self.start = start
        self.speech_end = start
        self.speech_frames = 0
        self.frames: list[_Frame] = []  # bounded by max_turn_s
        self._offset = offset
        self._probability_sum = 0.0
        self._power_sum = 0.0

    def add(self, frame: _Frame) -> None:
        self.frames.append(frame)
        if frame.probability >= self._offset:
            self.speech_end = frame.end
            self.speech_frames += 1
            self._probability_sum += frame.probability
            self._power_sum += frame.power

    @property
    def end(self) -> int:
        return self.frames[-1].end

    @property
    def speech_s(self) -> float:
        return self.speech_frames * _FRAME_S

    @property
    def speech_probability(self) -> float:
        return self._probability_sum / self.speech_frames

    @property
    def speech_level_dbfs(self) -> float:
        return 10.0 * math.log10(self._power_sum / self.speech_frames + 1e-12)


class Segmenter:
    """Decides where the turns of one channel begin and end."""

    def __init__(self, options: SegmenterOptions | None = None) -> None:
        self.options = options or SegmenterOptions()
        self.patience = 1.0
        """How many times the silence that the options name it takes to end a turn; may change at any time."""
        self._trailing = round(self.options.trailing_s * SAMPLE_RATE)
        self._pause = round(self.options.pause_s * SAMPLE_RATE)
        self._turn: _Turn | None = None
        self._announced = False
        self._finished_at: int | None = None  # sample after what is known to be a finished sentence
        self._previous_end = 0  # no turn reaches back into the one before

    @property
    def turn_start(self) -> int | None:
        """First sample of the turn that may be under way, its pre-roll included; None when there is none."""
        return self._turn.start if self._turn else None

    @property
    def speech_s(self) -> float:
        """Speech heard so far in what may be a turn."""
        return self._turn.speech_s if self._turn else 0.0

    @property
    def so_far(self) -> SpeechEnded | None:
        """The turn under way as it would be if the stream stopped here; None while what was heard is no turn."""
        turn = self._turn
        if turn is None or not self._is_speech(turn):
            return None
        return self._ended(turn, min(turn.speech_end + self._trailing, turn.end), cut=False)

    @property
    def would_end(self) -> SpeechEnded | None:
        """The turn under way as it will have been unless speech goes on; None while nobody seems to have finished."""
        turn = self._turn
        if turn is None or turn.end - turn.speech_end < self._pause:
            return None
        return self.so_far

    def push(self, start: int, probability: float, level_dbfs: float) -> Decision | None:
        """Take the frame whose first sample is ``start``; frames come in order and do not overlap."""
        options = self.options
        if self._turn is None:
            if probability < options.onset:
                return None
            pre_roll = round(options.pre_roll_s * SAMPLE_RATE)
            self._turn = _Turn(max(start - pre_roll, self._previous_end, 0), options.offset)
        turn = self._turn
        turn.add(_Frame(start, probability, 10.0 ** (level_dbfs / 10.0)))
        is_long = turn.speech_end - turn.start > options.long_turn_s * SAMPLE_RATE
        patience_s = options.long_turn_silence_s if is_long else options.end_silence_s
        if turn.speech_end == self._finished_at:
            patience_s = min(patience_s, options.finished_silence_s)
        if turn.end - turn.speech_end >= self.patience * patience_s * SAMPLE_RATE:
            return self._end(turn)
        if turn.end + FRAME_SAMPLES - turn.start > options.max_turn_s * SAMPLE_RATE:
            return self._cut(turn)
        if not self._announced and turn.speech_s >= options.min_speech_s:
            self._announced = True
            return SpeechStarted(turn.start)
        return None

    def finish(self, speech_end: int) -> None:
        """What was said up to the sample ``speech_end`` is a finished sentence: unless more follows, it ends soon."""
        self._finished_at = speech_end

    def flush(self) -> SpeechEnded | SpeechDiscarded | None:
        """End the turn under way, if any: the stream stopped here."""
        return self._end(self._turn) if self._turn else None

    def split(self, end: int, goes_on_from: int) -> SpeechEnded | SpeechDiscarded | None:
        """End the turn under way at the sample ``end``: somebody else has taken over, who began at ``goes_on_from``.

        Where both speak, the frames belong to both turns.
        """
        turn = self._turn
        if turn is None:
            return None
        ended = self._of_frames(turn.start, [frame for frame in turn.frames if frame.start < end])
        rest = [frame for frame in turn.frames if frame.end > goes_on_from]
        self._turn = self._of_frames(max(turn.start, goes_on_from), rest) if rest else None
        found = self._judge(ended, end=min(end, ended.end), cut=False) if ended.speech_frames else None
        self._announced = self._turn is not None and self._turn.speech_s >= self.options.min_speech_s
        return found

    def resume(self, start: int) -> None:
        """The stream goes on at ``start``, after ``flush``; no turn reaches back beyond it."""
        self._previous_end = start

    def _end(self, turn: _Turn) -> SpeechEnded | SpeechDiscarded | None:
        self._turn = None
        return self._judge(turn, end=min(turn.speech_end + self._trailing, turn.end), cut=False)

    def _cut(self, turn: _Turn) -> SpeechEnded | SpeechDiscarded | None:
        """End the turn where it sounds least like speech lately; what follows begins the next one."""
        window = max(1, round(self.options.cut_window_s / _FRAME_S))
        quietest = min(
            range(max(0, len(turn.frames) - window), len(turn.frames)), key=lambda i: turn.frames[i].probability
        )
        first_part, rest = turn.frames[: quietest + 1], turn.frames[quietest + 1 :]

        ended = self._of_frames(turn.start, first_part)
        self._turn = None
        if any(frame.probability >= self.options.offset for frame in rest):
            self._turn = self._of_frames(ended.end, rest)
        return self._judge(ended, end=ended.end, cut=True)

    def _of_frames(self, start: int, frames: list[_Frame]) -> _Turn:
        turn = _Turn(start, self.options.offset)
        for frame in frames:
            turn.add(frame)
        return turn

    def _judge(self, turn: _Turn, end: int, cut: bool) -> SpeechEnded | SpeechDiscarded | None:
        announced, self._announced = self._announced, False
        if not self._is_speech(turn):
            return SpeechDiscarded() if announced else None
        self._previous_end = end
        return self._ended(turn, end, cut)

    def _is_speech(self, turn: _Turn) -> bool:
        """Whether there is enough of it, and loud enough."""
        return turn.speech_s >= self.options.min_speech_s and turn.speech_level_dbfs >= self.options.min_level_dbfs

    @staticmethod
    def _ended(turn: _Turn, end: int, cut: bool) -> SpeechEnded:
        return SpeechEnded(turn.start, end, min(turn.speech_end, end), turn.speech_probability, turn.speech_s, cut)
