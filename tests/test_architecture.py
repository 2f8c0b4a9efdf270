"""Which package may know which."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def imports(package: str) -> set[tuple[str, str]]:
    """(file, imported module) for everything a package imports, lazily or not."""
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                found.add((str(path.relative_to(ROOT)), node.module or ""))
            elif isinstance(node, ast.Import):
                found |= {(str(path.relative_to(ROOT)), alias.name) for alias in node.names}
    return found


@pytest.mark.parametrize(
    ("package", "others"),
    [
        ("models", ("tracker", "train")),
        ("tracker", ("train",)),
    ],
)
def test_imports_go_one_way(package: str, others: tuple[str, ...]) -> None:
    forbidden = tuple(f"emotrack.{other}" for other in others)
    wrong = {(file, module) for file, module in imports(package) if module.startswith(forbidden)}
    # The command line reaches the training commands, and only when they run.
    assert {file for file, _ in wrong} <= {"emotrack/command_line.py"}


@pytest.mark.parametrize("package", ["models", "tracker", "train"])
def test_nothing_is_ever_unpickled(package: str) -> None:
    wrong = {(file, m) for file, m in imports(package) if m.split(".")[0] in {"pickle", "dill", "joblib", "shelve"}}
    assert not wrong
    for path in (ROOT / package).rglob("*.py"):
        assert "torch.load" not in path.read_text(), path
