"""Two people in one microphone: who says what, and what people make of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emotrack.models.network import EmotionNetwork
from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.events import Event, SpeakerRenamed, SpeakersMerged, Turn
from emotrack.tracker.session.options import SpeakerOptions
from emotrack.tracker.speakers.networks import SpeakerNetworks, VoicePrint, VoicePrints, load_speaker_networks
from emotrack.tracker.understanding.captions import Captions, Cue, read_captions
from emotrack.tracker.understanding.engine import Engine
from emotrack.tracker.understanding.overload import LeftOut, Overload
from tests.tracker.kitchen_table import CAPTIONS, TRUTH
from tests.tracker.scripted import Recorder, ScriptedRecogniser, ScriptedSource, chunks, mono, session_of


@pytest.fixture(scope="module")
def networks() -> SpeakerNetworks:
    return load_speaker_networks()


def tracked(
    audio: Samples, network: EmotionNetwork, networks: SpeakerNetworks | None, speakers: SpeakerOptions | None
) -> Recorder:
    """What is sent of ``audio``, (samples, channels), heard without recognition."""
    recorder = Recorder()
    engine = Engine(network, None, speaker_networks=networks)
    source = ScriptedSource(chunks(audio), channels=audio.shape[1])
    asyncio.run(session_of(engine, source, recorder, speakers=speakers).run())
    engine.close()
    return recorder


def heard_as(turns: list[Turn]) -> list[tuple[str, str | None]]:
    """Who says each turn of the bundled conversation, and who that was taken for."""

    def common(turn: Turn, start: float, end: float) -> float:
        return min(turn.end_s, end) - max(turn.start_s, start)

    return [
        (truth["speaker"], max(turns, key=lambda turn: common(turn, truth["start"], truth["end"])).speaker)
        for truth in TRUTH
    ]


def test_who_says_what_in_the_bundled_conversation(
    network: EmotionNetwork, networks: SpeakerNetworks, stereo: Samples
) -> None:
    turns = tracked(mono(stereo), network, networks, SpeakerOptions()).turns
    assert Counter(heard_as(turns)) == {("Ana", "speaker 1"): 6, ("Ben", "speaker 2"): 6}
    assert {turn.speaker for turn in turns} == {"speaker 1", "speaker 2"}
    assert all(turn.overlap is not None for turn in turns)


def test_a_turn_ends_where_somebody_else_takes_over_without_a_pause(
    network: EmotionNetwork, networks: SpeakerNetworks, stereo: Samples
) -> None:
    """The same turns with no silence between them, which alone would make one turn."""
    said = [stereo[round(turn["start"] * SAMPLE_RATE) : round(turn["end"] * SAMPLE_RATE)] for turn in TRUTH[:4]]
    borders = np.cumsum([len(each) for each in said[:-1]]) / SAMPLE_RATE
    audio = mono(np.concatenate([*said, np.zeros((SAMPLE_RATE, 2), dtype=np.float32)]))
    (whole, *more) = tracked(audio, network, None, None).turns
    assert not more or whole.end_s > borders[1], "silence does not tell them apart"
    turns = tracked(audio, network, networks, SpeakerOptions()).turns
    starts = [turn.start_s for turn in turns]
    assert all(min(abs(start - border) for start in starts) < 0.5 for border in borders)
    long = [turn.speaker for turn in turns if turn.end_s - turn.start_s > 1.0]
    assert long == ["speaker 1", "speaker 2", "speaker 1", "speaker 2"]


@pytest.mark.parametrize("speakers", [None, SpeakerOptions()])
def test_a_session_that_tells_nobody_apart_names_nobody(
    network: EmotionNetwork, stereo: Samples, speakers: SpeakerOptions | None
) -> None:
    turns = tracked(mono(stereo)[: 8 * SAMPLE_RATE], network, None, speakers).turns
    assert [(turn.speaker, turn.overlap) for turn in turns] == [(None, None)] * len(turns)
    assert turns


@pytest.mark.parametrize(("speakers", "turns"), [(SpeakerOptions(), [2]), (None, [1, 2])])
def test_of_several_people_one_who_only_hesitates_has_no_turn(
    network: EmotionNetwork,
    networks: SpeakerNetworks,
    stereo: Samples,
    speakers: SpeakerOptions | None,
    turns: list[int],
) -> None:
    """A piece of a line, a pause, and the whole line; of both the recogniser hears "Um."."""
    start, end = (round(TRUTH[0][edge] * SAMPLE_RATE) for edge in ("start", "end"))
    pause = np.zeros((2 * SAMPLE_RATE, 2), dtype=np.float32)
    audio = np.concatenate([pause, stereo[start : start + SAMPLE_RATE // 2], pause, stereo[start:end], pause])
    recorder = Recorder()
    engine = Engine(network, ScriptedRecogniser(said="Um."), speaker_networks=networks)
    asyncio.run(session_of(engine, ScriptedSource(chunks(mono(audio))), recorder, speakers=speakers).run())
    engine.close()
    assert [turn.turn_id for turn in recorder.turns if turn.revision == 0] == turns


TWO_SENTENCES = "They called me early this morning. I am to start on Monday next."


@pytest.mark.parametrize("speculate", [False, True])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"speakers": SpeakerOptions()}, 2),
        ({"speakers": SpeakerOptions(), "every_sound": True}, 1),
        ({"speakers": None}, 1),
    ],
)
def test_where_voices_are_told_apart_a_long_turn_is_told_by_sentence(
    network: EmotionNetwork,
    networks: SpeakerNetworks,
    stereo: Samples,
    options: dict[str, Any],
    told: int,
    speculate: bool,
) -> None:
    """Three lines; of each the recogniser hears two sentences."""
    recorder = Recorder()
    engine = Engine(network, ScriptedRecogniser(said=TWO_SENTENCES), speaker_networks=networks)
    source = ScriptedSource(chunks(mono(stereo[: 11 * SAMPLE_RATE])))
    live = session_of(engine, source, recorder, speculate=speculate, **options)
    source.is_ready = lambda: not engine.is_busy and not live.status.thinking
    asyncio.run(live.run())
    engine.close()
    turns = recorder.turns
    assert [turn.turn_id for turn in turns] == list(range(1, 3 * told + 1))
    assert live.status.turns_heard == len(turns)
    first = [turns[place : place + told] for place in range(0, len(turns), told)]
    for whole, truth in zip(first, TRUTH, strict=False):
        assert " ".join(turn.text or "" for turn in whole) == TWO_SENTENCES
        assert len({turn.speaker for turn in whole}) == 1
        assert whole[0].start_s < truth["start"] + 0.1
        assert whole[-1].end_s > truth["end"] - 0.3
        assert all(one.end_s == other.start_s for one, other in pairwise(whole))
        assert all(turn.latency_ms.end_of_turn >= whole[-1].latency_ms.end_of_turn for turn in whole)
    assert live.status.thinking == 0


@pytest.mark.parametrize(
    ("options", "early"),
    [({"speculate": True}, True), ({"speculate": False}, False), ({"speculate": True, "every_sound": True}, False)],
)
def test_finished_sentences_of_a_long_turn_are_told_while_it_goes_on(
    network: EmotionNetwork, networks: SpeakerNetworks, stereo: Samples, options: dict[str, Any], early: bool
) -> None:
    """Four lines of one person without a pause; whenever it is asked, the recogniser hears two sentences."""
    lines = [turn for turn in TRUTH if turn["speaker"] == "Ana"][1:5]
    said = [stereo[round(turn["start"] * SAMPLE_RATE) : round(turn["end"] * SAMPLE_RATE)] for turn in lines]
    silence = np.zeros((SAMPLE_RATE, 2), dtype=np.float32)
    recorder = Recorder()
    engine = Engine(network, ScriptedRecogniser(said=TWO_SENTENCES), speaker_networks=networks)
    source = ScriptedSource(chunks(mono(np.concatenate([silence, *said, silence]))))
    live = session_of(engine, source, recorder, speakers=SpeakerOptions(), **options)
    source.is_ready = lambda: not engine.is_busy and not live.status.thinking
    asyncio.run(live.run())
    engine.close()
    turns = recorder.turns
    end_s = 1.0 + sum(map(len, said)) / SAMPLE_RATE
    assert turns[-1].end_s == pytest.approx(end_s, abs=0.4)
    assert all(one.end_s == other.start_s for one, other in pairwise(turns)), "nothing is lost, nor said twice"
    assert {turn.speaker for turn in turns} == {"speaker 1"}
    decided_s = turns[0].end_s + turns[0].latency_ms.end_of_turn / 1000.0
    assert (decided_s < end_s - 1.0) == early


def test_channels_are_believed(network: EmotionNetwork, networks: SpeakerNetworks, stereo: Samples) -> None:
    turns = tracked(stereo[: 8 * SAMPLE_RATE], network, networks, SpeakerOptions()).turns
    assert {turn.speaker for turn in turns} == {"channel 1", "channel 2"}


def captioned(
    cues: list[Cue],
    audio: Samples,
    network: EmotionNetwork,
    networks: SpeakerNetworks,
    rename: tuple[int, str, str] | None = None,
) -> Recorder:
    """What is sent of ``audio`` with captions; after the turn that ``rename`` tells, a speaker is called otherwise."""

    def name(event: Event) -> None:
        if rename and isinstance(event, Turn) and (event.turn_id, event.revision) == (rename[0], 0):
            live.controls.rename(*rename[1:])

    recorder = Recorder(on_event=name)
    engine = Engine(network, None, speaker_networks=networks)
    source = ScriptedSource(chunks(mono(audio)))
    live = session_of(engine, source, recorder, speakers=SpeakerOptions(), captions=Captions(cues))
    asyncio.run(live.run())
    engine.close()
    return recorder


@pytest.fixture(scope="module")
def cues() -> list[Cue]:
    return read_captions(CAPTIONS)


def test_captions_are_believed_whatever_the_voice(
    network: EmotionNetwork, networks: SpeakerNetworks, stereo: Samples, cues: list[Cue]
) -> None:
    wrong = [*cues[:4], replace(cues[4], speaker="Ben"), cues[5]]
    turns = captioned(wrong, stereo[: 23 * SAMPLE_RATE], network, networks).turns
    assert [turn.speaker for turn in turns] == ["Ana", "Ben", "Ana", "Ben", "Ben", "Ben"]
    assert [turn.text for turn in turns] == [cue.text for cue in cues[:6]]


def test_the_name_in_a_caption_lends_itself_to_the_voice(
    network: EmotionNetwork, networks: SpeakerNetworks, stereo: Samples, cues: list[Cue]
) -> None:
    turns = captioned(cues[:3], stereo, network, networks, rename=(5, "Ana", "Anna")).turns
    assert Counter(heard_as(turns)) == {("Ana", "Anna"): 6, ("Ben", "Ben"): 6}
    assert [turn.text is None for turn in turns] == [False] * 3 + [True] * (len(turns) - 3)


def test_who_spoke_before_a_caption_named_the_voice_is_told_in_a_revision(
    network: EmotionNetwork, networks: SpeakerNetworks, stereo: Samples, cues: list[Cue]
) -> None:
    recorder = captioned(cues[4:6], stereo[: 23 * SAMPLE_RATE], network, networks)
    first = {turn.turn_id: turn.speaker for turn in reversed(recorder.events) if isinstance(turn, Turn)}
    assert [first[number] for number in range(1, 5)] == ["speaker 1", "speaker 2"] * 2
    assert [turn.speaker for turn in recorder.turns] == ["Ana", "Ben"] * 3
    merged = {event.speaker: event.into for event in recorder.events if isinstance(event, SpeakersMerged)}
    assert merged == {"speaker 1": "Ana", "speaker 2": "Ben"}


def test_where_captions_name_nobody_voices_are_told_apart(
    network: EmotionNetwork, networks: SpeakerNetworks, stereo: Samples, cues: list[Cue]
) -> None:
    turns = captioned([replace(cue, speaker=None) for cue in cues[:4]], stereo[: 15 * SAMPLE_RATE], network, networks)
    assert [(turn.speaker, turn.text) for turn in turns.turns] == [
        (speaker, cue.text) for speaker, cue in zip(["speaker 1", "speaker 2"] * 2, cues, strict=False)
    ]


def test_a_name_that_is_given_holds_for_turns_past_and_to_come(
    network: EmotionNetwork, networks: SpeakerNetworks, stereo: Samples
) -> None:
    engine = Engine(network, None, speaker_networks=networks)

    def name(event: Event) -> None:
        if isinstance(event, Turn) and event.turn_id == 4 and not event.revision:
            live.controls.rename("speaker 1", " Ana  Maria ")

    recorder = Recorder(on_event=name)
    live = session_of(engine, ScriptedSource(chunks(mono(stereo))), recorder, speakers=SpeakerOptions())
    asyncio.run(live.run())
    engine.close()
    assert Counter(heard_as(recorder.turns)) == {("Ana", "Ana Maria"): 6, ("Ben", "speaker 2"): 6}
    (told,) = [event for event in recorder.events if isinstance(event, SpeakerRenamed)]
    assert (told.speaker, told.name) == ("speaker 1", "Ana Maria")
    with pytest.raises(ValueError, match="there is no speaker Zoe: there are"):
        live.controls.rename("Zoe", "Ana")
    for no_name in ("  ", "x" * 81, "An\x00a", "\u202eanA", "\x1b[31mAna"):
        with pytest.raises(ValueError, match="a name has 1 to 80 characters"):
            live.controls.rename("Ana Maria", no_name)


class SlowPrints:
    """Voice prints that take a while."""

    def __init__(self, prints: VoicePrints) -> None:
        self.name = prints.name
        self._prints = prints

    def __call__(self, samples: Samples, clean: NDArray[np.bool_]) -> VoicePrint | None:
        time.sleep(0.2)
        return self._prints(samples, clean)


@pytest.mark.parametrize("is_paced", [True, False])
def test_where_somebody_waits_the_speaker_follows_as_a_revision(
    network: EmotionNetwork, networks: SpeakerNetworks, stereo: Samples, is_paced: bool
) -> None:
    engine = Engine(network, None, speaker_networks=replace(networks, prints=SlowPrints(networks.prints)))
    recorder = Recorder()
    source = ScriptedSource(chunks(mono(stereo)[: 4 * SAMPLE_RATE]))
    source.realtime = is_paced
    asyncio.run(session_of(engine, source, recorder, speakers=SpeakerOptions()).run())
    engine.close()
    turns = [event for event in recorder.events if isinstance(event, Turn)]
    told = [(turn.turn_id, turn.revision, turn.speaker) for turn in turns]
    assert told == ([(1, 0, None), (1, 1, "speaker 1")] if is_paced else [(1, 0, "speaker 1")])


def test_prints_that_fail_end_no_session(
    network: EmotionNetwork, networks: SpeakerNetworks, stereo: Samples, caplog: pytest.LogCaptureFixture
) -> None:
    class FailingPrints:
        name = "failing"

        def __call__(self, samples: Samples, clean: NDArray[np.bool_]) -> VoicePrint | None:
            raise MemoryError("invalid dimensions\nof the input")

    failing = replace(networks, prints=FailingPrints())
    turns = tracked(mono(stereo)[: 4 * SAMPLE_RATE], network, failing, SpeakerOptions()).turns
    assert [turn.speaker for turn in turns] == [None]
    assert "a voice print failed, speakers are told without it: invalid dimensions" in caplog.messages


def test_overload_leaves_speakers_out_first(
    network: EmotionNetwork, networks: SpeakerNetworks, stereo: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(network, None, speaker_networks=networks)
    monkeypatch.setattr(Overload, "level", LeftOut.SPEAKERS)
    recorder = Recorder()
    source = ScriptedSource(chunks(mono(stereo)[: 8 * SAMPLE_RATE]), lossless=False)
    asyncio.run(session_of(engine, source, recorder, speakers=SpeakerOptions()).run())
    engine.close()
    assert {turn.speaker for turn in recorder.turns} == {None}
