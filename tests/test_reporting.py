"""Libraries report to nobody, whichever part of the package is imported first."""

from __future__ import annotations

import json
import os
import subprocess
import sys

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


def test_the_libraries_take_the_switches() -> None:
    from huggingface_hub import constants
    from ray._common.usage import usage_lib

    assert constants.HF_HUB_DISABLE_TELEMETRY
    assert not usage_lib.usage_stats_enabled()
