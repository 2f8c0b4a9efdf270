"""When audio messages arrive against when they were due: lost, repeated or merely late?

MQTT keeps the order of one sender's messages, but those of QoS 0 may be lost, and Hermes numbers nothing. What is
known is how much audio has come and how much time has passed. A sender that stalls and then catches up sends a burst
and has lost nothing; one that was away comes back behind the clock for good. Raw audio may say in the user property
``sample`` which sample of the stream it begins with; then gaps, repetitions and changes of order are exact.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LATE_S: Final = 0.25  # behind the clock by less than this is nothing but jitter
DRIFT: Final = 0.001  # how much slower than our clock a sender's may run, seconds per second
PACE_S: Final = 10.0  # over which it is measured how quickly audio comes
DOUBLED: Final = 1.6  # times as fast as it is spoken, for longer than what was late takes to arrive
_REMEMBERED: Final = 8  # messages in which a repetition is looked for


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message's audio as the clock sees it."""

    at_s: float | None
    """When it arrived: monotonic, seconds; None when only our own delay is known, not its."""
    seconds: float
    """How long the audio is."""
    digest: int
    """Of the payload: the same for the same bytes."""


class ArrivalClock:
    """How far the audio of one site is behind the time that has passed.

    The anchor is the earliest arrival, which had the least delay; it follows a slow sender's clock by ``DRIFT``.
    """

    def __init__(self) -> None:
        self._due_s: float | None = None  # when the next message is due, had each come as early as the earliest
        self._recent: deque[int] = deque(maxlen=_REMEMBERED)

    def is_repeated(self, arrival: Arrival) -> bool:
        """Whether the same bytes came a moment ago, and more audio with them than time has passed.

        Silence may well repeat itself; only what comes too soon is a repetition.
        """
        repeated = arrival.digest in self._recent and self._due_s is not None and self.behind_s(arrival) < 0
        if not repeated:
            self._recent.append(arrival.digest)
        return repeated

    def behind_s(self, arrival: Arrival) -> float:
        """How much later than due it is: seconds, negative when early. What came at an unknown time is in time."""
        return 0.0 if self._due_s is None or arrival.at_s is None else arrival.at_s - self._due_s

    def behind_at_least_s(self, arrivals: Iterable[Arrival]) -> float:
        """How far the least late of consecutive ``arrivals`` is behind, if none is lost before or between them."""
        heard_s = 0.0
        least_s = float("inf")
        for arrival in arrivals:
            if arrival.at_s is not None:
                least_s = min(least_s, self.behind_s(arrival) - heard_s)
            heard_s += arrival.seconds
        return least_s

    def take(self, arrival: Arrival) -> None:
        """Count its audio."""
        behind_s = self.behind_s(arrival)
        if self._due_s is None or behind_s < 0:
            self._due_s = arrival.at_s
        else:
            self._due_s += min(behind_s, DRIFT * arrival.seconds)
        if self._due_s is not None:
            self._due_s += arrival.seconds

    def skip(self, seconds: float) -> None:
        """Count audio that is lost."""
        if self._due_s is not None:
            self._due_s += seconds


class Pace:
    """How quickly the audio of one site comes: that of two microphones comes twice as fast as it is spoken.

    What had only been late comes in a burst as well; so two stretches of ``PACE_S`` on end must be as quick.
    """

    def __init__(self) -> None:
        self.of_two = 0.0
        """Seconds of audio that come in a second, in the slower of the latest two stretches."""
        self._latest = 0.0
        self._began_s: float | None = None
        self._heard_s = 0.0

    @property
    def is_doubled(self) -> bool:
        return self.of_two >= DOUBLED

    def take(self, seconds: float, now_s: float) -> None:
        """Count a message of ``seconds`` of audio that is here at ``now_s`` (monotonic)."""
        if self._began_s is None:
            self._began_s = now_s
        elif (passed_s := now_s - self._began_s) >= PACE_S:
            latest = self._heard_s / passed_s
            self.of_two, self._latest = min(latest, self._latest), latest
            self._began_s, self._heard_s = now_s, 0.0
        self._heard_s += seconds
