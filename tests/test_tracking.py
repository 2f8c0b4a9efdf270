"""emotrack for Python programs: what is public, and that a program's own process stays as it is."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import emotrack
from emotrack.models.hub import HubError
from emotrack.train.errors import TrainError
from tests.tracker.kitchen_table import samples
from tests.tracker.mqtt.microphones import wav

EXAMPLES = Path(__file__).parents[1] / "examples"
AUDIO, CAPTIONS = EXAMPLES / "kitchen-table.flac", EXAMPLES / "kitchen-table.vtt"
TRUTH = json.loads(AUDIO.with_suffix(".json").read_text())["turns"]


@pytest.fixture(scope="module")
def stereo() -> NDArray[np.float32]:
    """(samples, 2) at 16 kHz."""
    return samples()


async def events_of(source: Any, **options: Any) -> list[emotrack.Event]:
    """Voices are not told apart, which would be half of the work."""
    async with emotrack.Tracker(recogniser="none", speakers=None) as tracker:
        return [event async for event in tracker.track(source, **options)]


def run(source: Any, **options: Any) -> list[emotrack.Event]:
    return asyncio.run(events_of(source, **options))


def turns_of(events: list[emotrack.Event]) -> list[emotrack.Turn]:
    return list({event.turn_id: event for event in events if isinstance(event, emotrack.Turn)}.values())


def test_every_public_name_is_there_and_imports_no_model_library() -> None:
    assert all(getattr(emotrack, name) is not None for name in emotrack.__all__)
    assert emotrack.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'Trakcer'"):
        _ = emotrack.Trakcer
    program = "import sys, emotrack; print({'torch', 'numpy', 'pydantic', 'onnxruntime'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "set()"


def test_errors_are_one_tree() -> None:
    for error in (
        *(emotrack.UsageError, emotrack.SourceError, emotrack.CaptionsError, emotrack.RecogniserError),
        *(emotrack.BundleError, emotrack.SinkError, HubError, TrainError),
    ):
        assert issubclass(error, emotrack.EmotrackError)


def test_turns_of_a_recording_each_once_as_known_at_last() -> None:
    found = list(emotrack.turns(AUDIO, captions=CAPTIONS, recogniser="none"))
    assert [turn.text for turn in found] == [turn["text"] for turn in TRUTH]
    assert [turn.turn_id for turn in found] == list(range(1, len(TRUTH) + 1))
    events = run(emotrack.File(AUDIO), captions=CAPTIONS)
    assert isinstance(events[0], emotrack.SessionStarted)
    assert isinstance(events[-1], emotrack.SessionEnded)
    assert [(turn.emotion, turn.revision) for turn in turns_of(events)] == [(t.emotion, t.revision) for t in found]


@pytest.mark.parametrize(
    ("rate", "kind", "channels"), [(16_000, np.float32, 2), (16_000, np.int16, 1), (48_000, np.float32, 2)]
)
def test_blocks_are_heard_as_the_recording_is(
    stereo: NDArray[np.float32], rate: int, kind: type[np.float32 | np.int16], channels: int
) -> None:
    audio = np.repeat(stereo, rate // 16_000, axis=0) if rate > 16_000 else stereo
    if channels == 1:
        audio = audio.mean(axis=1)
    blocks = (audio * 32767).astype(np.int16) if kind is np.int16 else audio.astype(np.float32)

    async def stream() -> AsyncIterator[NDArray[Any]]:
        for at in range(0, len(blocks), 7_001):  # of no round length
            yield blocks[at : at + 7_001]

    turns = turns_of(run(emotrack.Blocks(stream(), rate=rate)))
    assert len(turns) == len(TRUTH)
    for turn, true in zip(turns, TRUTH, strict=True):
        assert abs(turn.start_s - true["start"]) < 0.6


def test_channels_that_are_split_are_speakers(stereo: NDArray[np.float32]) -> None:
    turns = turns_of(run(emotrack.Blocks([stereo], rate=16_000, channels="split")))
    assert {turn.speaker for turn in turns} == {"channel 1", "channel 2"}


@pytest.mark.parametrize(
    ("block", "says"),
    [
        (np.zeros(100, np.float64), "float64; blocks are NumPy arrays of float32 or int16"),
        ([0.0], "list; blocks are NumPy arrays"),
        (np.zeros((100, 2, 2), np.float32), r"the shape \(100, 2, 2\)"),
        (np.zeros((100, 2), np.float32), "2 channels of float32; the first had 1 channels of float32"),
        (np.zeros(100, np.int16), "int16; the first had 1 channels of float32"),
    ],
)
def test_a_block_that_is_none_is_one_clear_line_after_what_came_before(block: Any, says: str) -> None:
    async def track() -> list[emotrack.Event]:
        events: list[emotrack.Event] = []
        async with emotrack.Tracker(recogniser="none") as tracker:
            conversation = aiter(tracker.track(emotrack.Blocks([np.zeros(16_000, np.float32), block], rate=16_000)))
            events += [await anext(conversation), await anext(conversation)]
            with pytest.raises(emotrack.SourceError, match=says):
                await anext(conversation)
        return events

    events = asyncio.run(track())
    assert [event.type for event in events] == ["session_started", "session_ended"]
    assert isinstance(events[-1], emotrack.SessionEnded)
    assert events[-1].reason == "failure"
    assert events[-1].seconds == 1.0


@pytest.mark.parametrize("rate", [0, 999, 10**9, 16_000.5, True, "16000", float("nan")])
def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    with pytest.raises(emotrack.SourceError, match="whole number of 1000 to 768000 Hz"):
        emotrack.Blocks([], rate=rate)


def test_leaving_the_loop_ends_the_session_in_order(stereo: NDArray[np.float32], tmp_path: Path) -> None:
    saved = tmp_path / "talk.jsonl"
    closed = False

    async def stream() -> AsyncIterator[NDArray[np.float32]]:
        nonlocal closed
        try:
            while True:
                yield stereo
        finally:
            closed = True

    async def track() -> None:
        async with emotrack.Tracker(recogniser="none", speakers=None) as tracker:
            async for event in tracker.track(emotrack.Blocks(stream(), rate=16_000), save=saved):
                if isinstance(event, emotrack.Turn):
                    break

    asyncio.run(track())
    assert closed
    assert json.loads(saved.read_text().splitlines()[-1])["type"] == "session_ended"


def test_a_slow_reader_holds_the_blocks_back(stereo: NDArray[np.float32]) -> None:
    given = 0

    def stream() -> Any:
        nonlocal given
        for _ in range(100):
            given += 1
            yield stereo[:160_000]

    async def track() -> None:
        async with emotrack.Tracker(recogniser="none", speakers=None) as tracker:
            async for event in tracker.track(emotrack.Blocks(stream(), rate=16_000)):
                if isinstance(event, emotrack.Turn):
                    before = given
                    await asyncio.sleep(1.0)  # the reader is busy
                    assert given - before < 50
                    break

    asyncio.run(track())


def test_several_conversations_share_a_tracker(stereo: NDArray[np.float32]) -> None:
    async def track() -> list[list[emotrack.Event]]:
        async with emotrack.Tracker(recogniser="none", speakers=None) as tracker:

            async def one() -> list[emotrack.Event]:
                return [event async for event in tracker.track(emotrack.Blocks([stereo], rate=16_000))]

            return list(await asyncio.gather(one(), one()))

    first, second = asyncio.run(track())
    assert len(turns_of(first)) == len(turns_of(second)) == len(TRUTH)
    assert first[0].session != second[0].session


def test_controls_become_events() -> None:
    async def track() -> list[emotrack.Event]:
        events = []
        async with emotrack.Tracker(recogniser="none") as tracker:
            conversation = tracker.track(emotrack.File(AUDIO), captions=CAPTIONS)
            with pytest.raises(emotrack.UsageError, match="has not begun"):
                conversation.mark()
            async for event in conversation:
                events.append(event)
                if isinstance(event, emotrack.Turn) and event.turn_id == 1 and not event.revision:
                    conversation.mark()
                    conversation.correct(1, "joy")
                    conversation.rename(event.speaker or "", "Cleo")
                    with pytest.raises(emotrack.UsageError, match="no turn 99"):
                        conversation.correct(99, "joy")
                    with pytest.raises(emotrack.UsageError, match="no speaker Dan"):
                        conversation.rename("Dan", "Ana")
                    conversation.stop()
            with pytest.raises(emotrack.UsageError, match="once"):
                aiter(conversation)
        return events

    events = asyncio.run(track())
    assert {event.type for event in events} >= {"mark", "correction", "session_ended"}
    (renamed,) = [event for event in events if isinstance(event, emotrack.SpeakerRenamed)]
    assert (renamed.speaker, renamed.name) == ("Ana", "Cleo")
    assert next(turn for turn in turns_of(events) if turn.turn_id == 1).speaker == "Cleo"
    ended = events[-1]
    assert isinstance(ended, emotrack.SessionEnded)
    assert "Ana" not in ended.speakers


@pytest.mark.parametrize("speakers", [0, -1, 33, True, "two", 2.5, float("nan")])
def test_a_number_of_speakers_that_is_none_is_refused(speakers: Any) -> None:
    with pytest.raises(emotrack.UsageError, match="speakers is"):
        emotrack.Tracker(speakers=speakers)


def test_a_single_known_name_is_no_list() -> None:
    with pytest.raises(emotrack.UsageError, match="known is a single name"):
        emotrack.Tracker(known="Roger")


def test_what_cannot_be_is_an_error_of_the_tree(tmp_path: Path) -> None:
    with pytest.raises(emotrack.UsageError, match="inside its block"):
        emotrack.Tracker().track(emotrack.Blocks([], rate=16_000))
    with pytest.raises(emotrack.SourceError):
        list(emotrack.turns(tmp_path / "nothing.wav", recogniser="none"))
    with pytest.raises(emotrack.BundleError):
        asyncio.run(events_of_bundle(tmp_path))
    with pytest.raises(emotrack.SourceError, match="contains no samples"):
        run(emotrack.Blocks([], rate=16_000))


async def events_of_bundle(folder: Path) -> None:
    async with emotrack.Tracker(folder / "no-bundle", recogniser="none"):
        raise AssertionError("it was entered")


def test_the_process_stays_as_it_is_and_nothing_is_printed(
    stereo: NDArray[np.float32], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    import torch

    def state() -> tuple[Any, ...]:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        return (gc.isenabled(), gc.get_freeze_count(), torch.get_num_threads(), *handlers)

    before = state()
    with caplog.at_level(logging.INFO, logger="emotrack"):
        run(emotrack.Blocks([np.zeros((16_000, 2), np.float32)], rate=16_000))
    assert state() == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("script", "lines"), [("track_file.py", 3), ("track_stream.py", len(TRUTH))])
def test_the_examples_run(script: str, lines: int, stereo: NDArray[np.float32], tmp_path: Path) -> None:
    """The one that takes a recording hears the first three lines."""
    excerpt = tmp_path / "excerpt.wav"
    excerpt.write_bytes(wav(stereo[: round(11.2 * 16_000)]))
    arguments = [excerpt, CAPTIONS] if script == "track_file.py" else []
    command: list[str | Path] = [sys.executable, EXAMPLES / script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) >= lines
