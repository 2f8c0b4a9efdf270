"""The command that changes the code and looks whether the tests notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants import CORE, ELSEWHERE, EQUIVALENT, ROOT, equivalents, main, mutants, own_tests, sample

FILE = "models/age.py"
SOURCE = '''\
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    print(1 < 2)


class Person:
    def may(self, age: int | None, *, with_parents: bool) -> bool:
        """1 < 2"""
        if not age:
            return False
        return age >= 18 or with_parents


def next_year(age: int) -> int:
    age += 1
    return --age
'''


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small project with one file, which calls itself an adult's from 18 on, and one test of it."""
    for folder in ("models", "tests/models"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / FILE).write_text("def adult(age):\n    return age >= 18\n")
    (tmp_path / "tests/models/test_age.py").write_text(with_test("assert not adult(17) and adult(19)"))
    return tmp_path


def with_test(line: str) -> str:
    return f"from models.age import adult\n\n\ndef test_adult():\n    {line}\n"


def test_each_operator_has_one_neighbour() -> None:
    changes = [(m.line, m.function, m.before, m.after) for m in mutants(FILE, SOURCE)]
    assert changes == [
        (12, "Person.may", "age >= 18 or with_parents", "age >= 18 and with_parents"),
        (12, "Person.may", "age >= 18", "age > 18"),
        (16, "next_year", "age += 1", "age -= 1"),
        (17, "next_year", "--age", "+-age"),
        (17, "next_year", "-age", "+age"),
    ]


def test_a_change_is_the_only_one() -> None:
    boundary = next(m for m in mutants(FILE, SOURCE) if m.before == "age >= 18")
    assert "return age > 18 or with_parents" in boundary.source
    assert "age += 1" in boundary.source
    assert str(boundary) == "models/age.py:12: age >= 18  ->  age > 18"


def test_a_seed_chooses_always_the_same_changes_spread_over_the_files() -> None:
    files = list(CORE[:8])
    chosen = sample(ROOT, files, 16, seed=3)
    assert chosen == sample(ROOT, files, 16, seed=3) != sample(ROOT, files, 16, seed=4)
    assert sorted({m.file for m in chosen}) == sorted(files)
    assert len(set(chosen)) == 16


def test_a_change_that_no_test_notices_is_named(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = (tree / FILE).read_bytes()
    assert main(["--files", FILE], tree) == 1
    out, err = capfd.readouterr()
    assert "lived       models/age.py:2: age >= 18  ->  age > 18" in out + err
    assert out.splitlines()[-1] == "0 of 1 killed: 0.0%"
    assert (tree / FILE).read_bytes() == before


def test_a_change_that_a_test_notices_is_killed(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tree / "tests/models/test_age.py").write_text(with_test("assert adult(18)"))
    assert main(["--files", FILE], tree) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "1 of 1 killed: 100.0%"


def test_a_change_that_changes_nothing_is_listed_with_its_reason(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tree / "tests/equivalent_mutants.toml").write_text(
        f'[[mutant]]\nfile = "{FILE}"\nfunction = "adult"\nbefore = "age >= 18"\nafter = "age > 18"\n'
        'reason = "nobody is 18"\n'
    )
    assert main(["--files", FILE], tree) == 2  # nothing else is left to be measured
    assert "equivalent  models/age.py:2: age >= 18  ->  age > 18  (nobody is 18)" in "".join(capfd.readouterr())


def test_tests_that_fail_anyway_measure_nothing(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tree / "tests/models/test_age.py").write_text(with_test("assert adult(17)"))
    assert main(["--files", FILE], tree) == 2
    assert "models/age.py: its tests, tests/models/test_age.py, do not pass as it is" in "".join(capfd.readouterr())


def test_a_file_that_is_not_there_is_a_wrong_command_line(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--files", "models/old.py"], tree)
    assert "there is no models/old.py" in capfd.readouterr().err


@pytest.mark.parametrize("file", CORE)
def test_each_file_of_the_core_has_tests(file: str) -> None:
    assert own_tests(ROOT, file)
    assert all((ROOT / test).is_file() for test in ELSEWHERE.get(file, ()))


def test_what_is_listed_as_equivalent_is_there() -> None:
    listed = equivalents(EQUIVALENT)
    there = {
        (m.file, m.function, m.before, m.after)
        for file in {file for file, *_ in listed}
        for m in mutants(file, (ROOT / file).read_text(encoding="utf-8"))
    }
    assert not listed.keys() - there
