"""What the people who can be heard are told."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from emotrack.command_line import main
from emotrack.tracker.notice.languages import LANGUAGES, NoticeWords, words_in
from emotrack.tracker.notice.notice import RoomNotice, render_notice
from tests.tracker.kitchen_table import AUDIO


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_everything(language: str) -> None:
    words = words_in(language)
    assert all(getattr(words, each.name).strip() for each in fields(NoticeWords))
    assert "50" in words.law  # the article that asks for it, and the one that prohibits
    assert "5" in words.law.replace("50", "")
    for kept in (None, "estimates, for a week."):
        said = RoomNotice(language, "our rehearsal.", "Ana", kept=kept).spoken()
        assert not re.search(r"[{}]|  |\.\.", said)
        assert "our rehearsal" in said
        assert "Ana" in said
        assert ("estimates, for a week" in said) == bool(kept)


def test_no_two_languages_say_the_same() -> None:
    found = [words_in(language) for language in LANGUAGES]
    for each in fields(NoticeWords):
        if each.name not in {"purpose", "spoken_by"}:
            assert len({getattr(words, each.name) for words in found}) == len(LANGUAGES), each.name


def test_the_page_shows_words_as_they_are_typed_and_fetches_nothing() -> None:
    page = render_notice(RoomNotice("de", "<script>alert(1)</script> & {{ 7 * 7 }}", contact="ana@example.org"))
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; {{ 7 * 7 }}" in page
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert not re.search(r"https?:", page)
    assert page.count('class="blank"') == 1  # who is responsible is to be filled in


def test_whoever_reads_aloud_fills_in_who_is_responsible() -> None:
    assert "Responsible is _______." in RoomNotice("en", "our rehearsal").spoken()


def test_the_command_writes_the_page_and_says_the_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["notice", "--for", "our rehearsal", "--by", "Ana", "--language", "fr"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("Avant de commencer")
    assert said.out.count("\n") == 1
    assert said.err == "emotrack: the page to print is notice.fr.html\n"
    assert '<html lang="fr">' in Path("notice.fr.html").read_text()
    assert Path("notice.fr.html").stat().st_mode & 0o777 == 0o600


def test_a_session_notes_that_it_was_given(capfd: pytest.CaptureFixture[str]) -> None:
    listen = ["live", "--file", str(AUDIO), "--fast", "--json", "--asr", "none", "--speakers", "off"]
    assert main([*listen, "--notice-given"]) == 0
    said = capfd.readouterr()
    assert json.loads(said.out.splitlines()[0])["notice_given"] is True
    assert "Everyone who can be heard was told that emotions are being estimated here. Nothing is recorded." in said.err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--for", " "], "--for: 1 to 300 characters"),
        (["--for", "x", "--by", "y" * 301], "--by: 1 to 300 characters"),
        (["--for", "x", "-o", "nowhere/n.html"], "cannot write nowhere/n.html: No such file or directory"),
    ],
)
def test_what_cannot_be_is_one_line(
    given: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["notice", *given]) != 0
    assert capsys.readouterr().err == f"emotrack: {told}\n"
    assert not list(tmp_path.iterdir())
