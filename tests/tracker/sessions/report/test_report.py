"""The report as text: what it says of which session, and that outside words stay words."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotrack.errors import EmotrackError
from emotrack.tracker.dashboard.palette import look
from emotrack.tracker.events import Correction, SourceLostEvent
from emotrack.tracker.messages.wording import clock
from emotrack.tracker.sessions.reading.reader import Session, read_session
from emotrack.tracker.sessions.report import render_report, write_report
from emotrack.tracker.sessions.report.curve import MAX_STEPS, mood_curve
from emotrack.tracker.sessions.report.timeline import rows, ticks
from emotrack.tracker.sessions.report.transcript import chapters
from emotrack.tracker.sessions.report.view import MAX_LANES, View
from emotrack.tracker.sessions.report.wording import file_name, without_folders
from emotrack.tracker.summary.mood import Mood, believed
from tests.tracker.sessions.report.test_report_sessions import LABELS, STAMP, conversation, ended, save, started, turn

VOID = {"meta", "link", "br", "input", "img", "hr"}


class Page(HTMLParser):
    """The elements of a page, and its text; fails where tags do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in {"style", "script"}:
            self.text += data

    def ids(self) -> list[str]:
        return [found for _, attributes in self.elements if (found := attributes.get("id"))]


def session_of(*turns: object, **fields: object) -> Session:
    session = Session(Path("s.jsonl"), "s", started=started(), turns=list(turns))  # type: ignore[arg-type]
    session.ended = ended(max((t.end_s for t in session.turns), default=0.0), session.turns)
    return replace(session, **fields)  # type: ignore[arg-type]


def shape(html: str) -> list[str]:
    """The elements and the names of their attributes, without any value."""
    return [f"{tag} {sorted(attributes)}" for tag, attributes in Page(html).elements]


def test_a_whole_session_makes_a_whole_page() -> None:
    session = conversation(160)
    html = render_report(session)
    page = Page(html)
    ids = page.ids()
    assert len(ids) == len(set(ids))
    for told in session.turns:
        assert f"turn-{told.turn_id}" in ids
        assert f"bar-{told.turn_id}" in ids
    links = {str(attributes["href"]) for tag, attributes in page.elements if tag == "a"}
    assert all(link.startswith("#") for link in links)
    assert {link[1:] for link in links} <= set(ids)
    for words in (
        "The microphone was unplugged",
        "Article 5(1)(f)",
        "corrected by a person",
        "uncertain",
        "3.2 s were",
    ):
        assert words.lower() in page.text.lower(), words


@pytest.mark.parametrize("notice_given", [False, True])
def test_the_page_says_whether_people_were_told(notice_given: bool) -> None:
    page = Page(render_report(session_of(turn(1), started=started(notice_given=notice_given))))
    assert ("noted that everybody was told" in page.text) is notice_given


def test_the_same_session_gives_the_same_page() -> None:
    assert render_report(conversation(40)) == render_report(conversation(40))


def test_nothing_can_be_fetched() -> None:
    html = render_report(conversation(40))
    page = Page(html)
    (policy,) = [a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert not re.search(r"https?:|//[a-z]", re.sub(r'xmlns="[^"]*"', "", html.split("<script>")[0]))
    assert not any("src" in attributes for _, attributes in page.elements)
    assert not re.search(r"url\(|@import", html)


def test_folders_of_the_machine_stay_out() -> None:
    session = conversation(5)
    session.losses = [SourceLostEvent(**STAMP, at_s=3.0, reason="cannot read /home/ana/private/x.wav: gone")]
    session.problems = ["line 3 of /home/ana/s.jsonl is no event"]
    session.started = started(recogniser="faster-whisper /home/ana/models/tiny")
    html = render_report(session)
    assert "/home" not in html
    assert "ana/" not in html
    for words in ("summer-plans.flac", "x.wav", "s.jsonl", "faster-whisper tiny"):
        assert words in html


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("/home/ana/My Talks/a b.flac", "a b.flac"),
        ("talk.wav", "talk.wav"),
        ("C:\\Users\\ana\\talk.wav", "talk.wav"),
        ("My Talks/a b.flac", "a b.flac"),
        ("Scarlett 2i2 USB: Audio (hw:1,0)", "Scarlett 2i2 USB: Audio (hw:1,0)"),
        ("https://ana:secret@example.org/talk.mp3?key=1", "talk.mp3"),
    ],
)
def test_a_source_shows_its_last_name(source: str, shown: str) -> None:
    assert file_name(source) == shown


def test_only_paths_lose_their_folders() -> None:
    assert without_folders("either/or, 3/4, a/b.txt") == "either/or, 3/4, a/b.txt"
    assert without_folders("see /tmp/a/b.txt.") == "see b.txt."


HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\" onmouseover=alert(1) x='",
    "{{ 7 * 7 }} {% raw %}",
    "<!-- --> ]]> &amp; \u2028\u2029\x00\x1b[31m\u202e",
)


@pytest.mark.parametrize("words", HOSTILE)
def test_outside_words_change_nothing_but_text(words: str) -> None:
    def page(said: str) -> str:
        session = session_of(
            turn(1, text=said, speaker=said, emotion="joy"),
            turn(2, text=None, text_rejected=said, speaker="Ben"),
            problems=[said],
            started=started(source=said, bundle={"name": said, "fingerprint": said}, versions={said: said}),
        )
        session.losses = [SourceLostEvent(**STAMP, at_s=1.0, reason=said)]
        session.corrections = {1: Correction(**STAMP, turn_id=1, emotion=said)}
        return render_report(session)

    assert shape(page(words)) == shape(page("harmless"))


@settings(max_examples=60)
@given(st.text(max_size=60), st.text(max_size=20), st.text(min_size=1, max_size=20))
def test_any_words_change_nothing_but_text(text: str, speaker: str, emotion: str) -> None:
    def page(said: str, who: str, felt: str) -> str:
        return render_report(session_of(turn(1, text=said, speaker=who, emotion=felt)))

    html = page(text, speaker, f"x{emotion}")
    assert shape(html) == shape(page("harmless", "Ana", "other"))
    html.encode()


def test_an_empty_session_says_so() -> None:
    page = Page(render_report(session_of()))
    assert "Nobody spoke in this session." in page.text
    assert "bar-1" not in page.ids()
    Page(render_report(Session(Path("s.jsonl"), "s")))


def test_a_turn_that_others_speak_in_says_so_in_words_where_that_is_much() -> None:
    html = render_report(session_of(*(turn(n, overlap=share) for n, share in enumerate((None, 0.19, 0.2), 1))))
    words = "others speak in 20\u202f% of it"
    assert Page(html).text.count(words) == 1, "in the transcript"
    assert html.count(words) > 1, "and on the timeline"
    assert "19\u202f% of it" not in html


def test_a_turn_that_is_doubted_says_why() -> None:
    html = render_report(session_of(turn(1), turn(2, doubt="short", uncertain=True)))
    assert Page(html).text.count("very short") == 1


def test_a_turn_says_how_pleasant_and_aroused_it_sounds_unless_a_person_corrected_it() -> None:
    unpleasant = {"valence": -0.51, "arousal": 0.59}
    session = session_of(turn(1, **unpleasant), turn(2, valence=0.02), turn(3, **unpleasant))
    session.corrections = {3: Correction(**STAMP, turn_id=3, emotion="joy")}
    html = render_report(session)
    assert Page(html).text.count("unpleasant 0.5, aroused 0.6") == 1


def test_a_session_that_was_cut_off_says_so(tmp_path: Path) -> None:
    save(conversation(30), tmp_path / "s.jsonl")
    whole = (tmp_path / "s.jsonl").read_text()
    (tmp_path / "s.jsonl").write_text(whole[len(whole) // 8 : len(whole) // 2])
    session = read_session(tmp_path / "s.jsonl")
    write_report(session, tmp_path / "s.html")
    page = Page((tmp_path / "s.html").read_text(encoding="utf-8"))
    assert "This session is not complete." in page.text
    for problem in session.problems:
        assert problem in page.text
    assert "Unknown: the end of the session is missing." in page.text
    assert "unknown: the beginning of the session is missing" in page.text


def test_without_words_it_says_so_and_why() -> None:
    page = Page(
        render_report(
            session_of(
                turn(1, text=None, text_source=None),
                turn(2, text=None, text_source=None, modalities=("speech",), text_rejected="low_confidence"),
                turn(3, text=None, text_source=None, modalities=("speech",)),
            )
        )
    )
    assert "It holds no words of what was said." in page.text
    assert "the words were not saved" in page.text
    assert "Voice only: the recogniser was not sure of the words." in page.text
    assert "Voice only: there were no words for this turn." in page.text


@pytest.mark.parametrize("speakers", [("Ana",), (None,), (None, "Ana"), tuple(f"Guest {n}" for n in range(12))])
def test_any_number_of_speakers(speakers: tuple[str | None, ...]) -> None:
    session = conversation(80, speakers)
    view = View(session)
    assert set(view.lanes) == set(speakers)
    assert not view.crowded
    text = Page(render_report(session)).text
    assert all((name or "unknown speaker") in text for name in speakers)


def test_very_many_speakers_share_the_last_lane() -> None:
    session = conversation(300, tuple(f"Guest {n}" for n in range(100)))
    view = View(session)
    assert len(view.lane_names) == MAX_LANES
    assert view.lane_names[-1] == "others"
    assert "others" in Page(render_report(session)).text


def test_labels_that_the_bundle_does_not_know_have_a_look() -> None:
    session = session_of(turn(1, emotion="melancholy"), started=started(labels=("happy", "angry")))
    session.corrections = {1: Correction(**STAMP, turn_id=1, emotion="nostalgia")}
    html = render_report(session)
    assert "nostalgia" in html
    assert "estimated melancholy" in Page(html).text
    assert [label.letter for label in View(session).labels[:3]] == ["H", "A", look("nostalgia").letter]


def test_a_correction_stands_beside_the_estimate_and_is_certain() -> None:
    session = session_of(turn(1, emotion="anger", confidence=0.4, start_s=1.0, end_s=10.0))
    session.corrections = {1: Correction(**STAMP, turn_id=1, emotion="joy")}
    (seen,) = View(session).turns
    assert (seen.label.name, seen.estimate.name, seen.uncertain, seen.strength) == ("joy", "anger", False, 5)
    assert mood_curve(View(session))[-1].prevailing == "joy"


def test_the_curve_is_the_mood_of_the_dashboard() -> None:
    session = conversation(200)
    session.corrections = {}
    mood = Mood()
    for told in session.turns:
        mood.add(believed(told), told.start_s, told.end_s)
    assert mood_curve(View(session))[-1].shares == pytest.approx(mood.probabilities)
    assert len(mood_curve(View(conversation(3000)))) <= MAX_STEPS + 1


def test_every_turn_is_on_the_timeline_once_and_silence_is_left_out() -> None:
    quiet = turn(2, start_s=7000.0, end_s=7003.0)
    view = View(session_of(turn(1), quiet, turn(3, start_s=7058.0, end_s=7063.0)))
    found = rows(view, [])
    bars = [bar for row in found for stretch in row.stretches for lane in stretch.lanes for bar in lane]
    assert sorted(bar.turn.id for bar in bars if bar.first) == [1, 2, 3]
    assert len(found) == 2
    assert found[1].silence == f"{clock(240)} to {clock(6960)}"


@pytest.mark.parametrize("end_s", [1e12, float("inf")])
def test_times_that_cannot_be_do_no_harm(end_s: float) -> None:
    Page(render_report(session_of(turn(1), turn(2, end_s=end_s), turn(3, start_s=9.0, end_s=2.0))))


def test_an_axis_has_about_as_many_ticks_as_asked_for() -> None:
    for seconds in (1.0, 48.0, 600.0, 36_000.0, 1e9):
        assert 1 <= len(ticks(0.0, seconds, 7)) <= 8


def test_chapters_hold_every_turn_in_order() -> None:
    view = View(conversation(500))
    assert [said.seen.id for chapter in chapters(view, []) for said in chapter.turns] == list(range(1, 501))


def test_every_known_label_can_be_told_by_its_letter() -> None:
    assert len({look(label).letter for label in LABELS}) == len(LABELS)


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EmotrackError, match="cannot write"):
        write_report(session_of(), tmp_path / "none" / "s.html")
