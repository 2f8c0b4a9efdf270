"""A tape says what one long array would say."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.hearing.audio_buffer import Tape

APPENDED = st.tuples(st.just("append"), st.integers(0, 40_000))
FORGOTTEN = st.tuples(st.just("forget"), st.integers(-100, 60_000))


@given(steps=st.lists(APPENDED | FORGOTTEN, max_size=20), start=st.integers(0, 10**9))
def test_what_is_kept_is_what_was_appended(steps: list[tuple[str, int]], start: int) -> None:
    tape, whole = Tape(), np.zeros(0, dtype=np.float32)
    tape.restart(start)
    kept_from = start
    for step, count in steps:
        if step == "append":
            samples = np.arange(len(whole), len(whole) + count, dtype=np.float32)
            tape.append(samples)
            whole = np.concatenate([whole, samples])
        else:
            tape.forget(kept_from + count)
            kept_from = max(kept_from, min(kept_from + count, start + len(whole)))
        assert (tape.start, tape.end, len(tape)) == (kept_from, start + len(whole), start + len(whole) - kept_from)
        np.testing.assert_array_equal(tape.between(tape.start, tape.end), whole[kept_from - start :])


def test_it_takes_no_more_room_than_twice_what_is_kept() -> None:
    tape = Tape()
    for _ in range(30):
        tape.append(np.ones(SAMPLE_RATE, dtype=np.float32))
    for _ in range(200):
        tape.append(np.ones(SAMPLE_RATE, dtype=np.float32))
        tape.forget(tape.end - SAMPLE_RATE)
    assert len(tape._buffer) <= 4 * SAMPLE_RATE


def test_a_second_is_taken_without_moving_anything() -> None:
    tape = Tape()
    buffer = tape._buffer
    tape.append(np.ones(SAMPLE_RATE, dtype=np.float32))
    assert tape._buffer is buffer, "as much as fits"
    tape.append(np.ones(1, dtype=np.float32))
    assert len(tape._buffer) == 2 * (SAMPLE_RATE + 1), "twice the room that is needed"


def test_what_was_forgotten_makes_room_where_less_than_a_second_is_kept() -> None:
    tape = Tape()
    for _ in range(4):
        tape.append(np.ones(SAMPLE_RATE // 2, dtype=np.float32))
        tape.forget(tape.end - 100)
    assert len(tape._buffer) == max(2 * (100 + SAMPLE_RATE // 2), SAMPLE_RATE)
