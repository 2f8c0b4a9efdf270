"""`make install`, with a pip that only notes what it was asked for."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TORCH = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
VENV = """\
#!/bin/sh
test "$2" = venv || exit 0
mkdir -p .venv/bin && cp "$(dirname "$0")/pip" .venv/bin/python
"""
PIP = """\
#!/bin/sh
echo "$*" >> asked
case "$*" in *+cpu*) exit ${NO_CPU_BUILD:-0} ;; esac
"""


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def install(folder: Path, *words: str, card: bool = False, system: str = "Linux", **environment: str) -> str:
    """What is said on standard error; pip's requirements are in ``asked``."""
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    tools = folder / "tools"
    tools.mkdir()
    program(tools / "python3", VENV)
    program(tools / "pip", PIP)
    program(tools / "nvidia-smi", f"#!/bin/sh\nexit {int(not card)}\n")
    program(tools / "uname", f"#!/bin/sh\necho {system}\n")
    environment |= {"PATH": f"{tools}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["make", "install", f"PYTHON={tools / 'python3'}", *words],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.stderr


def asked(folder: Path) -> list[str]:
    """The requirements of each call of pip, and where they are looked for."""
    constrained = [
        line.partition("--constraint constraints.txt ") for line in (folder / "asked").read_text().splitlines()
    ]
    assert all(separator for _, separator, _ in constrained)
    return [requirements for _, _, requirements in constrained]


def test_without_a_card_it_takes_the_processors_torch(tmp_path: Path) -> None:
    assert not install(tmp_path)
    assert asked(tmp_path) == [f"{TORCH}+cpu", "--editable ."]


def test_where_pip_finds_none_it_is_said_and_it_goes_on(tmp_path: Path) -> None:
    said = install(tmp_path, NO_CPU_BUILD="1")
    assert f"no {TORCH}+cpu: taking CUDA's build, of 6 GB" in said
    assert said.count("\n") == 1
    assert asked(tmp_path)[-1] == "--editable ."


@pytest.mark.parametrize(("card", "system"), [(True, "Linux"), (False, "Darwin")])
def test_elsewhere_the_plain_build_is_the_right_one(tmp_path: Path, card: bool, system: str) -> None:
    assert not install(tmp_path, card=card, system=system)
    assert asked(tmp_path) == ["--editable ."]
