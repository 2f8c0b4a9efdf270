"""Every format is read by a parser of its own, with words that would break a careless one."""

from __future__ import annotations

import csv
import html
import io
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Sized
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import srt
import webvtt
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from emotrack.tracker.events import Correction, Turn
from emotrack.tracker.messages.plain import plain_document
from emotrack.tracker.sessions.export import FORMATS, FormatName, export
from emotrack.tracker.sessions.export.emotionml import NAMESPACE, OUR_NAMESPACE
from emotrack.tracker.sessions.export.wording import one_line
from emotrack.tracker.sessions.formats import FORMAT_NAMES
from emotrack.tracker.sessions.reading.reader import Session
from emotrack.tracker.understanding.captions import read_captions
from tests.tracker.dashboard.made_up import HEAD, LABELS, ended, started, turn

# Our own schema, of the parts of EmotionML 1.0 that are written; the W3C's is not copied here.
SCHEMA = etree.XMLSchema(
    etree.XML(f"""
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="{NAMESPACE}" targetNamespace="{NAMESPACE}"
           elementFormDefault="qualified">
  <xs:simpleType name="scale">
    <xs:restriction base="xs:float"><xs:minInclusive value="0"/><xs:maxInclusive value="1"/></xs:restriction>
  </xs:simpleType>
  <xs:element name="info">
    <xs:complexType mixed="true">
      <xs:sequence><xs:any namespace="##other" processContents="lax" minOccurs="0" maxOccurs="unbounded"/></xs:sequence>
    </xs:complexType>
  </xs:element>
  <xs:element name="emotionml">
    <xs:complexType>
      <xs:sequence>
        <xs:element ref="info" minOccurs="0"/>
        <xs:choice minOccurs="0" maxOccurs="unbounded">
          <xs:element name="vocabulary">
            <xs:complexType>
              <xs:sequence>
                <xs:element name="item" maxOccurs="unbounded">
                  <xs:complexType><xs:attribute name="name" type="xs:NMTOKEN" use="required"/></xs:complexType>
                </xs:element>
              </xs:sequence>
              <xs:attribute name="type" use="required" fixed="category"/>
              <xs:attribute name="id" type="xs:ID" use="required"/>
            </xs:complexType>
            <xs:unique name="items"><xs:selector xpath="*"/><xs:field xpath="@name"/></xs:unique>
          </xs:element>
          <xs:element name="emotion">
            <xs:complexType>
              <xs:sequence>
                <xs:element ref="info" minOccurs="0"/>
                <xs:element name="category">
                  <xs:complexType>
                    <xs:attribute name="name" type="xs:NMTOKEN" use="required"/>
                    <xs:attribute name="confidence" type="scale"/>
                  </xs:complexType>
                </xs:element>
                <xs:element name="dimension" minOccurs="0" maxOccurs="2">
                  <xs:complexType>
                    <xs:attribute name="name" type="xs:NMTOKEN" use="required"/>
                    <xs:attribute name="value" type="scale" use="required"/>
                  </xs:complexType>
                </xs:element>
              </xs:sequence>
              <xs:attribute name="dimension-set" type="xs:anyURI"/>
              <xs:attribute name="id" type="xs:ID"/>
              <xs:attribute name="start" type="xs:nonNegativeInteger"/>
              <xs:attribute name="end" type="xs:nonNegativeInteger"/>
              <xs:attribute name="expressed-through" type="xs:NMTOKENS"/>
            </xs:complexType>
          </xs:element>
        </xs:choice>
      </xs:sequence>
      <xs:attribute name="version" use="required" fixed="1.0"/>
      <xs:attribute name="category-set" type="xs:anyURI"/>
    </xs:complexType>
  </xs:element>
</xs:schema>""")
)
XML = {"e": NAMESPACE, "t": OUR_NAMESPACE}

AWKWARD = (
    *(
        '=HYPERLINK("http://x","y")',
        "+1",
        "-2+3",
        "@SUM(A1)",
        " =1",
        "\t=1",
        "\r\n=1",
        "'=1",
        "''=1",
        "\ufeff=1",
        "\uff1d1",
    ),
    *(
        "'tis",
        "a, b",
        'say "hi"',
        "two\nlines",
        "one\r\nand\rtwo",
        "1\n00:00:00,000 --> 00:00:01,000\nnot a cue",
        "-->",
    ),
    *(
        "<b>bold</b>",
        "</v><v Bob>",
        "&amp; & &lt;",
        "]]>",
        "{\\an8}",
        "WEBVTT",
        "NOTE x",
        ";; x",
        "<NA>",
        "unknown",
        "Ana--",
    ),
    *(
        "\x00\x01\x1b[31mred\x7f",
        "\x85\u2028\u2029",
        "\ufffe\uffff",
        "👩‍👩‍👧 🙂",
        "שלום עולם",
        "\u202etxet",
        "   ",
        "",
        "a\tb",
        "[joy] Ana: no",
    ),
)
WORDS = st.none() | st.sampled_from(AWKWARD) | st.text(max_size=30)
SECONDS = st.floats(0, 400_000).map(lambda seconds: round(seconds, 3))


def session(*turns: Turn, corrections: dict[int, str] | None = None, **changes: Any) -> Session:
    corrected = {
        number: Correction(**HEAD, turn_id=number, emotion=emotion) for number, emotion in (corrections or {}).items()
    }
    made: dict[str, Any] = {"started": started(), "ended": ended(len(turns))} | changes
    return Session(Path("s.jsonl"), "s", turns=list(turns), corrections=corrected, **made)


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    """Turns that may overlap, with any words, in the order in which they end."""
    turns, corrections = [], {}
    for number in range(1, draw(st.integers(1, 4)) + 1):
        start_s = draw(SECONDS)
        emotion = draw(st.sampled_from([*LABELS, "very angry", "very_angry", "]", "=1", "", "-->"]))
        turns.append(
            turn(
                number,
                emotion,
                start_s=start_s,
                end_s=round(start_s + draw(st.floats(0, 30)), 3),
                speaker=draw(WORDS),
                text=draw(WORDS),
            )
        )
        if draw(st.booleans()):
            corrections[number] = draw(st.sampled_from(LABELS))
    return session(*turns, corrections=corrections, started=draw(st.sampled_from([started(), None])))


def by_start(made: Session) -> list[Turn]:
    return sorted(made.turns, key=lambda turn: (turn.start_s, turn.end_s, turn.turn_id))


def rows(document: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(document, newline="")))


def emotionml(document: str) -> etree._Element:
    root = etree.fromstring(document.encode())
    SCHEMA.assertValid(root)
    return root


def subrip(document: str) -> list[srt.Subtitle]:
    return list(srt.parse(document))


def vtt(document: str) -> list[webvtt.Caption]:
    return webvtt.from_string(document).captions


def labels(document: str) -> list[tuple[float, float, str]]:
    found = [line.split("\t") for line in document.split("\n")]
    assert found.pop() == [""]
    return [(float(start), float(end), label) for start, end, label in found]


RTTM = re.compile(r"SPEAKER (\S+) 1 (\d+\.\d{3}) (\d+\.\d{3}) <NA> <NA> ([^\s<>]+) <NA> <NA>")


def rttm(document: str) -> list[re.Match[str]]:
    found = document.split("\n")
    assert found.pop() == ""
    matches = [RTTM.fullmatch(line) for line in found]
    assert None not in matches
    return [match for match in matches if match]


def test_the_command_offers_every_format() -> None:
    assert set(FORMAT_NAMES) == set(FORMATS)


@pytest.mark.parametrize("empty", [session(), session(started=None, ended=None)])
def test_a_session_without_turns_is_a_valid_empty_document(empty: Session) -> None:
    turns_in: dict[str, Callable[[str], Sized]] = {
        "csv": rows,
        "srt": subrip,
        "vtt": vtt,
        "emotionml": lambda text: emotionml(text).findall("e:emotion", XML),
        "rttm": rttm,
        "audacity": labels,
    }
    assert set(turns_in) == set(FORMAT_NAMES), "every format is read back"
    for name in FORMAT_NAMES:
        assert not turns_in[name](export(empty, name)), name
    assert export(empty, "csv").startswith("session,turn_id,start_s,end_s,")


@pytest.mark.parametrize("format", sorted(set(FORMAT_NAMES) - {"rttm"}))  # which knows no emotions
def test_a_correction_takes_the_place_of_the_estimate(format: FormatName) -> None:
    before = export(session(turn(1, "joy"), turn(2, "joy")), format)
    after = export(session(turn(1, "joy"), turn(2, "joy"), corrections={2: "anger"}), format)
    shown = {"csv": ",anger,joy,anger,", "emotionml": '<category name="anger" />'}.get(format, "[anger]")
    assert shown not in before
    assert after.count(shown) == 1


def test_csv() -> None:
    first, second = rows(
        export(session(turn(1, "joy", text=None, speaker=None), turn(2, "fear"), corrections={2: "anger"}), "csv")
    )
    assert first["text"] == first["speaker"] == first["corrected"] == ""
    assert (second["emotion"], second["estimated"], second["corrected"]) == ("anger", "fear", "anger")
    assert (second["start_s"], second["end_s"], second["uncertain"]) == ("6.0", "8.0", "false")
    assert (second["p_fear"], second["p_other"], second["p_joy"]) == ("0.8", "0.2", "")
    assert second["modalities"] == "speech+text"
    assert second["left_at"] == "2026-01-01T00:00:00.000+00:00"
    assert (second["end_of_turn_ms"], second["after_end_ms"]) == ("600.0", "200.0")


def test_valence_and_arousal() -> None:
    made = session(turn(1), turn(2, valence=-0.5, arousal=0.25))
    unknown, known = rows(export(made, "csv"))
    assert (unknown["valence"], unknown["arousal"]) == ("", "")
    assert (known["valence"], known["arousal"]) == ("-0.5", "0.25")
    without, found = emotionml(export(made, "emotionml")).findall("e:emotion", XML)
    assert without.get("dimension-set") is without.find("e:dimension", XML) is None
    assert found.get("dimension-set") == "http://www.w3.org/TR/emotion-voc/xml#pad-dimensions"
    values = {each.get("name"): each.get("value") for each in found.findall("e:dimension", XML)}
    assert values == {"pleasure": "0.2500", "arousal": "0.6250"}


def unguarded(cell: str) -> str:
    """What was said, as the documentation of the format tells how to find it again."""
    return (
        cell[1:]
        if re.match("'+(?:[\t\r\n]|\\W*?[=+@\uff1d\uff0b\uff0d\uff20-])", cell) and is_risky(cell[1:])
        else cell
    )


def is_risky(words: str) -> bool:
    bare = words.lstrip("'")
    return bare[:1] in {"\t", "\r", "\n"} or re.sub("^[\\s\ufeff\u200b-\u200f\u202a-\u202e\u2060-\u2069]+", "", bare)[
        :1
    ] in set("=+-@\uff1d\uff0b\uff0d\uff20")


@given(made=sessions())
def test_csv_gives_back_any_words_and_no_formula(made: Session) -> None:
    found = rows(export(made, "csv"))
    assert [row["turn_id"] for row in found] == [str(turn.turn_id) for turn in by_start(made)]
    for row, turned in zip(found, by_start(made), strict=True):
        assert unguarded(row["text"]) == plain_document(turned.text or "")
        assert unguarded(row["speaker"]) == plain_document(turned.speaker or "")
        assert not any(is_risky(cell) and not cell.startswith("'") for cell in row.values())


@given(made=sessions())
@example(made=session(*(turn(n, text=words, speaker=words) for n, words in enumerate(AWKWARD, start=1))))
def test_subrip(made: Session) -> None:
    found = subrip(export(made, "srt"))
    assert [subtitle.index for subtitle in found] == list(range(1, len(made.turns) + 1))
    for subtitle, turned in zip(found, by_start(made), strict=True):
        assert subtitle.start == timedelta(seconds=turned.start_s)
        assert subtitle.end > subtitle.start
        assert not set(subtitle.content) & set("<>{}")
        for words in (turned.text, turned.speaker):
            plain = one_line(words or "")
            assert set(plain) & set("<>{}") or plain in subtitle.content


@given(made=sessions())
@example(made=session(*(turn(n, text=words, speaker=words) for n, words in enumerate(AWKWARD, start=1))))
def test_webvtt(made: Session) -> None:
    document = export(made, "vtt")
    found = vtt(document)
    assert [cue.identifier for cue in found] == [str(turned.turn_id) for turned in by_start(made)]
    for cue, turned in zip(found, by_start(made), strict=True):
        emotion = one_line(made.emotion(turned))
        assert html.unescape(cue.text) == f"[{emotion}] {one_line(turned.text or '')}".rstrip()
        who = one_line(turned.speaker or "")
        assert re.match(r"<v\.\w+ [^<>\n]+>" if who else r"<c\.\w+>", cue.raw_text)
    assert document.count("-->") == len(found)
    with tempfile.TemporaryDirectory() as folder:  # our own reader of captions agrees
        path = Path(folder) / "s.vtt"
        path.write_text(document, encoding="utf-8")
        heard = read_captions(path)
    once = {(cue.start, cue.end, cue.raw_text): turned for cue, turned in zip(found, by_start(made), strict=True)}
    said = Counter(who for turned in once.values() if (who := one_line(turned.speaker or "")))
    assert len(heard) == len(once)  # the same cue twice is one
    assert said <= Counter(one_line(cue.speaker or "") for cue in heard)  # words without a voice may begin with a name


def test_people_who_talk_at_once_overlap() -> None:
    made = session(turn(1, start_s=2.0, end_s=3.0), turn(2, start_s=1.0, end_s=4.0, speaker="Ben"))
    assert [cue.start.total_seconds() for cue in subrip(export(made, "srt"))] == [1.0, 2.0]
    assert export(made, "vtt") == (
        "WEBVTT\n\n2\n00:00:01.000 --> 00:00:04.000\n<v.joy Ben>[joy] Good to see you.</v>\n"
        "\n1\n00:00:02.000 --> 00:00:03.000\n<v.joy Ana>[joy] Good to see you.</v>\n"
    )


@given(made=sessions())
@example(made=session(*(turn(n, text=words, speaker=words) for n, words in enumerate(AWKWARD, start=1))))
def test_emotionml(made: Session) -> None:
    root = emotionml(export(made, "emotionml"))
    vocabulary = root.find("e:vocabulary", XML)
    assert root.get("category-set") == f"#{vocabulary.get('id')}"
    items = {item.get("name") for item in vocabulary}
    for found, turned in zip(root.findall("e:emotion", XML), by_start(made), strict=True):
        assert int(found.get("end")) > int(found.get("start"))
        category = found.find("e:category", XML)
        assert {category.get("name"), *found.xpath(".//t:*/@emotion", namespaces=XML)} <= items
        assert (category.get("confidence") is None) is (turned.turn_id in made.corrections)
        assert (found.findtext(".//t:text", namespaces=XML) or "") == plain_document(turned.text or "")
        assert (found.findtext(".//t:speaker", namespaces=XML) or "") == one_line(turned.speaker or "")


def test_emotionml_counts_milliseconds_since_1970() -> None:
    emotion = emotionml(export(session(turn(1, "joy", start_s=1.5, end_s=2.25)), "emotionml")).find("e:emotion", XML)
    began = round(1000 * datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    assert (int(emotion.get("start")), int(emotion.get("end"))) == (began + 1500, began + 2250)
    assert emotion.get("expressed-through") == "voice text"
    assert emotion.find("e:category", XML).attrib == {"name": "joy", "confidence": "0.8000"}


@given(made=sessions())
@example(made=session(*(turn(n, text=words, speaker=words) for n, words in enumerate(AWKWARD, start=1))))
def test_rttm(made: Session) -> None:
    found = rttm(export(made, "rttm"))
    for line, turned in zip(found, by_start(made), strict=True):
        assert float(line[2]) == turned.start_s
        assert float(line[3]) == pytest.approx(max(0.001, turned.end_s - turned.start_s))
    speakers = {turned.speaker or "" for turned in made.turns}
    assert len({line[4] for line in found}) == len(speakers)  # two people stay two
    assert all(line[4] == "unknown" for line, turned in zip(found, by_start(made), strict=True) if not turned.speaker)


def test_rttm_names() -> None:
    made = session(
        turn(1, speaker="Ana B"), turn(2, speaker=None), turn(3, speaker="Ana_B"), turn(4, speaker="unknown")
    )
    assert [line[4] for line in rttm(export(made, "rttm"))] == ["Ana_B", "unknown", "Ana_B_2", "unknown_2"]
    at_file = session(turn(1), started=started(source="/tmp/our talk.v2.flac"))
    assert rttm(export(at_file, "rttm"))[0][1] == "our_talk.v2"


def test_rttm_has_turns_that_overlap_as_they_are() -> None:
    made = session(
        turn(1, speaker="speaker 2", start_s=3.0, end_s=5.25, overlap=0.4),
        turn(2, speaker="speaker 1", start_s=1.0, end_s=6.5),
    )
    assert export(made, "rttm").splitlines() == [
        "SPEAKER USB_Audio 1 1.000 5.500 <NA> <NA> speaker_1 <NA> <NA>",
        "SPEAKER USB_Audio 1 3.000 2.250 <NA> <NA> speaker_2 <NA> <NA>",
    ]


@given(made=sessions())
@example(made=session(*(turn(n, text=words, speaker=words) for n, words in enumerate(AWKWARD, start=1))))
def test_audacity(made: Session) -> None:
    for (start_s, end_s, label), turned in zip(labels(export(made, "audacity")), by_start(made), strict=True):
        assert start_s == turned.start_s
        assert end_s > start_s
        assert label.startswith(f"[{one_line(made.emotion(turned))}]")
        assert label.endswith(one_line(turned.text or ""))
