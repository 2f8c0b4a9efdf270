"""Captions: the two formats, who speaks, and which turn a cue belongs to."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.errors import CaptionsError
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.understanding.captions import Captions, Cue, read_captions
from emotrack.tracker.understanding.captions.parsing import WrittenCue
from emotrack.tracker.understanding.captions.rolling import unrolled
from tests.noticing import noticed
from tests.tracker.kitchen_table import CAPTIONS, TRUTH


def turn(start_s: float, end_s: float) -> SpeechTurn:
    start, end = round(start_s * SAMPLE_RATE), round(end_s * SAMPLE_RATE)
    return SpeechTurn(0, start, end, end, end, np.zeros(end - start, dtype=np.float32), 0.9, 1.0, truncated=False)


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


SAID = (  # seconds, speaker, words
    (1.0, 3.075, "Ana", "Good morning. Did you sleep well?"),
    (3.975, 6.855, "Ben", "I did, thank you. The coffee is on the table."),
    (7.755, 10.295, "Ana", "Listen to this! I got the job! I am so happy!"),
    (11.295, 14.217, "Ben", "Wow! Really? I can't believe it, that is amazing!"),
    (15.017, 17.894, "Ana", "They called yesterday evening. I start on Monday."),
    (18.894, 22.492, "Ben", "Yesterday? Why didn't you tell me? I hate finding out last."),
)
TIMES = [(start_s, end_s) for start_s, end_s, _, _ in SAID]
LETTERS = "\u2013 \u2019\u00e9"
WORDS = [words for _, _, _, words in SAID]
SPEAKERS = [speaker for _, _, speaker, _ in SAID]


def stamp(seconds: float, point: str = ".") -> str:
    return f"00:00:{seconds:06.3f}".replace(".", point)


def vtt(written: str = "{words}", header: str = "WEBVTT\n\n") -> str:
    return header + "".join(
        f"{stamp(start_s)} --> {stamp(end_s)}\n{form(written, number)}\n\n"
        for number, (start_s, end_s, _, _) in enumerate(SAID)
    )


def srt(written: str = "{words}") -> str:
    return "".join(
        f"{number + 1}\n{stamp(start_s, ',')} --> {stamp(end_s, ',')}\n{form(written, number)}\n\n"
        for number, (start_s, end_s, _, _) in enumerate(SAID)
    )


def form(written: str, number: int) -> str:
    _, _, name, words = SAID[number]
    return written.format(name=name, NAME=name.upper(), number=number % 2, words=words)


def read(folder: Path, text: str | bytes) -> tuple[list[Cue], str]:
    """The cues of a file, and the notice about it, without the file's name."""
    path = folder / "captions.txt"  # what is in it tells the format
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with noticed() as notices:
        cues = read_captions(path)
    assert len(notices) <= 1
    return cues, "".join(notices).removeprefix(f"{path}: ")


AS_WRITTEN = {
    "WebVTT": vtt(),
    "SubRip": srt(),
    "no blank lines": srt().replace("\n\n", "\n"),
    "no blank lines in WebVTT": vtt().replace("\n\n", "\n"),
    "every line end twice": srt().replace("\n", "\n\n"),
    "CR": srt().replace("\n", "\r"),
    "CR LF": vtt().replace("\n", "\r\n"),
    "CR CR LF": srt().replace("\n", "\r\r\n"),
    "NEL": srt().replace("\n", "\x85"),
    "NULs after a crash": srt() + "\0" * 500,
    "a mark inside": srt().replace("\n3\n", "\n\ufeff3\n"),
    "blank line before the header": "\n" + vtt(),
    "comments, styles, regions": vtt(
        header="WEBVTT - t\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nREGION\nid:a\n\nNOTE a\nb\n\nNOTE\nc\n\n"
    ).replace("table.\n\n", "table.\n\nNOTE inside\nof the file\n\n"),
    "segments of a stream": vtt(header="WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:9\n\n").replace(
        "table.\n\n", "table.\n\nWEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:9\n\n"
    ),
    "names of cues": vtt().replace("\n\n00:", "\n\n1b2f-77/12-0\n00:"),
    "settings": vtt().replace("\nGood", " align:start position:0%\nGood").replace("\nI did", " X1:4 X2:9\nI did"),
    "points": srt().replace(",0", ".0"),
    "commas": vtt().replace(".0", ",0"),
    "no hours": srt().replace("00:00:", "00:"),
    "one digit": srt().replace("00:00:0", "0:0:"),
    "colon before milliseconds": srt().replace("01,000", "01:000"),
    "blanks in times": srt().replace("00:00:", "00: 00: ").replace(",0", ", 0"),
    "no blanks around the arrow": srt().replace(" --> ", "-->"),
    "another arrow": srt().replace("-->", "->"),
    "a dash for an arrow": srt().replace("-->", "\u2014>"),
    "escaped": vtt().replace(">", "&gt;"),
    "as Whisper prints": "".join(
        f"[{stamp(start_s)[3:]} --> {stamp(end_s)[3:]}]  {words}\n" for start_s, end_s, _, words in SAID
    ),
    "not in order": "\n\n".join(reversed(srt().strip().split("\n\n"))),
    "all of it twice": srt() + srt(),
    "tags": srt('{{\\an8}}<i><font color="#ff0000">{words}</font></i><00:00:01.000>'),
    "breaks of Aegisub": srt().replace(". ", r".\N").replace("? ", r"?\h"),
    "entities": srt().replace("'", "&#39;").replace("Good ", "Good&nbsp;").replace("I did", "I&#x20;did"),
    "marks of a new speaker": vtt("&gt;&gt; {words}"),
}


@pytest.mark.parametrize("text", AS_WRITTEN.values(), ids=AS_WRITTEN)
def test_however_it_is_written(tmp_path: Path, text: str) -> None:
    cues, notice = read(tmp_path, text)
    assert [cue.text for cue in cues] == WORDS
    assert [(cue.start_s, cue.end_s) for cue in cues] == TIMES
    assert notice == ""


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_in_whatever_encoding(tmp_path: Path, encoding: str) -> None:
    cues, notice = read(tmp_path, srt(f"{{name}} Müller: {{words}} {LETTERS}").encode(encoding))
    assert [cue.text for cue in cues] == [f"{words} {LETTERS}" for words in WORDS]
    assert [cue.speaker for cue in cues] == [f"{speaker} Müller" for speaker in SPEAKERS]
    assert notice == ""


def test_windows_1252_is_read_and_said(tmp_path: Path) -> None:
    cues, notice = read(tmp_path, srt(f"{{words}} {LETTERS}").encode("cp1252"))
    assert [cue.text for cue in cues] == [f"{words} {LETTERS}" for words in WORDS]
    assert notice == "6 lines from line 3 on are not UTF-8 but read as Windows-1252"
    cues, notice = read(tmp_path, srt(f"{{words}} {LETTERS}").encode() + b"7\n00:00:40,000 --> 00:00:41,000\ncaf\xe9\n")
    assert [cue.text for cue in cues] == [*(f"{words} {LETTERS}" for words in WORDS), "café"]
    assert notice == "line 27 is not UTF-8 but read as Windows-1252"


ODD = {
    "a blank line inside": (
        srt().replace("this! ", "this!\n\n"),
        "took 1 line after a blank one as words of the caption before (line 13)",
    ),
    "metadata after a blank line": (
        vtt(header="WEBVTT\n\nKind: captions\nLanguage: en\n\n"),
        "left out 2 lines before the first caption (first: line 3)",
    ),
    "a line before the header": (
        vtt(header="saved by me\nWEBVTT\n\n"),
        "left out 1 line before the first caption (line 1)",
    ),
    "from before the beginning": (
        "-00:00:02,000 --> -00:00:01,000\nbefore\n\n" + srt(),
        "left out 1 caption from before the beginning (line 1)",
    ),
    "times that are none": (
        srt() + "7\n00:00:xx,000 --> 00:00:41,000\nthese\nwords\n\n8\n00:00:42,000 -->\nand these\n",
        "left out 2 captions whose times cannot be read (first: line 26)",
    ),
}


@pytest.mark.parametrize(("text", "says"), ODD.values(), ids=ODD)
def test_what_is_left_out_is_said_once(tmp_path: Path, text: str, says: str) -> None:
    cues, notice = read(tmp_path, text)
    assert [cue.text for cue in cues] == WORDS
    assert notice == says


def test_several_things_are_said_in_one_line(tmp_path: Path) -> None:
    _, notice = read(
        tmp_path, "saved\n" + vtt().replace("--> 00:00:03.075", "--> 00:00:01.000").replace("this! ", "this!\n\n")
    )
    assert notice == (
        "left out 1 line before the first caption (line 1); took 1 caption without a length as 0.1 s long (line 4); "
        "took 1 line after a blank one as words of the caption before (line 13)"
    )


@pytest.mark.parametrize("end", ["00:00:10,500", "00:00:09,000"])
def test_a_cue_without_a_length_is_given_a_short_one(tmp_path: Path, end: str) -> None:
    cues, notice = read(tmp_path, srt() + f"7\n00:00:10,500 --> {end}\nSo.\n")
    assert cues[3] == Cue(10.5, 10.6, "So.", None)
    assert [cue.text for cue in cues if cue != cues[3]] == WORDS
    assert notice == "took 1 caption without a length as 0.1 s long (line 26)"


def test_times_of_all_lengths(tmp_path: Path) -> None:
    cues, _ = read(
        tmp_path, "1\n00:00:03,9 --> 0:0:06,85\na\n\n90:00 --> 90:01\nb\n\n123:00:00.5 --> 123:00:01.123456\nc\n"
    )
    times = [time for cue in cues for time in (cue.start_s, cue.end_s)]
    assert times == pytest.approx([3.9, 6.85, 5400, 5401, 442800.5, 442801.123456])
    cues, notice = read(tmp_path, "-00:00:00,500 --> 00:00:01,000\na\n")
    assert (cues, notice) == ([Cue(0.0, 1.0, "a", None)], "")


def test_numbers_and_times_that_are_said(tmp_path: Path) -> None:
    numbers = ["3", "2", "1", "100", "5", "6"]
    for text in (srt(), srt().replace("\n\n", "\n"), vtt()):
        for words, number in zip(WORDS, numbers, strict=True):
            text = text.replace(words, number)  # noqa: PLW2901
        cues, _ = read(tmp_path, text)
        assert [cue.text for cue in cues] == numbers
    cues, notice = read(tmp_path, srt("10:30 --> 11:00 is lunch\nhe went --> there\n{words} a < b, I <3 you, AT&T"))
    assert cues[1].text == f"10:30 --> 11:00 is lunch he went --> there {WORDS[1]} a < b, I <3 you, AT&T"
    assert notice == ""


NAMED = {
    "{name}: {words}": "Ana",
    "{NAME}: {words}": "ANA",
    "{name} Müller: {words}": "Ana Müller",
    "{name}:\n{words}": "Ana",
    "{name} : {words}": "Ana",
    "{name}:{words}": "Ana",
    "{name}\uff1a{words}": "Ana",
    ">> {NAME}: {words}": "ANA",
    "&gt;&gt; {name}: {words}": "Ana",
    "- {name}: {words}": "Ana",
    "[{name}]: {words}": "Ana",
    "[{name}] {words}": "Ana",
    "({name}) {words}": "Ana",
    "[SPEAKER_0{number}]: {words}": "SPEAKER_00",
    "SPEAKER_0{number}: {words}": "SPEAKER_00",
    "Speaker {number}: {words}": "Speaker 0",
    "(speaker {number}) {words}": "speaker 0",
    "Dr. {name} von Thun (she/her): {words}": "Dr. Ana von Thun (she/her)",
    "Müller, {name}: {words}": "Müller, Ana",
    "{name}@example.org: {words}": "Ana@example.org",
    "+49 30 12345{number}: {words}": "+49 30 123450",
    "guest {number}: {words}": "guest 0",
    "<b>{name}:</b> {words}": "Ana",
    "{{\\an8}}{name}: {words}": "Ana",
    "<v {name}>{words}</v>": "Ana",
    "<v.loud.first {name}>{words}": "Ana",
}


@pytest.mark.parametrize(("written", "first"), NAMED.items(), ids=NAMED)
@pytest.mark.parametrize("make", [vtt, srt])
def test_the_name_before_the_words_is_the_speaker(
    tmp_path: Path, make: Callable[[str], str], written: str, first: str
) -> None:
    cues, notice = read(tmp_path, make(written))
    assert [cue.text for cue in cues] == WORDS
    assert [cue.speaker for cue in cues][::2] == [first] * 3
    assert len({cue.speaker for cue in cues[1::2]} - {first, None}) == 1
    assert notice == ""


def test_words_with_a_colon_are_no_names(tmp_path: Path) -> None:
    befores = ("Note: ", "Well: ", "http://a.b ", "10:30 ", "Note: ", "Here is the thing: ")
    for written in ("{words}", "<v {name}>{words}", "{name}: {words}"):
        text = vtt(written)
        said = [before + words for before, words in zip(befores, WORDS, strict=True)]
        for words, changed in zip(WORDS, said, strict=True):
            text = text.replace(words, changed)
        cues, _ = read(tmp_path, text)
        assert [cue.text for cue in cues] == said
        assert [cue.speaker for cue in cues] == ([None] * 6 if written == "{words}" else SPEAKERS)


def test_sounds_are_no_names(tmp_path: Path) -> None:
    text = srt().replace("Good", "[MUSIC] Good").replace("Wow", "[MUSIC] Wow").replace("They", "(laughs) They")
    cues, _ = read(tmp_path, text + "7\n00:00:30,000 --> 00:00:31,000\n[Music]\n\n")
    assert {cue.speaker for cue in cues} == {None}
    assert cues[-1].text == "[Music]"
    cues, _ = read(tmp_path, srt("[joy] {name}: {words}"))  # as sessions are exported
    assert [(cue.speaker, cue.text) for cue in cues] == [
        (name, f"[joy] {words}") for name, words in zip(SPEAKERS, WORDS, strict=True)
    ]


def test_names_that_stand_where_the_speaker_changes(tmp_path: Path) -> None:
    """They hold until the next; where a name follows itself they are repeated, and nothing is known of the others."""
    lines = ["Ana: One.", "Two.", "Ben: Three.", "Four.", "Five.", "Ana: Six.", "Ben: Seven.", "Eight."]
    text = "\n".join(f"00:{second:02}.000 --> 00:{second:02}.900\n{line}\n" for second, line in enumerate(lines))
    cues, _ = read(tmp_path, text)
    assert [cue.speaker for cue in cues] == ["Ana", "Ana", "Ben", "Ben", "Ben", "Ana", "Ben", "Ben"]
    cues, _ = read(tmp_path, text.replace("Five", "Ben: Five").replace("Eight", "Ben: Eight"))
    assert [cue.speaker for cue in cues] == ["Ana", None, "Ben", None, "Ben", "Ana", "Ben", "Ben"]


def test_two_speakers_in_one_caption(tmp_path: Path) -> None:
    for two in ("- Ana: Hello.\n- Ben: Hi.", ">> ANA: Hello. >> BEN: Hi.", "Ana: Hello.\nBen: Hi."):
        cues, _ = read(tmp_path, f"00:00.000 --> 00:03.000\n{two}\n\n00:04.000 --> 00:05.000\n{two}\n\n")
        assert [(cue.speaker or "").title() for cue in cues] == ["Ana", "Ben"] * 2
        assert [cue.text for cue in cues] == ["Hello.", "Hi."] * 2


def rolling(*, timed: bool, shown: int, blank: str = "") -> str:
    """As YouTube writes its automatic captions: ``shown`` lines of which the last is new, then 10 ms without it."""
    text = "WEBVTT\nKind: captions\nLanguage: en\n\n"
    for number, (start_s, _, _, words) in enumerate(SAID):
        end_s = (SAID[number + 1][0] if number + 1 < len(SAID) else SAID[-1][1]) - 0.01
        new = words.replace(" ", f"<{stamp(start_s + 0.1)}><c> ", 1) + "</c>" if timed else words
        lines = [*(WORDS[max(number + 1 - shown, 0) : number] or [blank]), new]
        text += f"{stamp(start_s)} --> {stamp(end_s)} align:start position:0%\n" + "\n".join(lines) + "\n\n"
        text += (
            f"{stamp(end_s)} --> {stamp(end_s + 0.01)}\n"
            + "\n".join([*lines[-shown + 1 :][:-1], words, blank])
            + "\n\n"
        )
    return text


@pytest.mark.parametrize("shown", [2, 3])
@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("blank", ["", " "])
def test_captions_that_scroll_give_each_line_once(tmp_path: Path, *, timed: bool, shown: int, blank: str) -> None:
    cues, _ = read(tmp_path, rolling(timed=timed, shown=shown, blank=blank))
    assert [cue.text for cue in cues] == WORDS
    assert [cue.start_s for cue in cues] == [start_s for start_s, _ in TIMES]
    assert all(cue.end_s <= after.start_s for cue, after in pairwise(cues))


def test_captions_that_grow_or_are_highlighted_word_by_word(tmp_path: Path) -> None:
    for written, count in (("{so_far}", 16), ("{before} <u>{word}</u> {after}", 2)):
        text = ""
        for start_s, _, _, sentence in SAID[:2]:
            words = sentence.split()
            for at, word in enumerate(words):
                now = {"so_far": " ".join(words[: at + 1]), "before": " ".join(words[:at]), "word": word}
                line = written.format(**now, after=" ".join(words[at + 1 :]))
                text += f"{stamp(start_s + at / 10)} --> {stamp(start_s + at / 10 + 0.1)}\n{line}\n\n"
        cues, _ = read(tmp_path, text)
        assert " ".join(cue.text for cue in cues) == " ".join(WORDS[:2])
        assert len(cues) == count


def test_somebody_may_say_the_same_twice(tmp_path: Path) -> None:
    cues, _ = read(
        tmp_path, "00:01.000 --> 00:02.000\nNo.\n\n00:02.000 --> 00:03.000\nNo.\n\n00:03.000 --> 00:04.000\nYes.\n"
    )
    assert [cue.text for cue in cues] == ["No.", "No.", "Yes."]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "no words under a line like 00:00:01.000 --> 00:00:03.500"),
        (b"WEBVTT\n", "no words under"),
        (b"hello\nworld\n", "no words under"),
        (bytes(range(256)) * 400, "no words under"),
        (b"00:00.000 --> 00:01.000\n\n", "no words under"),
        (b"WEBVTT\n\n00:00.000 --> soon\nhi\n", "left out 1 caption whose times cannot be read .line 3"),
        (b"WEBVTT\n\n-00:02.000 --> -00:01.000\nhi\n", "left out 1 caption from before the beginning .line 3"),
        (b"a" * 20_000_001, "larger than 20 MB"),
    ],
)
def test_files_in_which_nothing_can_be_read_are_refused(tmp_path: Path, text: bytes, says: str) -> None:
    with pytest.raises(CaptionsError, match=says) as refused:
        read(tmp_path, text)
    assert "\n" not in str(refused.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(CaptionsError, match="No such file"):
        read_captions(tmp_path / "none.vtt")
    with pytest.raises(CaptionsError, match="directory"):
        read_captions(tmp_path)
    with pytest.raises(CaptionsError, match="larger than 20 MB"):
        read_captions(Path("/dev/zero"))


HEAD = "WEBVTT\n\n00:01.000 --> 00:02.000\n"
HOSTILE: dict[str, Callable[[int], str]] = {
    "<": lambda size: HEAD + "<" * size,
    "<a": lambda size: HEAD + "<a" * (size // 2),
    "<v ": lambda size: HEAD + "<v " * (size // 3),
    "<v and blanks": lambda size: HEAD + "<v" + " " * size + "a",
    "<v.a.a": lambda size: HEAD + "<v" + ".a" * (size // 2),
    "{\\": lambda size: HEAD + "{\\" * (size // 2),
    "&": lambda size: HEAD + "&" * size,
    "&#9": lambda size: HEAD + "&#" + "9" * size + ";",
    ">": lambda size: HEAD + ">" * size + "a",
    ">> a": lambda size: HEAD + ">> a " * (size // 5),
    "blanks": lambda size: HEAD + "a" + " " * size + "b",
    "[": lambda size: HEAD + "[" * size,
    ":": lambda size: HEAD + "a: " * (size // 3),
    "digits": lambda size: "1" * size + "\n" + HEAD + "a",
    "digits of a time": lambda size: "1" * size + ":00 --> 00:01\na\n" + HEAD + "a",
    "blanks in times": lambda size: HEAD + "a\n00:01.000" + " " * size + "-->" + " " * size + "00:02.000\na",
    "settings": lambda size: HEAD.strip() + " a:b" * (size // 4) + "\na",
    "blank lines": lambda size: HEAD + "a" + "\n" * size,
    "lines": lambda size: HEAD + "a\n" * (size // 2),
    "scrolling lines": lambda size: HEAD + ("a\n" * (size // 4) + "\n00:02.000 --> 00:03.000\n") * 2,
    "comments": lambda size: "WEBVTT\n\n" + "NOTE\n\n" * (size // 6) + HEAD + "a",
    "cues": lambda size: HEAD + "a" + "\n\n00:01.000 --> 00:02.000\na" * (size // 28),
    "names": lambda size: "".join(f"00:01 --> 00:02\nA{number}: a\n" for number in range(size // 24)),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_time_grows_with_the_size_of_a_file(tmp_path: Path, make: Callable[[int], str]) -> None:
    """Eight times the size may take forty times the time, as clocks are coarse; 64 times would be quadratic."""

    def seconds(size: int) -> float:
        text = make(size).encode()
        began = time.process_time()
        read(tmp_path, text)
        return time.process_time() - began

    small = min(seconds(12_000) for _ in range(3))
    assert min(seconds(96_000) for _ in range(2)) < 40 * max(small, 0.01)


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


def test_captions_that_fit_no_turn_are_told() -> None:
    captions = Captions([Cue(at, at + 0.9, "words", "A") for at in range(20)])
    for at in range(17):
        captions.caption(turn(at, at + 0.9))
    says = (
        "17 of 20 captions fit a turn, and only their words are used; the captions run from 0.0 to 19.9 s, the audio to"
    )
    assert captions.misfit(20.0, all_heard=True) == f"{says} 20.0 s"
    assert captions.misfit(17.5, all_heard=False) is None
    captions.caption(turn(17, 17.9))
    assert captions.misfit(20.0, all_heard=True) is None
    assert (Captions([Cue(601, 602, "words", "A")]).misfit(48.0, all_heard=True) or "").startswith(
        "0 of 1 captions fit"
    )
    assert Captions([Cue(601, 602, "words", "A")]).misfit(48.0, all_heard=False) is None


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


@pytest.mark.parametrize("start_s", [0.0, 600.0])
def test_a_turn_is_divided_into_parts_of_a_fifth_of_a_second_and_no_shorter(start_s: float) -> None:
    captions = Captions([Cue(start_s, start_s + 0.1, "no", "A"), Cue(start_s + 0.1, start_s + 0.4, "yes yes", "B")])
    first, second = captions.preview(turn(start_s, start_s + 0.4))
    assert [len(part.turn.samples) / SAMPLE_RATE for part in (first, second)] == [0.2, 0.2]
    assert [(part.text, part.speaker) for part in (first, second)] == [("no", "A"), ("yes yes", "B")]
    (whole,) = captions.preview(turn(start_s, start_s + 0.39))
    assert (whole.text, whole.speaker) == ("no yes yes", "B"), "the longest cue has it"


@pytest.mark.parametrize(("end_s", "is_said"), [(1.32, True), (1.28, False)])
def test_a_cue_is_said_in_a_turn_that_has_three_tenths_of_it(end_s: float, is_said: bool) -> None:
    (part,) = Captions([Cue(1.0, 2.0, "words", "A")]).preview(turn(0.0, end_s))
    assert (part.text == "words") == is_said


def test_the_middle_of_a_pause_is_the_border_and_every_part_has_its_room() -> None:
    """By hand: three speakers in .8 s, of which the first two have hardly any; each part gets at least .2 s."""
    captions = Captions([Cue(5.0, 5.01, "a", "A"), Cue(5.02, 5.03, "b", "B"), Cue(5.7, 5.8, "c", "C")])
    parts = captions.preview(turn(5.0, 5.8))
    assert [round(part.turn.start_s, 3) for part in parts] == [5.0, 5.2, 5.4]
    captions = Captions([Cue(5.0, 5.1, "a", "A"), Cue(5.77, 5.78, "b", "B"), Cue(5.79, 5.8, "c", "C")])
    assert [round(part.turn.start_s, 3) for part in captions.preview(turn(5.0, 5.8))] == [5.0, 5.4, 5.6]


@pytest.mark.parametrize(("gap_s", "scrolls"), [(0.1, True), (0.11, False)])
def test_cues_scroll_into_each_other_over_a_tenth_of_a_second(gap_s: float, scrolls: bool) -> None:
    written, at_s = [], 0.0
    for number in range(5):
        written.append(WrittenCue(at_s, at_s + 1.0, (f"line {number}", f"line {number + 1}")))
        at_s = at_s + 1.0 + gap_s
    found = [cue.lines for cue in unrolled(written)]
    new = [("line 0", "line 1"), *((f"line {number}",) for number in range(2, 6))]
    assert found == (new if scrolls else [cue.lines for cue in written])


def test_the_first_number_is_no_words_and_one_in_the_middle_is_where_most_cues_have_none(tmp_path: Path) -> None:
    text = "1\n00:01.000 --> 00:02.000\ntake a guess\n42\n00:03.000 --> 00:04.000\nno\n\n"
    text += "".join(f"00:0{at}.000 --> 00:0{at + 1}.000\nwell\n\n" for at in (5, 6, 7))
    cues, notice = read(tmp_path, text)
    assert [cue.text for cue in cues] == ["take a guess 42", "no", "well", "well", "well"]
    assert notice == ""


@pytest.mark.parametrize(("shown", "scrolls"), [("ab bc x y yz p q qr s", False), ("ab bc x y yz p q qr rs", True)])
def test_a_file_scrolls_where_half_of_its_cues_show_the_last_line_again(shown: str, scrolls: bool) -> None:
    """Three of eight may do so by chance; four of eight do not."""
    written = [WrittenCue(at, at + 1.0, tuple(lines)) for at, lines in enumerate(shown.split())]
    found = ["".join(cue.lines) for cue in unrolled(written)]
    assert found == ("ab c x y z p q r s" if scrolls else shown).split()
