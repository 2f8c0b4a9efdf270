"""The pipeline over scripted sources: order, bounds, faults."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from emotrack.models.context import EmotionEstimate, Revision
from emotrack.models.network import EmotionNetwork
from emotrack.models.scorer import ConversationScorer
from emotrack.tracker.audio import SAMPLE_RATE, AudioChunk, Samples, SourceItem, SourceLost, SourceRestored
from emotrack.tracker.errors import SinkError, SourceError
from emotrack.tracker.events import Event, Turn
from emotrack.tracker.session.turn_queue import MAX_WAITING_TURNS
from emotrack.tracker.sinks.json_lines import SilentSink
from emotrack.tracker.understanding.captions import Captions, read_captions
from tests.tracker.kitchen_table import CAPTIONS, TRUTH
from tests.tracker.scripted import Recorder, ScriptedRecogniser, ScriptedSession, ScriptedSource, chunks, mono, session


def test_a_captioned_conversation(network: EmotionNetwork, stereo: Samples) -> None:
    recorder = Recorder()
    source = ScriptedSource(chunks(mono(stereo)))
    live = session(source, network, recorder, captions=Captions(read_captions(CAPTIONS)), site="kitchen")
    asyncio.run(live.run())

    assert recorder.types == ["session_started", *["turn"] * (len(recorder.events) - 2), "session_ended"]
    assert [(turn.speaker, turn.text) for turn in recorder.turns] == [(t["speaker"], t["text"]) for t in TRUTH]
    assert [turn.turn_id for turn in recorder.turns] == list(range(1, len(TRUTH) + 1))
    assert {event.site for event in recorder.events} == {"kitchen"}
    assert len({event.session for event in recorder.events}) == 1
    for turn in recorder.turns:
        assert turn.modalities == ("speech", "text")
        assert turn.text_source == "captions"
        assert sum(turn.probabilities.values()) == pytest.approx(1.0, abs=1e-3)
        assert turn.probabilities[turn.emotion] == max(turn.probabilities.values()) == turn.confidence
        assert turn.latency_ms.end_of_turn == pytest.approx(608)
    started, ended = recorder.events[0].model_dump(), recorder.events[-1].model_dump()
    assert started["labels"] == network.labels
    assert ended["reason"] == "end_of_source"
    assert ended["turns"] == len(TRUTH)
    assert ended["speakers"] == {"Ana": 6, "Ben": 6}
    assert recorder.closed
    assert source.closed


def test_a_later_turn_revises_earlier_ones(
    network: EmotionNetwork, stereo: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each turn makes the two before it sound like anger, the older one first."""
    score = ConversationScorer.update_batch
    angry = EmotionEstimate(
        probabilities=tuple(0.94 if label == "anger" else 0.01 for label in network.labels),
        labels=network.labels,
        emotion="anger",
        confidence=0.94,
        uncertain=False,
        why={},
    )

    def revising(*of: Any) -> list[tuple[EmotionEstimate, list[Revision]]]:
        return [(estimate, [Revision(2, angry), Revision(1, angry)]) for estimate, _ in score(*of)]

    monkeypatch.setattr(ConversationScorer, "update_batch", revising)
    recorder = Recorder()
    source = ScriptedSource(chunks(mono(stereo)))
    live = session(source, network, recorder, captions=Captions(read_captions(CAPTIONS)), context_turns=3)
    asyncio.run(live.run())

    sent = [(event.turn_id, event.revision) for event in recorder.events if isinstance(event, Turn)]
    assert sent[:6] == [(1, 0), (2, 0), (1, 1), (3, 0), (1, 2), (2, 1)]
    assert len(sent) == 3 * len(TRUTH) - 3
    first, last = recorder.events[1], recorder.turns[0]
    assert isinstance(first, Turn)
    changed = {name for name in Turn.model_fields if getattr(first, name) != getattr(last, name)}
    estimated = {"emotion", "confidence", "uncertain", "probabilities", "valence", "arousal", "why"}
    assert changed <= {"time", "revision", *estimated}
    assert (last.revision, last.emotion, last.confidence, last.why) == (2, "anger", 0.94, None)
    assert last.time > first.time
    ended = recorder.events[-1].model_dump()
    assert ended["turns"] == len(TRUTH)
    assert ended["emotions"] == Counter(turn.emotion for turn in recorder.turns)
    assert ended["mood"] == "anger", "it is made of the turns as they are known at last"


def test_a_word_by_itself_is_doubted_and_what_is_said_in_full_is_not(network: EmotionNetwork, stereo: Samples) -> None:
    audio = mono(stereo)
    begin = round(TRUTH[0]["start"] * SAMPLE_RATE)
    word = np.concatenate([audio[begin : begin + SAMPLE_RATE // 2], np.zeros((SAMPLE_RATE, 1), np.float32)])
    recorder = Recorder()
    source = ScriptedSource(chunks(np.concatenate([word, audio[: 6 * SAMPLE_RATE]])))
    asyncio.run(session(source, network, recorder).run())
    short, full = recorder.turns[:2]
    assert (short.doubt, short.uncertain, full.doubt) == ("short", True, None)


def test_split_channels_are_speakers_in_the_order_in_which_turns_end(network: EmotionNetwork, stereo: Samples) -> None:
    recorder = Recorder()
    asyncio.run(session(ScriptedSource(chunks(stereo), channels=2), network, recorder).run())
    assert [turn.speaker for turn in recorder.turns] == ["channel 1", "channel 2"] * 6
    assert [turn.end_s for turn in recorder.turns] == sorted(turn.end_s for turn in recorder.turns)
    assert {turn.modalities for turn in recorder.turns} == {("speech",)}


def test_the_same_audio_gives_the_same_estimates(network: EmotionNetwork, stereo: Samples) -> None:
    runs = []
    for _ in range(2):
        recorder = Recorder()
        asyncio.run(session(ScriptedSource(chunks(mono(stereo))), network, recorder).run())
        runs.append([turn.probabilities for turn in recorder.turns])
    assert runs[0] == runs[1]


def test_stopping_in_the_middle_of_a_turn_finishes_and_writes_it(network: EmotionNetwork, stereo: Samples) -> None:
    recorder = Recorder()
    source = ScriptedSource([])
    live = session(source, network, recorder)

    async def endless() -> AsyncGenerator[SourceItem, None]:
        for item in chunks(mono(stereo[: 5 * SAMPLE_RATE])):  # breaks off in the second line
            yield item
        live.controls.stop("interrupted")
        await asyncio.Event().wait()

    source.items = endless  # type: ignore[method-assign]
    asyncio.run(live.run())
    assert [turn.turn_id for turn in recorder.turns] == [1, 2]
    assert recorder.turns[1].end_s == pytest.approx(5.0, abs=0.1)
    assert recorder.events[-1].model_dump()["reason"] == "interrupted"


def test_a_lost_source_ends_the_turn_and_comes_back(network: EmotionNetwork, stereo: Samples) -> None:
    first, second = mono(stereo[: 2 * SAMPLE_RATE]), mono(stereo[3 * SAMPLE_RATE : 8 * SAMPLE_RATE])
    script = [*chunks(first), SourceLost("unplugged"), SourceRestored(10.0), *chunks(second, start=12 * SAMPLE_RATE)]
    recorder = Recorder()
    asyncio.run(session(ScriptedSource(script, lossless=False), network, recorder).run())
    assert sorted(recorder.types[1:4]) == ["source_lost", "source_restored", "turn"]
    before, after = recorder.turns[0], recorder.turns[1]
    assert before.end_s <= 2.0
    assert after.start_s >= 12.0
    assert (before.truncated, after.truncated) == (True, False)


def test_a_source_that_breaks_off_loses_nothing_heard_before(network: EmotionNetwork, stereo: Samples) -> None:
    recorder = Recorder()
    script = [*chunks(mono(stereo[: 5 * SAMPLE_RATE])), SourceError("talk.mp3 breaks off at 5.0 s")]
    with pytest.raises(SourceError, match="breaks off"):
        asyncio.run(session(ScriptedSource(script), network, recorder).run())
    assert len(recorder.turns) == 2
    assert recorder.events[-1].model_dump()["reason"] == "failure"


def test_a_recogniser_that_cannot_keep_up_costs_words_first_and_then_turns(
    network: EmotionNetwork, stereo: Samples
) -> None:
    recorder = Recorder()
    audio = np.concatenate([mono(stereo)] * 2)
    source = ScriptedSource(chunks(audio), lossless=False)
    live = session(source, network, recorder, recogniser=ScriptedRecogniser(seconds=1.0))
    asyncio.run(live.run())
    ended = recorder.events[-1].model_dump()
    assert ended["dropped_turns"] > 0
    assert ended["text_skipped"] > 0
    assert ended["turns"] + ended["dropped_turns"] == 2 * len(TRUTH)
    assert ended["turns"] >= MAX_WAITING_TURNS
    skipped = [turn for turn in recorder.turns if turn.text_rejected == "skipped_to_catch_up"]
    assert len(skipped) == ended["text_skipped"]
    assert all(turn.modalities == ("speech",) for turn in skipped)
    assert [turn.turn_id for turn in recorder.turns] == sorted(turn.turn_id for turn in recorder.turns)


def test_a_file_loses_no_turn_however_slow_the_recogniser(network: EmotionNetwork, stereo: Samples) -> None:
    recorder = Recorder()
    source = ScriptedSource(chunks(mono(stereo)), lossless=True)
    asyncio.run(session(source, network, recorder, recogniser=ScriptedRecogniser(seconds=0.1)).run())
    assert [turn.text for turn in recorder.turns] == ["Good morning."] * len(TRUTH)


def test_a_file_is_heard_no_further_than_its_turns_come_soon(network: EmotionNetwork, stereo: Samples) -> None:
    in_hand = list[int]()
    recorder = Recorder(lambda event: in_hand.append(live.status.thinking))
    source = ScriptedSource(chunks(mono(stereo)[: 20 * SAMPLE_RATE]), lossless=True)
    live = session(source, network, recorder, recogniser=ScriptedRecogniser(seconds=1.0))
    asyncio.run(live.run())
    assert len(recorder.turns) >= 5
    assert 0 < max(in_hand) <= 2


def test_a_recogniser_that_fails_leaves_the_voice(network: EmotionNetwork, stereo: Samples, notices: list[str]) -> None:
    recorder = Recorder()
    source = ScriptedSource(chunks(mono(stereo[: 5 * SAMPLE_RATE])))
    failing = ScriptedRecogniser(error=RuntimeError("out of memory"))
    asyncio.run(session(source, network, recorder, recogniser=failing).run())
    assert {turn.text_rejected for turn in recorder.turns} == {"recogniser_failed"}
    assert {turn.modalities for turn in recorder.turns} == {("speech",)}
    assert notices
    assert all("out of memory" in notice for notice in notices)


def test_a_sink_that_fails_is_left_out_and_the_others_get_everything(
    network: EmotionNetwork, stereo: Samples, notices: list[str]
) -> None:
    broken, whole = Recorder(fail_after=3), Recorder()
    with pytest.raises(SinkError):
        asyncio.run(session(ScriptedSource(chunks(mono(stereo))), network, broken, whole).run())
    assert len(broken.events) == 3
    assert len(whole.turns) == len(TRUTH)
    assert notices == ["cannot write to the recorder; the session goes on without it"]


class SilentRecorder(Recorder, SilentSink):
    """Keeps what nobody is shown."""


@pytest.mark.parametrize("others", [[], [SilentRecorder()]], ids=["without others", "with a silent one"])
def test_without_any_sink_left_that_tells_somebody_the_session_ends(
    network: EmotionNetwork, stereo: Samples, others: list[Recorder]
) -> None:
    source = ScriptedSource(chunks(mono(np.concatenate([stereo] * 3))))
    live = session(source, network, Recorder(fail_after=2), *others)
    with pytest.raises(SinkError):
        asyncio.run(live.run())
    assert live.status.stream_s < 3 * len(stereo) / SAMPLE_RATE
    assert source.closed


def test_nothing_is_heard_in_a_pause(network: EmotionNetwork, stereo: Samples) -> None:
    live: ScriptedSession

    def pause(event: Event) -> None:
        if event.type == "turn":
            live.controls.toggle_pause()

    recorder = Recorder(pause)
    live = session(ScriptedSource(chunks(mono(stereo))), network, recorder)
    asyncio.run(live.run())
    assert 1 <= len(recorder.turns) < len(TRUTH)


@pytest.mark.parametrize(
    ("at_s", "cut"), [(2.0, True), (3.4, False)]
)  # within the first line, and in the pause after it
def test_a_pause_cuts_a_turn_only_while_somebody_speaks(
    network: EmotionNetwork, stereo: Samples, at_s: float, cut: bool
) -> None:
    heard = chunks(mono(stereo[: 6 * SAMPLE_RATE]))
    live: ScriptedSession

    class Source(ScriptedSource):
        async def items(self) -> AsyncGenerator[SourceItem, None]:
            async with aclosing(super().items()) as items:
                async for item in items:
                    if isinstance(item, AudioChunk) and item.end >= at_s * SAMPLE_RATE:
                        live.controls.pause(True)
                    yield item

    recorder = Recorder()
    live = session(Source(heard), network, recorder)
    asyncio.run(live.run())
    assert [turn.truncated for turn in recorder.turns] == [cut]


def test_a_mark_is_an_event_of_its_own(network: EmotionNetwork, stereo: Samples) -> None:
    live: ScriptedSession

    def mark(event: Event) -> None:
        if event.type == "turn":
            live.controls.mark()

    recorder = Recorder(mark)
    live = session(ScriptedSource(chunks(mono(stereo[: 8 * SAMPLE_RATE]))), network, recorder)
    asyncio.run(live.run())
    assert recorder.types.count("mark") == len(recorder.turns) >= 2
    assert recorder.types[-1] == "session_ended"
