"""Voices are written below the session's own folder, whatever a session is called."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from emotrack.tracker.sinks.audio_archive import AudioKeeper

OURS = "20260101T000000Z-a1b2"


@pytest.mark.parametrize(
    "session", ["../../x", "..", ".", "/tmp/emotrack-x", "a/../../b", "a\0b", "", "x" * 300, "\ud800"]
)
def test_no_session_leads_to_another_folder(tmp_path: Path, session: str) -> None:
    home = tmp_path / "deep" / "home"
    home.mkdir(parents=True)
    keeper = AudioKeeper(home / "talk.jsonl")

    async def keep() -> list[str]:
        return [await keeper.keep(name, 1, np.zeros(1600, np.float32)) for name in (session, OURS)]

    kept = asyncio.run(keep())
    keeper.close()
    assert kept[1] == f"talk.audio/{OURS}/1.flac"
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.parent.parent for path in written} == {home / "talk.audio"}
    assert {home / path for path in kept} == set(written)
