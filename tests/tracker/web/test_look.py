"""The page looks and speaks as the report does, where the browser needs a copy of what the report is made from."""

from __future__ import annotations

import json
import re
from importlib.resources import files

from emotrack.tracker.messages import wording as messages
from emotrack.tracker.messages.wording import TOLD_AFFECT, TOLD_OVERLAP
from emotrack.tracker.session.controls import MAX_NAME
from emotrack.tracker.sessions import report
from emotrack.tracker.sessions.report import view, wording
from emotrack.tracker.sessions.report.colours import DARK_LANE, LIGHT_LANE, STEPS
from emotrack.tracker.sessions.report.transcript import _REASONS

PAGE = files("emotrack.tracker.web") / "page"


def page(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def test_colours() -> None:
    look = (files(report) / "look.css").read_text(encoding="utf-8")
    assert [int(share) for share in re.findall(r"^\.o\d\{--p:(\d+)%\}$", look, re.MULTILINE)] == [
        round(100 * step) for step in STEPS
    ]
    assert f"--lane:light-dark({LIGHT_LANE},{DARK_LANE})" in page("page.css")
    (strengths,) = re.findall(r"STRENGTHS = (\[.*?\])", page("words.js"))
    assert tuple(json.loads(strengths)) == view._STRENGTHS


def test_words() -> None:
    words = page("words.js")
    (rejected,) = re.findall(r"REJECTED = \{(.*?)\};", words, re.DOTALL)
    assert dict(re.findall(r"(\w+): \"(.*?)\"", rejected)) == wording._REJECTED
    (doubts,) = re.findall(r"DOUBTS = \{(.*?)\};", words, re.DOTALL)
    assert dict(re.findall(r"(\w+): \"(.*?)\"", doubts)) == messages._DOUBTS
    (reasons,) = re.findall(r"REASONS = (\[\[.*?\]\])", words)
    assert tuple(map(tuple, json.loads(reasons))) == _REASONS
    assert f"?? 0) >= {TOLD_OVERLAP})" in words
    assert f"Math.abs(value) >= {TOLD_AFFECT})" in words
    assert f'maxlength="{MAX_NAME}"' in page("index.html")
