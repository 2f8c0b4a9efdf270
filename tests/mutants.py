"""Change the code a little, at random places, and see whether its tests notice.

    python -m tests.mutants [--seed N] [--count N] [--files FILE ...]

A change turns one operator of one file into its neighbour (`<` to `<=`, `+` to `-`, `and` to `or`). The tests of that
file then run on it, in a copy of the working tree. Changes that they let live are named, as FILE:LINE, with what stood
there and what stands there now. Exit code 1: more than one change in ten lived; 2: nothing was measured.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

ROOT = Path(__file__).parents[1]
EQUIVALENT = ROOT / "tests" / "equivalent_mutants.toml"
LEAST_KILLED = 0.9
TIMES_AS_LONG, SECONDS_MORE = (
    3,
    10,
)  # a change whose tests take longer counts as noticed
MEMORY = 8 << 30  # bytes that the tests of one change may take
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis", "build", "dist", "runs"
)

# The core: what decides what a user is told. Its tests compute, so a change takes seconds.
CORE = (
    "models/attention.py",
    "models/co_attention.py",
    "models/context.py",
    "models/context_network.py",
    "models/conversation.py",
    "models/network.py",
    "tracker/hearing/audio_buffer.py",
    "tracker/hearing/listener.py",
    "tracker/hearing/segmenter.py",
    "tracker/hearing/vad.py",
    "tracker/mqtt/format/audio_topics.py",
    "tracker/mqtt/format/channels.py",
    "tracker/mqtt/format/payloads.py",
    "tracker/mqtt/format/topics.py",
    "tracker/summary/mood.py",
    "tracker/summary/session_summary.py",
    "tracker/summary/shifts.py",
    "tracker/understanding/batching.py",
    "tracker/understanding/captions/parsing.py",
    "tracker/understanding/captions/rolling.py",
    "tracker/understanding/captions/turns.py",
    "tracker/understanding/overload.py",
    "tracker/understanding/recognisers/gates.py",
    "train/evaluation/calibration.py",
    "train/evaluation/evaluate.py",
    "train/evaluation/metrics.py",
    "train/learning/losses.py",
    "train/learning/muon.py",
    "train/pretraining/annotating/agreement.py",
    "train/pretraining/annotating/answers.py",
    "train/pretraining/encoders/descriptors.py",
)

# `tests` mirrors the folders. These are the files whose tests are (also) those of another one.
ELSEWHERE = {
    "models/attention.py": ("tests/models/test_conversation.py",),
    "models/co_attention.py": ("tests/models/test_conversation.py",),
    "models/context.py": ("tests/models/test_conversation.py", "tests/models/test_snapshot.py"),
    "models/context_network.py": ("tests/models/test_conversation.py",),
    "models/network.py": ("tests/models/test_streaming.py",),
    "tracker/summary/mood.py": ("tests/tracker/summary/test_session_summary.py",),
    "tracker/understanding/captions/parsing.py": ("tests/tracker/understanding/test_captions.py",),
    "tracker/understanding/captions/rolling.py": ("tests/tracker/understanding/test_captions.py",),
    "tracker/understanding/captions/turns.py": ("tests/tracker/understanding/test_captions.py",),
    "train/evaluation/calibration.py": ("tests/train/evaluation/test_metrics.py",),
}

OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.USub: ast.UAdd,
}


@dataclass(frozen=True)
class Mutant:
    """One file with one operator changed. ``function`` is the dotted name of what it is in, "" for the module."""

    file: str
    line: int
    function: str
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.before}  ->  {self.after}"


def mutants(file: str, source: str) -> list[Mutant]:
    """Every change that can be made to ``source``, in order."""
    tree = ast.parse(source)
    found = []
    for node, function in _expressions(tree, ""):
        for holder, name, index in _operators(node):
            before, kept = ast.unparse(node), getattr(holder, name)
            operator = kept if index is None else kept[index]
            changed = OPERATORS[type(operator)]()
            setattr(holder, name, changed if index is None else [*kept[:index], changed, *kept[index + 1 :]])
            found.append(Mutant(file, node.lineno, function, before, ast.unparse(node), ast.unparse(tree)))
            setattr(holder, name, kept)
    return found


def _expressions(node: ast.AST, function: str) -> Iterator[tuple[ast.expr | ast.AugAssign, str]]:
    """What may hold an operator, each with the name of its function; nothing for type checkers or documents."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        inside = function
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = f"{function}.{child.name}".lstrip(".")
        if isinstance(child, ast.Compare | ast.BoolOp | ast.BinOp | ast.UnaryOp | ast.AugAssign):
            yield child, inside
        yield from _expressions(child, inside)


def _operators(node: ast.expr | ast.AugAssign) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Where the node's own operators are that have a neighbour: (node, attribute, place in the list if it is one)."""
    if isinstance(node, ast.Compare):
        yield from ((node, "ops", index) for index, op in enumerate(node.ops) if type(op) in OPERATORS)
    elif isinstance(node, ast.BoolOp | ast.BinOp | ast.UnaryOp | ast.AugAssign) and type(node.op) in OPERATORS:
        yield node, "op", None


def sample(root: Path, files: list[str], count: int, seed: int) -> list[Mutant]:
    """At most ``count`` mutants, as evenly over the files as can be, in the files' order."""
    chance = random.Random(seed)
    left = {file: mutants(file, (root / file).read_text(encoding="utf-8")) for file in files}
    taken: list[Mutant] = []
    while len(taken) < count and any(left.values()):
        for file in chance.sample(files, len(files)):
            if left[file] and len(taken) < count:
                taken.append(left[file].pop(chance.randrange(len(left[file]))))
    return sorted(taken, key=lambda mutant: (files.index(mutant.file), mutant.line))


def own_tests(root: Path, file: str) -> list[str]:
    """The files with the tests of ``file``, relative to ``root``."""
    mirrored = str(Path("tests", file).with_name(f"test_{Path(file).name}"))
    return [test for test in (mirrored, *ELSEWHERE.get(file, ())) if (root / test).is_file()]


def equivalents(path: Path) -> dict[tuple[str, str, str, str], str]:
    """The changes that change nothing, by file, function, before and after; the value says why."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", []) if path.is_file() else []
    return {(each["file"], each["function"], each["before"], each["after"]): each["reason"] for each in entries}


class Copy:
    """A copy of the working tree in a temporary folder, where files are changed and tests are run."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = folder / "tree"
        self._seconds: dict[str, float] = {}
        shutil.copytree(root, self._root, symlinks=True, ignore=NOT_COPIED)

    def kills(self, mutant: Mutant) -> bool:
        """Whether the tests of the mutant's file fail or do not end. ``RuntimeError``: they fail without it."""
        tests = own_tests(self._root, mutant.file)
        if mutant.file not in self._seconds:
            began = time.monotonic()
            if not tests or not self._pass(tests, None):
                raise RuntimeError(f"{mutant.file}: its tests, {' '.join(tests) or 'none'}, do not pass as it is")
            self._seconds[mutant.file] = time.monotonic() - began
        path = self._root / mutant.file
        kept = path.read_bytes()
        path.write_text(mutant.source, encoding="utf-8")
        try:
            return not self._pass(tests, TIMES_AS_LONG * self._seconds[mutant.file] + SECONDS_MORE)
        finally:
            path.write_bytes(kept)

    def _pass(self, tests: list[str], timeout: float | None) -> bool:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
            cwd=self._root,
            # No compiled files: a change within the second in which a file was compiled would not be seen.
            env=os.environ | {"PYTHONPATH": str(self._root), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if hasattr(resource, "prlimit"):
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (MEMORY, MEMORY))
        try:
            return process.wait(timeout) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="which changes are taken; default: 0")
    parser.add_argument("--count", type=int, default=56, help="how many, spread over the files; default: 56")
    parser.add_argument("--files", nargs="+", default=list(CORE), metavar="FILE", help="default: the core")
    options = parser.parse_args(arguments)
    files = list(dict.fromkeys(str(Path(file)) for file in options.files))
    if missing := [file for file in files if not (root / file).is_file()]:
        parser.error(f"there is no {', '.join(missing)}")
    chosen = sample(root, files, options.count, options.seed)
    return judge(chosen, equivalents(root / EQUIVALENT.relative_to(ROOT)), root)


def judge(chosen: list[Mutant], reasons: dict[tuple[str, str, str, str], str], root: Path) -> int:
    """Run the tests of every mutant, print those that lived and the share killed; returns the exit code."""
    killed = lived = 0
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with tempfile.TemporaryDirectory() as folder, Progress(*columns, console=console) as progress:
        tree = Copy(root, Path(folder))
        bar = progress.add_task("", total=len(chosen))
        for mutant in chosen:
            progress.update(bar, description=mutant.file)
            reason = reasons.get((mutant.file, mutant.function, mutant.before, mutant.after))
            try:
                if reason:
                    progress.print(f"equivalent  {mutant}  ({reason})", markup=False, soft_wrap=True)
                elif tree.kills(mutant):
                    killed += 1
                else:
                    lived += 1
                    progress.print(f"lived       {mutant}", markup=False, soft_wrap=True)
            except RuntimeError as error:
                progress.print(str(error), markup=False, soft_wrap=True)
                return 2
            progress.advance(bar)
    if not killed + lived:
        print("no change was made", file=sys.stderr)
        return 2
    print(f"{killed} of {killed + lived} killed: {killed / (killed + lived):.1%}")
    return int(killed / (killed + lived) < LEAST_KILLED)


if __name__ == "__main__":
    sys.exit(main())
