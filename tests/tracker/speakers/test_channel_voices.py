"""The voices on one channel, with the real networks, on the bundled conversation as one microphone hears it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from emotrack.tracker.audio import FRAME_SAMPLES, SAMPLE_RATE, Samples
from emotrack.tracker.hearing.listener import Listener
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.speakers.channel_voices import ChannelVoices, VoicedTurn
from emotrack.tracker.speakers.networks import (
    STEP,
    VOICES,
    WINDOW,
    PackagedSegmentation,
    PackagedVoicePrints,
    Segmentation,
    VoicePrint,
)
from tests.tracker.kitchen_table import TRUTH, samples

LINE_S = [(line["start"], line["end"]) for line in TRUTH]


@pytest.fixture(scope="module")
def mono() -> Samples:
    return samples().mean(axis=1)


@pytest.fixture(scope="module")
def segmentation() -> PackagedSegmentation:
    return PackagedSegmentation()


@dataclass
class Channel:
    """Hears a channel as a session does."""

    segmentation: Segmentation
    prints: Callable[[Samples, NDArray[np.bool_]], VoicePrint | None] = lambda _samples, _clean: None
    looks: list[int] = field(default_factory=list)  # stream index at each, and how much was looked at
    parts: list[VoicedTurn] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = Listener(0, SegmenterOptions(), WINDOW)
        self.voices = ChannelVoices(self.listener, self._segment, self._print)

    async def _segment(self, window: Samples) -> NDArray[np.bool_]:
        assert 0 < len(window) <= WINDOW
        self.looks.append(self.listener.heard_until)
        return self.segmentation(window)

    async def _print(self, sound: Samples, clean: NDArray[np.bool_]) -> VoicePrint | None:
        return self.prints(sound, clean)

    def hear(self, audio: Samples, start: int = 0, chunk: int = 1600) -> None:
        """``audio``, (samples,), from stream index ``start`` on."""

        async def run() -> None:
            for at in range(0, len(audio), chunk):
                ended = self.listener.push(audio[at : at + chunk], start + at)
                for turn in ended:
                    await self.voices.finish(turn)
                for turn in ended + await self.voices.look():
                    self.parts += self.voices.divide(turn)

        asyncio.run(run())

    def end(self) -> list[VoicedTurn]:
        for turn in self.listener.flush():
            asyncio.run(self.voices.finish(turn))
            self.parts += self.voices.divide(turn)
        return self.parts

    @property
    def places(self) -> list[tuple[int | None, int, int]]:
        return [(part.voice, part.turn.start, part.turn.end) for part in self.parts]


def run_together(audio: Samples) -> Samples:
    """The lines of ``audio``, (samples,), with no pause between them, so that nothing but the voice ends a turn."""
    return np.concatenate([audio[round(a * SAMPLE_RATE) : round(b * SAMPLE_RATE)] for a, b in LINE_S[:6]])


@pytest.mark.parametrize("chunk", [160, FRAME_SAMPLES, 800])
def test_the_size_of_chunks_up_to_a_tenth_of_a_second_changes_little(
    mono: Samples, segmentation: PackagedSegmentation, chunk: int
) -> None:
    """Looks come with chunks, so their windows differ a little; the parts do not."""
    audio = mono[: 24 * SAMPLE_RATE]
    usual, other = Channel(segmentation), Channel(segmentation)
    usual.hear(audio)
    other.hear(audio, chunk=chunk)
    usual.end()
    other.end()
    assert len(usual.places) == len(other.places)
    for (_, start, end), (_, other_start, other_end) in zip(usual.places, other.places, strict=True):
        assert abs(start - other_start) <= 0.1 * SAMPLE_RATE
        assert abs(end - other_end) <= 0.1 * SAMPLE_RATE


def test_the_same_sound_has_the_same_parts(mono: Samples, segmentation: PackagedSegmentation) -> None:
    heard = [Channel(segmentation) for _ in range(2)]
    for channel in heard:
        channel.hear(mono[: 12 * SAMPLE_RATE])
        channel.end()
    assert heard[0].places == heard[1].places
    assert heard[0].looks == heard[1].looks
    for part in heard[0].parts:
        assert 0.5 < part.turn.speech_s < part.turn.end_s - part.turn.start_s


def test_each_line_is_a_part_with_its_samples(mono: Samples, segmentation: PackagedSegmentation) -> None:
    channel = Channel(segmentation)
    channel.hear(mono)
    parts = channel.end()
    for start_s, end_s in LINE_S:
        of_line = [part for part in parts if part.turn.start_s < end_s - 0.3 and part.turn.end_s > start_s + 0.3]
        assert min(part.turn.start_s for part in of_line) <= start_s + 0.2
        assert max(part.turn.end_s for part in of_line) >= end_s - 0.3
    for part in parts:
        np.testing.assert_array_equal(part.turn.samples, mono[part.turn.start : part.turn.end])
        assert 0.0 <= part.overlap <= 1.0
        assert part.clean_s <= len(part.turn.samples) / SAMPLE_RATE
        assert part.turn.start <= part.turn.speech_end <= part.turn.end


def test_a_part_says_whether_it_borders_on_what_somebody_else_says(
    mono: Samples, segmentation: PackagedSegmentation
) -> None:
    apart, together = Channel(segmentation), Channel(segmentation)
    apart.hear(mono[: 12 * SAMPLE_RATE])
    together.hear(run_together(mono))
    assert {part.borders for part in apart.end()} == {False}
    assert {part.borders for part in together.end()} == {True}


def test_turns_pass_on_where_the_voice_changes_and_no_pause_is(
    mono: Samples, segmentation: PackagedSegmentation
) -> None:
    channel = Channel(segmentation)
    audio = run_together(mono)
    channel.hear(np.concatenate([np.zeros(SAMPLE_RATE, dtype=np.float32), audio, np.zeros(SAMPLE_RATE, np.float32)]))
    parts = channel.end()
    borders_s = 1.0 + np.cumsum([end - start for start, end in LINE_S[:6]])[:-1]
    beginnings_s = np.array([part.turn.start_s for part in parts])
    for border_s in borders_s:
        assert np.abs(beginnings_s - border_s).min() < 0.5, border_s


def test_where_something_else_tells_the_borders_voices_end_no_turn_and_are_told_of_a_turn_as_a_whole(
    mono: Samples, segmentation: PackagedSegmentation
) -> None:
    channel = Channel(segmentation)
    channel.voices = ChannelVoices(channel.listener, channel._segment, channel._print, ends_turns=False)
    audio = run_together(mono)[: round((LINE_S[0][1] - LINE_S[0][0] + LINE_S[1][1] - LINE_S[1][0]) * SAMPLE_RATE)]
    channel.hear(audio)
    assert not channel.parts, "the second voice ended no turn"
    (turn,) = channel.listener.flush()
    asyncio.run(channel.voices.finish(turn))
    border = round((LINE_S[0][1] - LINE_S[0][0]) * SAMPLE_RATE)
    ana, ben = (channel.voices.whole(part) for part in turn.divide([border]))
    assert None not in {ana.voice, ben.voice}
    assert ana.voice != ben.voice
    for part, given in ((ana, turn.start), (ben, border)):
        assert part.turn.start == given
        assert len(part.clean) == pytest.approx(len(part.turn.samples) / STEP, abs=2)
        assert part.clean.mean() > 0.6
    assert channel.voices.whole(turn).overlap < 0.2


def test_whose_voice_a_turn_under_way_is_can_be_told_between_two_looks(
    mono: Samples, segmentation: PackagedSegmentation
) -> None:
    channel, voices = Channel(segmentation), []
    start, end = (round(edge_s * SAMPLE_RATE) for edge_s in LINE_S[7])
    for at in range(start, end - 1600, 1600):
        channel.hear(mono[at : at + 1600], at - start)
        if channel.looks and (latest := channel.listener.latest(3.0)) is not None:
            (*_, part) = channel.voices.divide(latest)
            voices.append(part.voice)
    assert len(voices) > 20
    assert set(voices) == {0}


def test_a_channel_that_loses_sound_goes_on(mono: Samples, segmentation: PackagedSegmentation) -> None:
    channel = Channel(segmentation)
    lost, later = 9 * SAMPLE_RATE, 40 * SAMPLE_RATE  # in the middle of a line; what follows it comes much later
    channel.hear(mono[:lost])
    channel.hear(mono[lost : 24 * SAMPLE_RATE], later)
    parts = channel.end()
    assert any(part.turn.end <= lost for part in parts)
    after = [part for part in parts if part.turn.start >= later]
    assert len(parts) == len([part for part in parts if part.turn.end <= lost]) + len(after), "none spans the gap"
    assert {part.voice for part in after} & {0, 1, 2, 3, 4, 5}, "and voices are heard again"
    for part in after:
        place = part.turn.start - later + lost
        np.testing.assert_array_equal(part.turn.samples, mono[place : place + len(part.turn.samples)])


def test_a_voice_that_goes_on_right_after_a_gap_is_printed_from_its_first_piece_on(mono: Samples) -> None:
    """The sound comes back within a frame, so that only a part of that is kept; segmentation hears nobody."""
    sounds: list[int] = []

    def note(sound: Samples, _clean: NDArray[np.bool_]) -> None:
        sounds.append(len(sound))

    channel = Channel(lambda samples: np.zeros((len(samples) // STEP, VOICES), dtype=bool), note)
    channel.hear(np.zeros(SAMPLE_RATE // 2, dtype=np.float32))
    back = 40 * SAMPLE_RATE + 100
    assert back % STEP
    channel.hear(run_together(mono)[8000 : 8000 + 4 * SAMPLE_RATE], back)
    assert sounds
    assert min(sounds) > SAMPLE_RATE


def test_silence_costs_no_look_and_speech_one_a_second(mono: Samples, segmentation: PackagedSegmentation) -> None:
    channel = Channel(segmentation)
    room = np.random.default_rng(0).normal(0.0, 3e-4, 30 * SAMPLE_RATE).astype(np.float32)
    channel.hear(room)
    assert channel.looks == []
    channel.hear(mono[: 20 * SAMPLE_RATE], len(room))
    talked = len(channel.looks)
    assert 10 <= talked <= 40
    channel.hear(room, len(room) + 20 * SAMPLE_RATE)
    assert len(channel.looks) - talked <= 2, "of what was still under way"


@pytest.mark.parametrize(("likeness", "voices"), [(0.9, 1), (0.1, 2), (None, 2)])
def test_a_voice_that_is_heard_as_two_is_one_where_both_have_one_print(
    mono: Samples, likeness: float | None, voices: int
) -> None:
    """Ana's first line: one voice says it all, another most of the second half, at the same time."""
    start_s, end_s = LINE_S[0]
    first, half, last = (round(at * SAMPLE_RATE / STEP) for at in (start_s, (start_s + end_s) / 2, end_s))

    def twice(samples: Samples) -> NDArray[np.bool_]:
        active = np.zeros((len(samples) // STEP, VOICES), dtype=bool)
        active[first : last - 20, 0] = True
        active[half:last, 1] = True
        return active

    def alike(sound: Samples, clean: NDArray[np.bool_]) -> VoicePrint | None:
        assert len(sound) >= len(clean) * STEP
        if likeness is None:
            return None  # too little of it is clean
        is_first = clean[first:half].any()
        assert is_first != clean[last - 20 : last].any(), "only what one of them says alone is printed"
        return np.array([1.0, 0.0] if is_first else [likeness, np.sqrt(1.0 - likeness**2)], dtype=np.float32)

    channel = Channel(twice, alike)
    channel.hear(mono[: round((end_s + 1.0) * SAMPLE_RATE)])
    parts = channel.end()
    assert len(parts) == len({part.voice for part in parts}) == voices
    assert [part.overlap < 0.5 for part in parts] == [True] * (voices == 1) + [True, False] * (voices == 2)


@pytest.mark.parametrize(("lines", "parts"), [((0, 1), 2), ((0, 2), 1), ((1, 0), 2)])
def test_two_people_who_are_heard_as_one_voice_are_divided_by_their_prints(
    mono: Samples, lines: tuple[int, int], parts: int
) -> None:
    """Ana, who says every other line, and Ben are heard once each, and then without a pause between them."""

    def one_voice(samples: Samples) -> NDArray[np.bool_]:
        active = np.zeros((len(samples) // STEP, VOICES), dtype=bool)
        active[:, 0] = True
        return active

    def line(number: int) -> Samples:
        return mono[round(LINE_S[number][0] * SAMPLE_RATE) : round(LINE_S[number][1] * SAMPLE_RATE)]

    pause = np.zeros(SAMPLE_RATE, dtype=np.float32)
    before, said = [line(4), pause, line(5), pause], [line(number) for number in lines]
    channel = Channel(one_voice, PackagedVoicePrints())
    channel.hear(np.concatenate([*before, *said, pause]))
    found = channel.end()[2:]
    assert len(found) == parts
    assert {part.voice for part in found} == {0}, "as segmentation has it"
    for part in found:
        assert len(part.clean) == pytest.approx(len(part.turn.samples) / STEP, abs=2)
        assert part.turn.start // STEP <= part.pieces[0].first
        assert (part.pieces[-1].last - 1) * STEP < part.turn.end
    if parts > 1:
        border = sum(map(len, before)) + len(said[0])
        assert found[0].turn.end == found[1].turn.start == pytest.approx(border, abs=0.7 * SAMPLE_RATE)


def test_a_turn_that_somebody_waits_for_is_divided_by_the_prints_that_are_there(
    mono: Samples, segmentation: PackagedSegmentation
) -> None:
    async def never(_sound: Samples, _clean: NDArray[np.bool_]) -> VoicePrint | None:
        return await asyncio.get_running_loop().create_future()

    channel = Channel(segmentation)
    channel.voices = ChannelVoices(channel.listener, channel._segment, never, patient=False)
    channel.hear(mono[: round((LINE_S[0][1] + 1.0) * SAMPLE_RATE)])
    (part,) = channel.parts
    assert part.pieces
    assert part.known_prints == []
