"""Voices are printed in pieces, those of a turn under way at once; by the real network where prints matter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.speakers.networks import STEP, PackagedVoicePrints, VoicePrint
from emotrack.tracker.speakers.pieces import (
    PIECE_S,
    RunningPrints,
    TurnPrint,
    VoicePiece,
    print_of,
    print_of_sound,
)
from tests.tracker.kitchen_table import TRUTH, samples

PIECE = round(PIECE_S * SAMPLE_RATE / STEP)  # frames
PRINT = np.array([1.0, 0.0], dtype=np.float32)


def frames(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE / STEP)


def clean(seconds: float) -> NDArray[np.bool_]:
    return np.ones(frames(seconds), dtype=bool)


@dataclass
class Printer:
    """Makes prints, and knows of how much each is."""

    prints: Callable[[int], VoicePrint | None] = lambda _frames: PRINT
    made: list[int] = field(default_factory=list)

    async def __call__(self, sound: Samples, clean: NDArray[np.bool_]) -> VoicePrint | None:
        assert abs(len(sound) - len(clean) * STEP) <= STEP
        self.made.append(int(clean.sum()))
        return self.prints(len(clean))


def silence(start: int, end: int) -> Samples:
    return np.zeros(end - start, dtype=np.float32)


def said(turn: int) -> Samples:
    mono = samples().mean(axis=1)
    return mono[slice(*(round(TRUTH[turn][key] * SAMPLE_RATE) for key in ("start", "end")))]


@pytest.mark.parametrize(
    ("seconds", "pieces"),
    [
        (0.2, []),
        (0.5, [0.5]),
        (1.2, [1.2]),
        (2.0, [1.25, 0.75]),
        (1.7, [1.25, 0.45]),
        (2.8, [1.25, 1.25]),  # what is left would tell little
        (3.3, [1.25, 1.25, 0.8]),
        (30.0, [1.25] * 4),
    ],
)
def test_a_voice_is_cut_into_pieces(seconds: float, pieces: list[float]) -> None:
    found = RunningPrints(Printer()).pieces(7, clean(seconds))
    assert [len(piece.clean) * STEP / SAMPLE_RATE for piece in found] == pytest.approx(pieces, abs=0.04)
    assert [piece.first for piece in found] == [7 + place * (PIECE + 1) for place in range(len(found))]


def test_a_piece_has_so_much_of_the_voice_alone_however_long_it_takes() -> None:
    alone = clean(5.0)
    alone[frames(0.5) : frames(3.0)] = False
    (first, _) = RunningPrints(Printer()).pieces(0, alone)
    assert first.clean.sum() * STEP / SAMPLE_RATE == pytest.approx(PIECE_S, abs=0.02)
    assert first.last == pytest.approx(frames(2.5 + PIECE_S), abs=2)


def test_nothing_is_printed_twice_while_a_turn_goes_on_and_little_is_left_at_its_end() -> None:
    async def run() -> TurnPrint | None:
        running = RunningPrints(printer)
        for seconds in (1.0, 2.0, 3.0, 3.4):
            begin = 3 if seconds > 2.0 else 0  # a later window of segmentation moves the border a little
            running.begin(100 + begin, clean(seconds)[begin:], 100 + frames(seconds), silence)
        await asyncio.sleep(0)
        assert printer.made == [PIECE + 1, PIECE + 1]
        pieces = running.pieces(100, clean(3.4))
        return await print_of(pieces, 100, silence(0, round(3.4 * SAMPLE_RATE)), printer)

    printer = Printer()
    assert asyncio.run(run()) is not None
    assert printer.made[2:] == [pytest.approx(frames(0.9), abs=2)]


def test_what_was_heard_last_is_not_printed_yet() -> None:
    async def run() -> None:
        running = RunningPrints(printer)
        running.begin(0, clean(PIECE_S + 0.1), frames(PIECE_S + 0.1), silence)
        await asyncio.sleep(0)

    printer = Printer()
    asyncio.run(run())
    assert printer.made == []


def test_another_voice_at_the_same_time_has_its_own_prints() -> None:
    async def run() -> None:
        running = RunningPrints(printer)
        other = clean(4.0)
        other[: frames(1.0)] = False
        for voice in (clean(1.6), other):
            running.begin(0, voice, frames(4.0), silence)
        await asyncio.sleep(0)

    printer = Printer()
    asyncio.run(run())
    assert len(printer.made) == 3


def test_a_print_that_fails_is_told_to_who_asks_for_it() -> None:
    async def fail(_sound: Samples, _clean: NDArray[np.bool_]) -> VoicePrint | None:
        raise RuntimeError("no memory")

    async def run() -> None:
        running = RunningPrints(fail)
        running.begin(0, clean(2.0), frames(2.0), silence)
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="no memory"):
            await print_of(running.pieces(0, clean(2.0)), 0, silence(0, 2 * SAMPLE_RATE), fail)

    asyncio.run(run())


def test_two_voices_in_one_turn_have_unlike_halves() -> None:
    embed = PackagedVoicePrints()

    async def print_voice(sound: Samples, clean: NDArray[np.bool_]) -> VoicePrint | None:
        return embed(sound, clean)

    def of(sound: Samples) -> TurnPrint:
        found = asyncio.run(print_of_sound(sound, np.ones(len(sound) // STEP, dtype=bool), print_voice))
        assert found is not None
        return found

    ana, ben = said(0)[: round(2.5 * SAMPLE_RATE)], said(1)[: round(2.5 * SAMPLE_RATE)]
    both = of(np.concatenate([ana, ben]))
    assert both.alike < min(of(ana).alike, of(ben).alike) - 0.1
    assert np.linalg.norm(both.mean) < min(np.linalg.norm(of(ana).mean), np.linalg.norm(of(ben).mean)) < 1.0
    assert of(ana[: 2 * SAMPLE_RATE]).alike == 1.0, "too short to be halved"


def test_a_print_is_known_once_it_is_made_and_can_be_waited_for() -> None:
    async def run() -> None:
        go_on = asyncio.Event()

        async def slow(_sound: Samples, _clean: NDArray[np.bool_]) -> VoicePrint | None:
            await go_on.wait()
            return PRINT

        running = RunningPrints(slow)
        running.begin(0, clean(2.0), frames(3.0), silence)
        begun, rest = running.pieces(0, clean(2.0))
        assert begun.known is None
        await asyncio.wait_for(running.wait(0), 5.0)  # for nothing that was said later
        go_on.set()
        await asyncio.wait_for(running.wait(frames(2.0)), 5.0)
        assert begun.known is PRINT
        assert rest.known is None, "which nobody began"

    asyncio.run(run())


@pytest.mark.parametrize("went_wrong", [RuntimeError("no memory"), asyncio.CancelledError()])
def test_what_went_wrong_is_no_print(went_wrong: BaseException) -> None:
    async def run() -> None:
        made: asyncio.Future[VoicePrint | None] = asyncio.get_running_loop().create_future()
        if isinstance(went_wrong, asyncio.CancelledError):
            made.cancel()
        else:
            made.set_exception(went_wrong)
        assert VoicePiece(0, clean(1.25), made).known is None

    asyncio.run(run())


def test_midway_between_two_pieces_is_in_the_pause_between_them() -> None:
    one = VoicePiece(100, np.array([1] * 50 + [0] * 4, dtype=bool))  # speaks until the frame 150
    other = VoicePiece(154, np.array([0] * 6 + [1] * 50, dtype=bool))  # speaks from the frame 160 on
    assert one.midway_to(other) == 155
