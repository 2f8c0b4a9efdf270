"""What is said where a package is missing that only some commands need."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from emotrack.models.extras import EXTRAS, missing_extra
from emotrack.train.pretraining.corpus.rows import LabelRow, TurnRow
from emotrack.train.pretraining.corpus.table import Answer, Table

ROOT = Path(__file__).parents[1]
TRACKING = {"live": ("live", "--file", "talk.wav", "--web", "127.0.0.1:0"), "wyoming": ("wyoming", "--json")}
HIDE = (
    "import sys; package, *words = sys.argv[1:]; sys.modules[package] = None; "
    "from emotrack.command_line import main; sys.exit(main(words))"
)
TRAIN = {  # every command that needs an extra; nothing of what they name need be there
    "transcribe": ("transcribe", "--audio", "talks", "--out", "out"),
    "annotate": ("annotate", "--corpus", "corpus", "--llm", "vader", "--out", "out"),
    "pretrain": ("pretrain", "--corpus", "labels", "--recipe", "merits-l", "--out", "out"),
    "care": ("care", "--corpus", "corpus", "--audio", "talks", "--recipe", "merits-l", "--out", "out"),
    "figure3": (
        *("figure3", "--recipe", "mini", "--labels", "vader=labels", "--out", "out"),
        *("--data", "encoder=.", "--data", "meld=.", "--data", "emorynlp=.", "--data", "goemotions=."),
    ),
    "ray": ("transcribe", "--audio", "talks", "--out", "out", "--engine", "ray"),
    "llm": ("annotate", "--corpus", "corpus", "--llm", "http://127.0.0.1:1/v1#toy", "--out", "out"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a corpus of one sentence and labels of forty, for commands that read them first."""
    folder = tmp_path_factory.mktemp("extras")
    turn = TurnRow("0", "a.flac", "0" * 64, 0.0, 1.0, None, "I love this!", 0.9, "en", None)
    Table(folder / "corpus" / "turns", TurnRow, "a recogniser").write([Answer("a.flac", [turn])])
    labels = [LabelRow(str(place), f"Sentence {place}.", "vader", "neutral", None) for place in range(40)]
    Table(folder / "labels", LabelRow, "vader").write([Answer("0", labels)])
    (folder / "talks").mkdir()
    return folder


@pytest.mark.parametrize(
    ("command", "package"),
    [
        *((command, "pyarrow") for command in ("transcribe", "annotate", "pretrain")),
        *(pytest.param(command, "pyarrow", marks=pytest.mark.long) for command in ("care", "figure3")),
        ("annotate", "vaderSentiment"),
        ("llm", "openai"),
        ("llm", "tenacity"),
        ("ray", "ray"),
        ("ray", "pandas"),
        ("pretrain", "transformers"),
        *(("live", package) for package in ("starlette", "websockets")),
        ("wyoming", "wyoming"),
    ],
)
def test_one_line_names_the_extra(folder: Path, command: str, package: str) -> None:
    words = [sys.executable, "-c", HIDE, package, *(TRACKING.get(command) or ("train", *TRAIN[command]))]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    line = rf"emotrack[a-z ]*: {package} is not installed: pip install '\.\[{EXTRAS[package]}\]' in emotrack's checkout"
    assert re.fullmatch(line, done.stderr.splitlines()[-1]), done.stderr
    assert not done.stdout


def test_another_package_is_no_extra() -> None:
    assert missing_extra(ModuleNotFoundError("no", name="emotrack.nothing")) is None
    assert missing_extra(ImportError("it is there, but too old", name="pyarrow")) is None


def test_every_package_is_of_the_extra_that_is_named() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    brought = {
        Requirement(requirement).name.replace("-", "_"): extra
        for extra in ("full", "metrics", "pretrain", "ray", "tensorboard", "web", "wyoming")
        for requirement in extras[extra]
    }
    assert {package: extra for package, extra in EXTRAS.items() if package != "pandas"} == brought  # of ray[data]
