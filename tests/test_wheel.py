"""The wheel in a bare environment, outside the repository: it carries all that a user needs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from email import message_from_bytes
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
CONVERSATION = ROOT / "examples" / "kitchen-table"
QUIETLY = ("-m", "pip", "--disable-pip-version-check", "--quiet")
REACHED_INTO = {  # by more than what they promise to keep
    *("aiomqtt", "av", "faster-whisper", "huggingface-hub", "moonshine-voice", "onnxruntime", "openai", "ray"),
    *("silero-vad", "sounddevice", "torch", "transformers", "uvicorn"),
}
NEWER = sorted(Path.home().glob(".pyenv/versions/3.1[2-9]*/bin/python")) or [
    Path(found) for minor in range(12, 16) if (found := shutil.which(f"python3.{minor}"))
]
DECODE = """
import asyncio, sys
from pathlib import Path
from emotrack.tracker.sources.file import File

async def seconds():
    source = File(Path(sys.argv[1]), "split", realtime=False)
    return sum([len(chunk.samples) async for chunk in source.items()]) / 16_000

print(asyncio.run(seconds()))
"""
# pip is told that the kernel has a name as on Ubuntu, which is no version by PEP 440.
ON_UBUNTU = """
import platform, runpy, sys
platform.release = lambda: "6.8.0-45-generic"
sys.argv[0] = "pip"
runpy.run_module("pip", run_name="__main__")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, *QUIETLY, "wheel", "--no-deps", "-w", folder, ROOT], check=True, timeout=300)
    (wheel,) = folder.glob("emotrack-*.whl")
    return wheel


@pytest.fixture(scope="module")
def requirements(wheel: Path) -> list[Requirement]:
    with ZipFile(wheel) as file:
        (name,) = [name for name in file.namelist() if name.endswith(".dist-info/METADATA")]
        return [Requirement(line) for line in message_from_bytes(file.read(name)).get_all("Requires-Dist", [])]


def needed(requirements: list[Requirement], extras: set[str] | None = None) -> dict[str, Distribution]:
    """The installed packages that requirements ask for, and what these ask for in turn, by name."""
    found: dict[str, Distribution] = {}
    for one in requirements:
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras or {""}):
            package = distribution(one.name)
            found |= {one.name: package} | needed([Requirement(each) for each in package.requires or []], one.extras)
    return found


def tracks_a_conversation(emotrack: Path, folder: Path) -> None:
    """All that a user needs is there, and nothing that only an extra brings."""

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([emotrack, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=120)

    recording, captions = CONVERSATION.with_suffix(".flac"), CONVERSATION.with_suffix(".vtt")
    result = run("live", "--fast", "--json", "--file", recording, "--captions", captions)
    assert result.returncode == 0, result.stderr
    events = [json.loads(line) for line in result.stdout.splitlines()]
    truth = json.loads(CONVERSATION.with_suffix(".json").read_text())["turns"]
    first_heard = [event["text"] for event in events[1:-1] if not event["revision"]]
    assert first_heard == [turn["text"] for turn in truth]
    assert events[0]["bundle"]["name"] == "mini"

    bare = run("train", "annotate", "--corpus", "goemotions=.", "--llm", "vader", "--out", "labels")
    line = "emotrack: pyarrow is not installed: pip install '.[pretrain]' in emotrack's checkout\n"
    assert (bare.returncode, bare.stdout, bare.stderr) == (1, "", line)


def test_the_wheel_tracks_a_conversation_with_nothing_but_what_it_requires(
    wheel: Path, requirements: list[Requirement], tmp_path: Path
) -> None:
    """The installed packages that it requires are linked into an environment of its own."""
    venv.create(tmp_path / "bare")
    (packages,) = tmp_path.glob("bare/lib/python*/site-packages")
    for package in needed(requirements).values():
        for name in {file.parts[0] for file in package.files or []} - {".."}:
            if not (packages / name).exists():
                (packages / name).symlink_to(Path(str(package.locate_file(name))))
    python = tmp_path / "bare" / "bin" / "python"
    install = (*QUIETLY, "--python", python, "install", "--no-compile", "--no-deps", "--no-index", wheel)
    subprocess.run([sys.executable, *install], check=True, timeout=120)
    tracks_a_conversation(python.with_name("emotrack"), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("allowed", ["everything", "torch"])
def test_the_wheel_tracks_a_conversation_where_pip_has_installed_it(wheel: Path, tmp_path: Path, allowed: str) -> None:
    """With the versions that are tested, and with the newest of everything but torch, which is large."""
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    chosen = tmp_path / "constraints.txt"
    chosen.write_text("\n".join(pin for pin in pins if allowed == "everything" or pin.startswith("torch==")))
    venv.create(tmp_path / "bare", with_pip=True)
    python = tmp_path / "bare" / "bin" / "python"
    # Compiled is only what is used, when it is.
    subprocess.run([python, *QUIETLY, "install", "--no-compile", "-c", chosen, wheel], check=True, timeout=900)
    tracks_a_conversation(python.with_name("emotrack"), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("release", ["pip==24.2", "pip==25.3", "pip"])
def test_every_pip_reads_its_requirements_whatever_the_kernel_is_called(
    wheel: Path, tmp_path: Path, release: str
) -> None:
    subprocess.run(
        [sys.executable, *QUIETLY, "install", "--no-compile", "--target", tmp_path, release], check=True, timeout=300
    )
    asked = ["install", "--dry-run", "--no-deps", "--no-index", wheel]
    pip = [sys.executable, "-c", ON_UBUNTU, *map(str, asked)]
    done = subprocess.run(
        pip, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=120
    )
    assert "Would install emotrack-" in done.stdout, done.stderr


def test_requirements_ask_nothing_of_the_kernel(requirements: list[Requirement]) -> None:
    assert requirements
    assert not [
        str(one) for one in requirements if "release" in str(one.marker) or "platform_version" in str(one.marker)
    ]


def test_what_is_reached_into_is_bound(requirements: list[Requirement]) -> None:
    bound = {one.name for one in requirements if any(bound.operator in {"<", "=="} for bound in one.specifier)}
    assert bound >= REACHED_INTO


@pytest.mark.long
@pytest.mark.skipif(not NEWER, reason="no newer Python is installed")
@pytest.mark.parametrize("newer", NEWER, ids=str)
def test_a_newer_python_reads_recordings_with_the_newest_packages(
    wheel: Path, requirements: list[Requirement], tmp_path: Path, newer: Path
) -> None:
    """Without torch, which for a newer Python is of gigabytes."""
    subprocess.run([newer, "-m", "venv", tmp_path / "newer"], check=True, timeout=120)
    python = tmp_path / "newer" / "bin" / "python"
    needed = [str(one) for one in requirements if one.name in {"av", "numpy", "soxr"}]
    subprocess.run([python, *QUIETLY, "install", "--no-compile", *needed], check=True, timeout=300)
    subprocess.run([python, *QUIETLY, "install", "--no-deps", wheel], check=True, timeout=300)
    recording = CONVERSATION.with_suffix(".flac")
    done = subprocess.run([python, "-c", DECODE, recording], check=True, capture_output=True, text=True, timeout=120)
    assert 40 < float(done.stdout) < 60
