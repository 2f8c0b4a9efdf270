"""The wheel in a bare environment, outside the repository: it carries all that a user needs."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_wheel_tracks_a_conversation_in_a_bare_environment(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT], check=True, timeout=300)
    (wheel,) = tmp_path.glob("emotrack-*.whl")

    venv.create(tmp_path / "bare", with_pip=True)
    python = tmp_path / "bare" / "bin" / "python"
    install = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "-c", ROOT / "constraints.txt"]
    subprocess.run([*install, wheel], check=True, timeout=900)

    conversation = ROOT / "examples" / "kitchen-table"
    result = subprocess.run(
        [
            *(tmp_path / "bare" / "bin" / "emotrack", "live", "--fast", "--json"),
            *("--file", conversation.with_suffix(".flac"), "--captions", conversation.with_suffix(".vtt")),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    events = [json.loads(line) for line in result.stdout.splitlines()]
    truth = json.loads(conversation.with_suffix(".json").read_text())["turns"]
    first_heard = [event["text"] for event in events[1:-1] if not event["revision"]]
    assert first_heard == [turn["text"] for turn in truth]
    assert events[0]["bundle"]["name"] == "mini"
