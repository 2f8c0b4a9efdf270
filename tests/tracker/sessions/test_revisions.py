"""A revision takes the place of the turn in whatever is made of a saved session."""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from emotrack.tracker.events import Event, Turn, to_json
from emotrack.tracker.sessions.compare.compare import compare
from emotrack.tracker.sessions.correct.correction_queue import CorrectionWalk
from emotrack.tracker.sessions.export import FORMATS, FormatName, export
from emotrack.tracker.sessions.reading.reader import Session, read_session
from emotrack.tracker.sessions.redact import redact
from emotrack.tracker.sessions.replay.replay_timeline import moments
from emotrack.tracker.sessions.report.page import render_report
from emotrack.tracker.sessions.report.view import View
from tests.tracker.dashboard.made_up import HEAD, LABELS, ended, started, turn

LATER = HEAD["time"] + timedelta(seconds=40)


def said(number: int, emotion: str, revision: int = 0, *, uncertain: bool = False) -> Turn:
    event = turn(
        number,
        emotion,
        revision=revision,
        uncertain=uncertain,
        probabilities=dict.fromkeys(LABELS, 0.03) | {emotion: 0.82},
    )
    return event.model_copy(update={"time": LATER}) if revision else event


REVISED: list[Event] = [
    *(started(), said(1, "joy", uncertain=True), said(2, "fear")),
    *(said(1, "anger", 1), said(3, "neutral"), said(2, "sadness", 1), said(1, "disgust", 2), ended(3)),
]
AT_LAST: list[Event] = [started(), said(1, "disgust", 2), said(2, "sadness", 1), said(3, "neutral"), ended(3)]


def save(path: Path, events: list[Event]) -> Session:
    path.write_text("".join(to_json(event) + "\n" for event in events))
    return read_session(path)


@pytest.fixture
def revised(tmp_path: Path) -> Session:
    return save(tmp_path / "s.jsonl", REVISED)


def test_a_session_has_each_turn_once(revised: Session, tmp_path: Path) -> None:
    assert [(turn.turn_id, turn.emotion) for turn in revised.turns] == [(1, "disgust"), (2, "sadness"), (3, "neutral")]
    assert revised.problems == []
    assert revised.turns == save(tmp_path / "last.jsonl", AT_LAST).turns


@pytest.mark.parametrize("format", FORMATS)
def test_every_export_has_what_is_known_at_last(revised: Session, tmp_path: Path, format: FormatName) -> None:
    (tmp_path / "last").mkdir()
    assert export(revised, format) == export(save(tmp_path / "last" / "s.jsonl", AT_LAST), format)
    if format == "csv":
        rows = list(csv.DictReader(io.StringIO(export(revised, format))))
        assert [row["emotion"] for row in rows] == ["disgust", "sadness", "neutral"]


def test_the_beginning_is_told_by_what_was_not_revised(tmp_path: Path) -> None:
    cut_off: list[Event] = [event for event in REVISED if event.type == "turn"]
    whole: list[Event] = [said(1, "joy"), said(3, "neutral")]
    began = [
        export(save(tmp_path / "s.jsonl", events), "emotionml").split('start="')[1].split('"')[0]
        for events in (cut_off, whole)
    ]
    assert began[0] == began[1]


def test_the_report_counts_each_turn_once(revised: Session) -> None:
    view = View(revised)
    assert Counter(turn.label.name for turn in view.turns) == {"disgust": 1, "sadness": 1, "neutral": 1}
    assert "joy" not in {turn.estimate.name for turn in view.turns}
    assert "disgust" in render_report(revised)


def test_a_replay_shows_each_turn_once(revised: Session) -> None:
    shown = [moment.event for moment in moments(revised) if isinstance(moment.event, Turn)]
    assert [(turn.turn_id, turn.revision) for turn in shown] == [(1, 2), (2, 1), (3, 0)]


def test_runs_are_compared_by_what_they_said_at_last(revised: Session, tmp_path: Path) -> None:
    assert compare(revised, save(tmp_path / "last.jsonl", AT_LAST)).agreement == 1.0
    assert compare(revised, save(tmp_path / "first.jsonl", REVISED[:3])).agreement == 0.0


def test_nobody_is_asked_about_a_doubt_that_is_gone(revised: Session) -> None:
    assert CorrectionWalk(revised).turns == []
    assert len(CorrectionWalk(revised, everything=True).turns) == 3


def test_no_revision_keeps_the_words(revised: Session, tmp_path: Path) -> None:
    redact(revised.path, tmp_path / "out.jsonl", words=True, speakers=True)
    copy = (tmp_path / "out.jsonl").read_text()
    assert copy.count('"type":"turn"') == 6
    assert "Good to see you." not in copy
    assert "Ana" not in copy
