"""Libraries report to nobody, whichever part of the package is imported first."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from emotrack.reporting import SWITCHES, switch_off

PRINT = "import json, os, sys; print(json.dumps([dict(os.environ), sorted(sys.modules)]))"


@pytest.mark.parametrize("package", ["tracker", "models", "train"])
def test_importing_any_part_switches_reports_off(package: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    command = [sys.executable, "-c", f"import emotrack.{package}; {PRINT}"]
    found, modules = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert {name: found[name] for name in SWITCHES} == {name: off for name, (off, _) in SWITCHES.items()}
    # Each reads its switch when it is imported.
    assert not {"onnxruntime", "huggingface_hub", "transformers", "ray"} & set(modules)


def test_what_a_user_has_set_stays_unless_it_switches_reports_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "YES")
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    monkeypatch.setenv("DO_NOT_TRACK", "")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    switch_off()
    found = {name: os.environ[name] for name in SWITCHES}
    assert found == {
        "HF_HUB_DISABLE_TELEMETRY": "YES",
        "ORT_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py")), ids=lambda p: p.name)
def test_a_program_loads_no_library_before_its_reports_are_off(path: Path) -> None:
    """Sorted imports have a library before emotrack, or after it by the luck of its name."""
    loaded: list[str] = []
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Import):
            loaded += [alias.name.partition(".")[0] for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            loaded.append(statement.module.partition(".")[0])
    assert not {"huggingface_hub", "onnxruntime", "ray", "transformers"}.intersection(loaded)


def test_the_libraries_take_the_switches() -> None:
    from huggingface_hub import constants
    from ray._common.usage import usage_lib

    assert constants.HF_HUB_DISABLE_TELEMETRY
    assert not usage_lib.usage_stats_enabled()
