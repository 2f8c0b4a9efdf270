"""Who speaks: the arithmetic of errors, conversations that are put together, the long talk."""

from __future__ import annotations

import itertools
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import diarisation, put_together, speakers
from benchmarks.diarisation import Errors, Span, Turns, best_pairs, errors, read_rttm
from benchmarks.figures import Figure, Note, Settings
from benchmarks.put_together import Said, bundled, conversation, corpora, sound, trimmed
from benchmarks.speech import CONVERSATION
from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.speakers.networks import STEP, VOICES

ANA_THEN_BEN = [Span(0.0, 10.0, "Ana"), Span(10.0, 20.0, "Ben")]


def test_names_do_not_matter_and_what_agrees_is_no_error() -> None:
    found = [Span(0.0, 10.0, "speaker 2"), Span(10.0, 20.0, "speaker 1")]
    assert errors(ANA_THEN_BEN, found).rate == 0.0
    assert errors(ANA_THEN_BEN, found).speech == pytest.approx(20.0 - 0.25 - 0.5 - 0.25)
    assert diarisation.turns(ANA_THEN_BEN, found) == Turns(found=2, right=2, pure=2)


def test_each_kind_of_error_is_counted() -> None:
    one_missing = errors(ANA_THEN_BEN, [Span(0.0, 10.0, "a")])
    assert (one_missing.missed, one_missing.false_alarm, one_missing.confused) == pytest.approx((9.5, 0.0, 0.0))
    too_long = errors(ANA_THEN_BEN, [Span(0.0, 10.0, "a"), Span(10.0, 24.0, "b")])
    assert (too_long.missed, too_long.false_alarm, too_long.confused) == pytest.approx((0.0, 3.75, 0.0))
    one_person = errors(ANA_THEN_BEN, [Span(0.0, 20.0, "a")])
    assert (one_person.missed, one_person.false_alarm, one_person.confused) == pytest.approx((0.0, 0.0, 9.5))
    assert (one_missing + too_long).rate == pytest.approx((9.5 + 3.75) / 38.0)
    assert errors(ANA_THEN_BEN, []).rate == 1.0
    assert errors([], []) == Errors()


def test_nothing_counts_within_a_quarter_of_a_second_of_a_true_border() -> None:
    near = [Span(0.0, 10.24, "a"), Span(10.24, 20.24, "b")]
    assert errors(ANA_THEN_BEN, near).rate == 0.0
    far = [Span(0.0, 10.5, "a"), Span(10.5, 20.0, "b")]
    assert errors(ANA_THEN_BEN, far).confused == pytest.approx(0.25)


def test_of_two_who_speak_at_once_both_count() -> None:
    truth = [Span(0.0, 10.0, "Ana"), Span(5.0, 15.0, "Ben")]
    one_at_a_time = errors(truth, [Span(0.0, 10.0, "a"), Span(10.0, 15.0, "b")])
    assert one_at_a_time.missed == pytest.approx(4.5)
    assert errors(truth, [Span(0.0, 10.0, "a"), Span(5.0, 15.0, "b")]).rate == 0.0


def test_a_speaker_who_is_two_is_pure_and_only_one_of_them_right() -> None:
    found = [Span(0.0, 6.0, "a"), Span(6.0, 10.0, "b"), Span(10.0, 20.0, "c"), Span(30.0, 31.0, "c")]
    assert diarisation.turns(ANA_THEN_BEN, found) == Turns(found=4, right=2, pure=3), "in the last nobody speaks"
    assert diarisation.turns(ANA_THEN_BEN, [Span(0.0, 9.0, "a"), Span(9.0, 20.0, "a")]) == Turns(2, 1, 1)
    assert Turns(1, 1, 1) + Turns(3, 1, 2) == Turns(4, 2, 3)


@settings(max_examples=60)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 1000))
def test_pairs_agree_as_much_as_any(rows: int, columns: int, seed: int) -> None:
    agree = np.random.default_rng(seed).integers(0, 20, (rows, columns))
    pairs = best_pairs(agree)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    fewer, more = (agree, columns) if rows <= columns else (agree.T, rows)
    best = max(
        sum(int(fewer[row, column]) for row, column in enumerate(order))
        for order in itertools.permutations(range(more), min(rows, columns))
    )
    assert sum(int(agree[row, column]) for row, column in pairs) == best


def test_rttm_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.rttm"
    path.write_text(";; a comment\nSPKR-INFO a 1 <NA>\nSPEAKER a 1 1.50 2.25 <NA> <NA> FEE041 <NA> <NA>\n\n")
    assert read_rttm(path) == [Span(1.5, 3.75, "FEE041")]


# -- put together ------------------------------------------------------------------------------------------------------


def test_clips_lose_the_silence_around_them_and_are_equally_loud() -> None:
    speech = np.sin(np.arange(SAMPLE_RATE, dtype=np.float32))
    clip = np.pad(np.float32(0.3) * speech, (8000, 4000)).astype(np.float32)
    found = trimmed(clip)
    assert len(found) == pytest.approx(len(speech), abs=1200)
    assert np.sqrt((found**2).mean()) == pytest.approx(put_together.LEVEL, rel=1e-3)
    assert not trimmed(np.zeros(2000, dtype=np.float32)).any()


def test_what_is_said_follows_after_the_gaps_and_is_the_same_at_every_run() -> None:
    talk = conversation(bundled(), 3)
    said = [next(talk) for _ in range(40)]
    again = conversation(bundled(), 3)
    assert [next(again).span for _ in range(40)] == [each.span for each in said]
    gaps = [after.span.start_s - before.span.end_s for before, after in itertools.pairwise(said)]
    assert -0.301 < min(gaps) < 0.0 < max(gaps) < 0.801
    assert {each.speaker for each in said} == {"Ana", "Ben"}
    heard = sound(said, 3)
    first = said[0]
    quiet = heard[: first.start]
    assert np.abs(quiet).max() < 6 * put_together.NOISE
    assert np.abs(heard[first.start : first.start + 8000] - first.samples[:8000]).max() < 6 * put_together.NOISE


def test_speakers_are_known_by_the_names_of_clips(tmp_path: Path) -> None:
    for name in (
        "ravdess/03-01-05-01-02-01-07.ogg",
        "ravdess/03-01-05-01-02-01-24.ogg",  # kept for tests
        "emodb/03a01Fa.ogg",
        "emodb/03b01Wa.ogg",
        "nemo/KS0_anger_1.ogg",
        "nemo/index.csv",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert [{speaker: len(files) for speaker, files in corpus.items()} for corpus in corpora(tmp_path)] == [
        {"07": 1},
        {"03": 2},
        {"KS0": 1},
    ]
    assert corpora(None) == []
    with pytest.raises(ValueError, match="no corpus has 2 speakers"):
        put_together.cast(corpora(tmp_path), 2, 1)


def test_a_stream_of_talk_is_the_same_sound_without_a_gap() -> None:
    voices = bundled()
    pieces = list(speakers._stream(voices, 60 * SAMPLE_RATE))
    heard = np.concatenate([chunk.samples[:, 0] for _, chunk in pieces])
    assert [chunk.start for _, chunk in pieces] == np.cumsum([0, *(len(chunk.samples) for _, chunk in pieces)])[
        :-1
    ].tolist()
    whole = sound([said for said, _ in pieces], 1)[: len(heard)]
    assert np.abs(whole - heard).max() < 12 * put_together.NOISE, "but for the noise"
    assert len(heard) == pytest.approx(60 * SAMPLE_RATE, abs=8 * SAMPLE_RATE)


@pytest.mark.long
def test_a_long_talk_is_heard_in_tenths_and_its_people_are_told_apart() -> None:
    heard: list[float] = []
    tenths = speakers.long_talk(bundled(), 0.03, heard.append)
    assert heard == sorted(heard)
    assert heard[-1] >= 1.0
    assert len(tenths) in {10, 11}
    assert tenths[0].resident_mib > 1
    names: dict[str, set[str]] = {"Ana": set(), "Ben": set()}
    for tenth in tenths[1:]:  # in the first they become known: what is thought of a turn before counts
        for person in tenth.names:
            names[person].add(tenth.name_of(person))
    assert names["Ana"]
    assert names["Ben"]
    assert not names["Ana"] & names["Ben"]


def test_the_long_talk_is_told_who_speaks_when() -> None:
    """From .1 s on: Ana to .27 s, Ben from .2 s on; 10 frames have .169 s, and the sound ends at .269 s."""

    def said(speaker: str, start_s: float, end_s: float) -> Said:
        start, end = round(start_s * SAMPLE_RATE), round(end_s * SAMPLE_RATE)
        return Said(speaker, 0, start, np.ones(end - start, dtype=np.float32))

    spoken = [said("Cleo", 0.0, 0.1), said("Ana", 0.0, 0.27), said("Ben", 0.2, 5.0), said("Ana", 5.0, 6.0)]
    active = speakers._active(spoken, SAMPLE_RATE // 10, 10 * STEP)
    assert active.shape == (10, VOICES)
    assert active[:, 0].tolist() == [True] * 10
    assert active[:, 1].tolist() == [False] * 6 + [True] * 4
    assert not active[:, 2].any()


def _say(path: Path) -> speakers.Told:
    return speakers.Told([Span(0.0, 1.0, path.name)], [], 0.0)


def _die(_: Path) -> speakers.Told:
    os._exit(1)


def test_a_rival_that_dies_is_left_out_and_that_is_said() -> None:
    one = speakers.Recording(speakers.RECORDINGS, "call", Path("call.wav"), 30.0, ANA_THEN_BEN)
    told: dict[str, dict[Path, speakers.Told]] = {}
    with ProcessPoolExecutor(1) as ours, ProcessPoolExecutor(1) as rival:
        ears = {"with": (ours, _say), "senko": (rival, _die)}
        (note,) = speakers._ask(ears, one, told)
        assert not list(speakers._ask(ears, one, told)), "it is not asked again"
    assert isinstance(note, Note)
    assert "No senko" in note.text
    assert told == {"with": {one.path: _say(one.path)}}


def test_what_was_told_becomes_figures() -> None:
    one = speakers.Recording(speakers.RECORDINGS, "call", Path("call.wav"), 30.0, ANA_THEN_BEN)
    wrong, right = [Span(0.0, 20.0, "a")], [Span(0.0, 10.0, "a"), Span(10.0, 20.0, "b")]
    told = {"with": {one.path: speakers.Told(wrong, right, 5.0)}, "without": {one.path: speakers.Told([], [], 2.0)}}
    found = {
        (figure.row, figure.column): figure.median
        for figure in speakers._figures(one.group, [one], told)
        if isinstance(figure, Figure)
    }
    assert found["recordings: error rate", speakers.FIRST] == pytest.approx(50.0)
    assert found["recordings: error rate", speakers.LAST] == 0.0
    assert found["recordings: confused", speakers.FIRST] == pytest.approx(50.0)
    assert found["recordings: turns right", speakers.LAST] == 100.0
    assert found["call: speakers", speakers.FIRST] == 1
    assert found["recordings: processor time", speakers.LAST] == pytest.approx(6.0), "seconds a minute"


def test_recordings_are_those_with_an_rttm_file(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name in ("a.flac", "b.flac"):
        shutil.copy(CONVERSATION, folder / name)
    (folder / "a.rttm").write_text("SPEAKER a 1 1.0 2.0 <NA> <NA> Ana <NA> <NA>\n")
    (found,) = speakers._recordings(Settings(quick=True, workspace=tmp_path, recordings=folder))
    assert (found.name, found.truth) == ("a", [Span(1.0, 3.0, "Ana")])
    assert found.seconds == pytest.approx(48.6, abs=0.1)
