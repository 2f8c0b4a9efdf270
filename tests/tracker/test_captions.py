"""Captions: the two formats, who speaks, and which turn a cue belongs to."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.captions import Captions, Cue, read_captions
from emotrack.tracker.errors import CaptionsError
from emotrack.tracker.listener import SpeechTurn
from tests.tracker.kitchen_table import CAPTIONS, TRUTH


def turn(start_s: float, end_s: float) -> SpeechTurn:
    start, end = round(start_s * SAMPLE_RATE), round(end_s * SAMPLE_RATE)
    return SpeechTurn(0, start, end, end, end, np.zeros(end - start, dtype=np.float32), 0.9, truncated=False)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_bundled_captions_are_the_truth() -> None:
    cues = read_captions(CAPTIONS)
    assert [(cue.speaker, cue.text) for cue in cues] == [(line["speaker"], line["text"]) for line in TRUTH]
    assert cues[3].start_s == pytest.approx(TRUTH[3]["start"])


def test_webvtt_as_it_is_found(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "a.vtt",
        "\ufeffWEBVTT - a title\nKind: captions\n\nNOTE\na comment --\n\nSTYLE\n::cue { color: red }\n\n"
        "intro\n00:01.000 --> 00:02.500 align:start position:0%\n<v.loud Mary Ann>Hi &amp; <i>hello</i></v>\n\n\n"
        "01:00:00.000 --> 01:00:01.000\nno name\nsecond line\n",
    )
    first, second = read_captions(path)
    assert first == Cue(1.0, 2.5, "Hi & hello", "Mary Ann")
    assert second == Cue(3600.0, 3601.0, "no name second line", None)


def test_two_voices_in_one_cue_share_its_time(tmp_path: Path) -> None:
    path = write(tmp_path, "a.vtt", "WEBVTT\n\n00:00.000 --> 00:04.000\n<v A>yes yes</v> <v B>no no no no no</v>\n")
    first, second = read_captions(path)
    assert (first.speaker, second.speaker) == ("A", "B")
    assert first.end_s == second.start_s < 2.0
    assert second.end_s == 4.0


def test_subrip(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "a.srt",
        "1\r\n00:00:01,000 --> 00:00:02,000\r\n{\\an8}<b>Hello</b>\r\n\r\n"
        "2\r\n00:00:03,000 --> 00:00:04,000\r\nyou\r\n",
    )
    assert [cue.text for cue in read_captions(path)] == ["Hello", "you"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.vtt", "00:00.000 --> 00:01.000\nhi\n", "line 1: a .vtt file starts with WEBVTT"),
        ("a.vtt", "WEBVTT\n\n00:00.000 -> 00:01.000\nhi\n", "line 3"),
        ("a.vtt", "WEBVTT\n\n00:00.000 --> 00:01\nhi\n", "line 3: not a timing line"),
        ("a.vtt", "WEBVTT\n\n00:02.000 --> 00:01.000\nhi\n", "line 3: the cue ends before it starts"),
        ("a.vtt", "WEBVTT\n", "no captions"),
        ("a.srt", "hello\nworld\n", "line 1: neither a cue"),
        ("a.srt", "", "no captions"),
    ],
)
def test_malformed_files_are_refused_with_the_line(tmp_path: Path, name: str, text: str, says: str) -> None:
    with pytest.raises(CaptionsError, match=says):
        read_captions(write(tmp_path, name, text))


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.vtt").write_bytes(b"WEBVTT\n\xff\xfe\x00")
    with pytest.raises(CaptionsError, match="UTF-8"):
        read_captions(tmp_path / "a.vtt")
    with pytest.raises(CaptionsError, match="No such file"):
        read_captions(tmp_path / "none.vtt")
    with pytest.raises(CaptionsError, match="directory"):
        read_captions(tmp_path)


def test_a_turn_takes_the_cue_it_overlaps() -> None:
    captions = Captions([Cue(1, 2, "one", "A"), Cue(3, 4, "two", "B")])
    (part,) = captions.caption(turn(0.8, 2.2))
    assert (part.text, part.speaker) == ("one", "A")
    (part,) = captions.caption(turn(2.8, 4.1))
    assert (part.text, part.speaker) == ("two", "B")
    (part,) = captions.caption(turn(8, 9))
    assert (part.text, part.speaker) == (None, None)


def test_a_cue_over_two_turns_gives_its_words_once_and_its_speaker_twice() -> None:
    captions = Captions([Cue(0, 6, "long and winding", "A")])
    (first,) = captions.caption(turn(0, 2))
    (second,) = captions.caption(turn(3, 6))
    assert (first.text, second.text) == ("long and winding", None)
    assert first.speaker == second.speaker == "A"


def test_a_turn_is_divided_where_the_speaker_changes() -> None:
    captions = Captions([Cue(0.5, 2, "one", "A"), Cue(2, 3, "more", "A"), Cue(3.2, 5, "two", "B")])
    first, second = captions.caption(turn(0.4, 5.2))
    assert (first.text, first.speaker) == ("one more", "A")
    assert (second.text, second.speaker) == ("two", "B")
    assert first.turn.end == second.turn.start == round(3.1 * SAMPLE_RATE)


CUES = st.lists(
    st.builds(
        lambda start, length, speaker: Cue(start, start + length, "words", speaker),
        st.floats(0, 30),
        st.floats(0.05, 8),
        st.sampled_from(["A", "B", None]),
    ),
    max_size=30,
).map(lambda cues: sorted(cues, key=lambda cue: (cue.start_s, cue.end_s)))


@given(CUES, st.lists(st.tuples(st.floats(0, 30), st.floats(0.3, 10)), min_size=1, max_size=8))
def test_whatever_the_captions_a_turn_is_divided_without_loss(
    cues: list[Cue], spans: list[tuple[float, float]]
) -> None:
    captions = Captions(cues)
    words = 0
    for start, length in spans:
        whole = turn(start, start + length)
        foretold = [(part.turn.start, part.text, part.speaker) for part in captions.preview(whole)]
        parts = captions.caption(whole)
        assert [(part.turn.start, part.text, part.speaker) for part in parts] == foretold
        assert parts[0].turn.start == whole.start
        assert parts[-1].turn.end == whole.end
        assert all(a.turn.end == b.turn.start for a, b in pairwise(parts))
        assert all(len(part.turn.samples) >= 0.1 * SAMPLE_RATE for part in parts)
        words += sum(part.text.count("words") for part in parts if part.text)
    assert words <= len(cues)
