"""A call over a real sound server: the others come out of the loudspeakers into the microphone."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest

from emotrack.tracker.audio import SAMPLE_RATE
from tests.tracker.command_line.test_main import events, start
from tests.tracker.kitchen_table import TRUTH, samples
from tests.tracker.sources.rooms import echo_of
from tests.tracker.sources.test_file import write_wave
from tests.tracker.virtual_microphone import CALL, VirtualMicrophone


@pytest.mark.long
def test_nobody_in_a_call_is_heard_twice(virtual_microphone: VirtualMicrophone, tmp_path: Path) -> None:
    both = samples()[: round(26.5 * SAMPLE_RATE)]  # seven lines
    others, you = both[:, :1], both[:, 1:] + echo_of(both[:, 0], 1, 0.15, 0.2, 6.0)[:, None]
    paths = [
        write_wave(tmp_path / f"{n}.wav", np.repeat(s, 2, axis=1), SAMPLE_RATE, 2) for n, s in enumerate((others, you))
    ]
    with start("live", "--mic", "desk", "--system", "headset", "--asr", "none", "--json") as process:
        assert process.stdout
        process.stdout.readline()  # session_started
        time.sleep(1.0)
        players = [virtual_microphone.play(paths[0], CALL), virtual_microphone.play(paths[1])]
        for player in players:
            player.wait(timeout=40)
        time.sleep(2.0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert "leaked" not in err
    turns = {event["turn_id"]: event for event in events(out) if event["type"] == "turn"}.values()  # as last revised
    begins = next(turn["start_s"] for turn in turns) - TRUTH[0]["start"]
    yours = [turn["start_s"] - begins for turn in turns if turn["speaker"] == "you"]
    assert yours == pytest.approx([line["start"] for line in TRUTH[1:7:2]], abs=0.6)
    middles = [(turn["start_s"] + turn["end_s"]) / 2 - begins for turn in turns if turn["speaker"] != "you"]
    for line in TRUTH[0:7:2]:  # an excited voice may be taken for two
        assert 1 <= sum(line["start"] < middle < line["end"] for middle in middles) <= 2
    assert len(turns) <= 9
