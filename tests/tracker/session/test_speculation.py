"""Work that is begun at a pause: kept or thrown away, and never of consequence for what is found."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

from emotrack.models.network import EmotionNetwork
from emotrack.models.scorer import ConversationScorer
from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.events import SpeculationShare, Turn
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.session.speculation import Speculation
from emotrack.tracker.understanding.captions import Captions, read_captions
from emotrack.tracker.understanding.engine import Engine
from emotrack.tracker.understanding.interpreter import Interpreter, TurnWork
from emotrack.tracker.understanding.recognisers import Recogniser, Transcript
from tests.tracker.kitchen_table import CAPTIONS, TRUTH
from tests.tracker.scripted import Recorder, ScriptedRecogniser, ScriptedSource, chunks, mono, said_by, session

PAUSE = round(0.4 * SAMPLE_RATE)  # long enough to begin work in, too short to end a turn


class Stenographer(ScriptedRecogniser):
    """Writes down exactly which samples it was given, without a full stop, after which a turn might end sooner."""

    def transcribe(self, turn: SpeechTurn) -> Transcript:
        super().transcribe(turn)
        heard = f"From {turn.start} to {turn.end}, loudness {float(np.abs(turn.samples).sum()):.3f}"
        return Transcript(heard, "faster-whisper")


def track(
    network: EmotionNetwork, audio: Samples, *, recogniser: Recogniser | None = None, **options: Any
) -> tuple[Recorder, SpeculationShare | None]:
    """A session whose audio comes slowly enough for the models to do at each pause what they want to do."""
    recorder = Recorder()
    source = ScriptedSource(chunks(audio), channels=audio.shape[1])
    live = session(source, network, recorder, recogniser=recogniser, **options)
    source.is_ready = lambda: not live.engine.is_busy and not live.status.thinking
    asyncio.run(live.run())
    ended = recorder.events[-1]
    assert ended.type == "session_ended"
    return recorder, ended.speculation


def findings(recorder: Recorder) -> list[dict[str, Any]]:
    """All that the turns say, but for when."""
    sent = [event for event in recorder.events if isinstance(event, Turn)]
    return [turn.model_dump(exclude={"session", "time", "latency_ms"}) for turn in sent]


def with_a_pause_in_the_first_line(stereo: Samples) -> Samples:
    """Two lines, the first of them with a pause after 1.2 s of speech."""
    audio, at = mono(stereo[: round(7.5 * SAMPLE_RATE)]), round(2.2 * SAMPLE_RATE)
    return np.concatenate([audio[:at], np.zeros((PAUSE, 1), np.float32), audio[at:]])


@pytest.mark.parametrize("way", ["recognised", "captions", "split", "voice"])
def test_speculation_changes_nothing_but_when_the_work_is_done(
    network: EmotionNetwork, stereo: Samples, way: str
) -> None:
    audio = stereo[: 15 * SAMPLE_RATE] if way == "split" else mono(stereo[: 15 * SAMPLE_RATE])
    found = {}
    for speculate in (False, True):
        options: dict[str, Any] = {"captions": Captions(read_captions(CAPTIONS))} if way == "captions" else {}
        recogniser = Stenographer() if way in {"recognised", "split"} else None
        recorder, share = track(network, audio, recogniser=recogniser, speculate=speculate, **options)
        found[speculate] = findings(recorder)
    assert found[True] == found[False], "bit for bit"
    turns = [turn for turn in found[True] if turn["revision"] == 0]  # a revision costs no encoding
    assert len(turns) >= 4
    assert share is not None
    assert share.kept == len(turns)
    assert share.kept_s > 0


def test_a_turn_need_not_wait_for_what_was_done_in_its_pause(network: EmotionNetwork, stereo: Samples) -> None:
    waited = {}
    for speculate in (False, True):
        audio = mono(stereo[: 8 * SAMPLE_RATE])
        recorder, _ = track(network, audio, recogniser=Stenographer(seconds=0.2), speculate=speculate)
        waited[speculate] = [turn.latency_ms.recognition for turn in recorder.turns[:2]]  # the third is cut off
    assert min(waited[False]) >= 200
    assert max(waited[True]) < 50, "the words were there"


def test_what_was_begun_at_a_pause_is_thrown_away_when_speech_goes_on(network: EmotionNetwork, stereo: Samples) -> None:
    audio = with_a_pause_in_the_first_line(stereo)
    expected, _ = track(network, audio, recogniser=Stenographer(), speculate=False)
    recorder, share = track(network, audio, recogniser=Stenographer(), speculate=True)
    assert len(recorder.turns) == 2, "the pause ends no turn"
    assert findings(recorder) == findings(expected)
    assert share is not None
    assert (share.kept, share.wasted) == (2, 1)
    assert share.wasted_s > 0


def test_nothing_is_begun_while_the_models_are_busy_with_turns_that_have_ended(
    network: EmotionNetwork, stereo: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "is_busy", property(lambda _: True))
    recorder = Recorder()
    source = ScriptedSource(chunks(mono(stereo[: 15 * SAMPLE_RATE])))
    live = session(source, network, recorder, speculate=True)
    asyncio.run(live.run())
    assert len(recorder.turns) >= 4
    ended = recorder.events[-1]
    assert ended.type == "session_ended"
    assert ended.speculation == SpeculationShare(kept=0, wasted=0, kept_s=0, wasted_s=0)


def test_without_speculation_the_end_says_that_there_was_none(network: EmotionNetwork, stereo: Samples) -> None:
    assert track(network, mono(stereo[: 4 * SAMPLE_RATE]))[1] is None


def test_stopping_in_a_pause_keeps_what_was_begun(network: EmotionNetwork, stereo: Samples) -> None:
    audio = with_a_pause_in_the_first_line(stereo)[: round(2.55 * SAMPLE_RATE)]
    recorder, share = track(network, audio, recogniser=Stenographer(), speculate=True)
    assert len(recorder.turns) == 1
    assert share is not None
    assert (share.kept, share.wasted) == (1, 0)


def test_a_recogniser_that_fails_at_a_pause_matters_only_if_the_turn_ends_there(
    network: EmotionNetwork, stereo: Samples, caplog: pytest.LogCaptureFixture, notices: list[str]
) -> None:
    failing = ScriptedRecogniser(error=RuntimeError("out of memory"))
    audio = with_a_pause_in_the_first_line(stereo)
    recorder, share = track(network, audio, recogniser=failing, speculate=True)
    assert share is not None
    assert (share.kept, share.wasted) == (2, 1)
    assert [turn.text_rejected for turn in recorder.turns] == ["recogniser_failed"] * 2
    assert len(notices) == 2
    assert len(caplog.records) == len(notices), "nothing is printed of what was thrown away"


def a_turn(stereo: Samples, line: int = 0) -> SpeechTurn:
    start, end = (round(TRUTH[line][edge] * SAMPLE_RATE) for edge in ("start", "end"))
    return SpeechTurn(0, start, end, end, end, mono(stereo)[start:end, 0].copy(), 0.9, 1.0, truncated=False)


def test_words_are_read_anew_if_something_was_said_in_between(network: EmotionNetwork, stereo: Samples) -> None:
    async def estimated(*, begun_too_early: bool) -> tuple[float, ...]:
        engine = Engine(network, Stenographer())
        interpreter = Interpreter(engine, ConversationScorer(network).new_context(), "kitchen")
        early = interpreter.begin(a_turn(stereo, 1), None) if begun_too_early else None
        if early:
            await early.text([])
        await interpreter.interpret(interpreter.begin(a_turn(stereo, 0), None), said_by("Ana"))
        found = await interpreter.interpret(early or interpreter.begin(a_turn(stereo, 1), None), said_by("Ben"))
        engine.close()
        assert found is not None
        return found.estimate.probabilities

    assert asyncio.run(estimated(begun_too_early=True)) == asyncio.run(estimated(begun_too_early=False))


def test_cancelled_work_that_has_not_begun_is_never_done(network: EmotionNetwork, stereo: Samples) -> None:
    begun, may_go_on = threading.Event(), threading.Event()
    asked: list[int] = []

    class Slow(ScriptedRecogniser):
        def transcribe(self, turn: SpeechTurn) -> Transcript:
            asked.append(turn.start)
            begun.set()
            may_go_on.wait(10)
            return super().transcribe(turn)

    async def recognise_three() -> None:
        engine = Engine(network, Slow())
        first, second, third = (TurnWork(engine, a_turn(stereo, line), None, []) for line in range(3))
        await asyncio.to_thread(begun.wait, 10)
        second.cancel()
        first.cancel()  # under way: it is done to its end, and the engine is busy until then
        await asyncio.sleep(0.01)
        assert engine.is_busy
        may_go_on.set()
        await third.words
        engine.close()

    asyncio.run(recognise_three())
    assert asked == [a_turn(stereo, 0).start, a_turn(stereo, 2).start]


def hear_pauses(speculation: Speculation, turn: SpeechTurn, *, ends: int, others: int) -> None:
    """So many pauses in which the turn ended, so many after which speech went on; no work was begun in any."""
    for place in range(ends + others):
        speculation.begin(turn, [])
        if place < ends:
            assert speculation.take(turn, None) is None
        speculation.throw_away(turn.channel)


def test_work_is_begun_where_it_is_expected_to_save_more_than_it_delays(stereo: Samples) -> None:
    turn = a_turn(stereo)
    fresh, steady, halting = (Speculation(SegmenterOptions(end_silence_s=0.6)) for _ in range(3))
    hear_pauses(steady, turn, ends=9, others=0)
    hear_pauses(halting, turn, ends=0, others=9)
    for speculation in (fresh, steady, halting):
        assert speculation.pays(0.0)
        assert speculation.pays(0.6), "over before the turn can end, whether speech goes on or not"
        assert not speculation.pays(60.0)
    assert fresh.pays(1.0), "saves 0.45 s or delays by 0.4"
    assert not fresh.pays(1.1), "saves 0.45 s or delays by 0.5"
    assert steady.pays(5.0), "ten times as likely to save 0.45 s as to delay by 4.4"
    assert not steady.pays(5.2)
    assert not halting.pays(0.65), "0.045 s is not less than 0.05 times ten"


def test_a_pause_that_is_decided_on_is_counted_once(stereo: Samples) -> None:
    speculation = Speculation(SegmenterOptions())
    turn, next_one = a_turn(stereo), a_turn(stereo, 1)
    speculation.begin(turn, [])
    assert speculation.is_open(turn)
    assert not speculation.is_open(next_one)
    for _ in range(2):
        speculation.take(turn, None)
        speculation.throw_away(turn.channel)
    assert (speculation._ends, speculation._other_pauses) == (2, 1)
    assert speculation.share() == SpeculationShare(kept=0, wasted=0, kept_s=0, wasted_s=0)


@pytest.mark.parametrize(("recognition_s", "kept"), [(0.5, 2), (30.0, 0)])
def test_a_slow_recogniser_is_not_asked_at_a_pause_and_a_quick_one_is(
    network: EmotionNetwork, stereo: Samples, monkeypatch: pytest.MonkeyPatch, recognition_s: float, kept: int
) -> None:
    monkeypatch.setattr(Engine, "recognition_s", property(lambda _: recognition_s))
    audio = with_a_pause_in_the_first_line(stereo)
    recogniser = Stenographer()
    recorder, share = track(network, audio, recogniser=recogniser, speculate=True)
    assert len(recorder.turns) == 2
    assert share is not None
    assert (share.kept, share.wasted) == (kept, kept // 2)


def test_captions_are_read_ahead_however_slow_a_recogniser_was(
    network: EmotionNetwork, stereo: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "recognition_s", property(lambda _: 30.0))
    captions = Captions(read_captions(CAPTIONS))
    _, share = track(network, mono(stereo[: 8 * SAMPLE_RATE]), captions=captions, speculate=True)
    assert share is not None
    assert share.kept >= 2


def test_an_estimate_of_work_that_is_thrown_away_is_none(network: EmotionNetwork, stereo: Samples) -> None:
    """Speech went on before the words were there: a session that ended with that waited for ever."""

    async def estimated() -> object:
        engine = Engine(network, ScriptedRecogniser(seconds=0.2))
        interpreter = Interpreter(engine, ConversationScorer(network).new_context(), "kitchen")
        work = interpreter.begin(a_turn(stereo, 1), None)
        estimate = asyncio.ensure_future(interpreter.estimate_begun(work, "Ana"))
        await asyncio.sleep(0)
        work.cancel()
        found = await asyncio.wait_for(estimate, 10)
        engine.close()
        return found

    assert asyncio.run(estimated()) is None


def test_an_estimate_of_words_that_are_read_anew_meanwhile_is_none(network: EmotionNetwork, stereo: Samples) -> None:
    """A turn of two people: the first one's words are said before the second one's, whose estimate is under way."""

    async def estimated() -> Any:
        engine = Engine(network, ScriptedRecogniser())
        interpreter = Interpreter(engine, ConversationScorer(network).new_context(), "kitchen")
        work = interpreter.begin(a_turn(stereo, 1), None)
        await work.words
        estimate = asyncio.ensure_future(interpreter.estimate_begun(work, "Ana"))
        await asyncio.sleep(0)
        await work.text(["Good evening."])
        found = await asyncio.wait_for(estimate, 10)
        engine.close()
        return found

    assert asyncio.run(estimated()) is None


class Writer(ScriptedRecogniser):
    """Hears the same words in every turn."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words

    def transcribe(self, turn: SpeechTurn) -> Transcript:
        return Transcript(self._words, "faster-whisper")


@pytest.mark.parametrize(
    ("words", "turns"), [("Good morning.", 3), ("Good morning and.", 2), ("Good", 2), (None, 2), ("captions", 2)]
)
def test_a_short_pause_ends_a_turn_where_its_words_are_a_finished_sentence(
    network: EmotionNetwork, stereo: Samples, words: str | None, turns: int
) -> None:
    """The pause of .4 s, in two lines; captions and voices alone tell nothing of it."""
    options: dict[str, Any] = {"captions": Captions(read_captions(CAPTIONS))} if words == "captions" else {}
    recogniser = Writer(words) if words and not options else None
    recorder, share = track(
        network, with_a_pause_in_the_first_line(stereo), recogniser=recogniser, speculate=True, **options
    )
    assert len(recorder.turns) == turns
    if turns == 3:
        assert [turn.latency_ms.end_of_turn for turn in recorder.turns[:2]] == [pytest.approx(320, abs=33)] * 2
        assert share is not None
        assert (share.kept, share.wasted) == (3, 0), "what was begun at the pause is the turn's"
