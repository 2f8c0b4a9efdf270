"""Which package may know which."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
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
    assert not wrong


def graph(*, of_rooms: bool) -> dict[str, set[str]]:
    """The modules that each module imports, in functions too; or the folders that each folder's modules import at once.

    A module that a function imports is imported there to save time, never to hide a circle.
    """
    modules = {
        ".".join(("emotrack", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
        for package in ("tracker", "models", "train")
        for path in (ROOT / package).rglob("*.py")
    }

    def room(module: str) -> str:
        return module if modules[module].name == "__init__.py" else module.rpartition(".")[0]

    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        for node in when_run(ast.parse(path.read_text()), with_functions=not of_rooms):
            named = [f"{node.module}.{alias.name}" for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            for name in named:
                known = name if name in modules else name.rpartition(".")[0]
                if known in modules:
                    ends = (room(module), room(known)) if of_rooms else (module, known)
                    found.setdefault(ends[0], set()).add(ends[1])
    return {name: others - {name} for name, others in found.items()}


def when_run(node: ast.AST, *, with_functions: bool) -> Iterator[ast.AST]:
    """The parts of a module that run: nothing for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        is_typing = isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING"
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        if not is_typing and (with_functions or not is_function):
            yield child
            yield from when_run(child, with_functions=with_functions)


@pytest.mark.parametrize("of_rooms", [False, True])
def test_nothing_is_imported_in_a_circle(of_rooms: bool) -> None:
    order = TopologicalSorter(graph(of_rooms=of_rooms))
    order.prepare()  # raises CycleError, which names the circle


def test_no_two_classes_have_one_name() -> None:
    named: dict[str, list[str]] = {}
    for package in ("emotrack", "models", "tracker", "train"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    named.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in named.items() if len(files) > 1} == {}


@pytest.mark.parametrize("package", ["models", "tracker", "train"])
def test_nothing_is_ever_unpickled(package: str) -> None:
    wrong = {(file, m) for file, m in imports(package) if m.split(".")[0] in {"pickle", "dill", "joblib", "shelve"}}
    assert not wrong
    for path in (ROOT / package).rglob("*.py"):
        found = re.findall(r"torch\.load\b.*", path.read_text())
        assert not found or path.name == "pickled.py"  # a command that a user runs on a file of a known hash
        assert all(each == 'torch.load(pickle, map_location="cpu", weights_only=True)' for each in found)
