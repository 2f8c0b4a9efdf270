"""The paper's tables as text: from every run's scores to Markdown and LaTeX.

Weighted F1 has stages and modalities in its rows, recipes and modes in its columns. CMU-MOSI's figures have stages,
modalities and modes in their rows, and a column each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from emotrack.train.evaluation.sentiment import SENTIMENT_METRICS

FOLD = "-fold-"  # between the name of a corpus and the number
NOT_SHARES = ("mae", "corr")  # CMU-MOSI's figures that are not given in %
HEARD_ORDER = ("words", "voice", "voice and words")


@dataclass(frozen=True, slots=True)
class TableCell:
    """What one run scores in one row and column of the table."""

    recipe: str
    corpus: str
    split: str
    mode: str
    stage: str
    heard: str
    seed: int
    count: int  # turns
    weighted_f1: float
    macro_f1: float
    uar: float
    accuracy: float
    ece: float
    words: str  # which recogniser's were read; nothing where they are the corpus's own
    collapsed: str  # which of the run's trainings ended in one answer to everything
    mae: float | None = None  # this and what follows: ``evaluation.sentiment``, of CMU-MOSI alone
    corr: float | None = None
    acc_7: float | None = None
    has0_acc_2: float | None = None
    has0_f1: float | None = None
    non0_acc_2: float | None = None
    non0_f1: float | None = None

    @property
    def called(self) -> str:
        """What was heard, of whom, and the stage."""
        heard = f"{self.heard} ({self.words})" if self.words else self.heard
        return f"{heard}, stage {self.stage}"

    @property
    def without_fold(self) -> str:
        """What the recipe is called on all folds of its corpus; nothing where it is not on one."""
        corpus, fold, _ = self.corpus.partition(FOLD)
        return self.recipe.replace(self.corpus, corpus) if fold else ""


@dataclass(frozen=True, slots=True)
class Transcripts:
    """Where a recogniser's words are kept, and which recogniser's."""

    path: Path
    asr: str
    language: str | None


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What the table is of."""

    splits: tuple[str, ...]
    seeds: tuple[int, ...]
    asr: str | None = None  # a recogniser whose words are read, too
    language: str | None = None  # that it hears; detected where this is None
    missing: bool = False  # whether ever more turns lack their words or their voice, too
    jobs: int = 1  # how many seeds are trained at a time

    def transcripts(self, corpus: str, out: Path) -> Transcripts | None:
        """The words of a corpus that the table is of, beside its own."""
        return Transcripts(out / f"transcripts/{corpus}.csv", self.asr, self.language) if self.asr else None


@dataclass(frozen=True, slots=True)
class TextTable:
    """One table, its cells in words."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]  # what each is called, and its cells


def markdown(found: Sequence[TableCell], options: TableOptions) -> str:
    """Tables for each split, and which trainings collapsed."""
    lines = []
    for table in _tables(found, options):
        lines += [f"{table.caption}.", "", f"| | {' | '.join(table.columns)} |", f"|---|{'---|' * len(table.columns)}"]
        lines += [f"| {called} | {' | '.join(cells)} |" for called, cells in table.rows]
        lines.append("")
    if collapsed := dict.fromkeys(f"{c.recipe}, seed {c.seed}, {c.collapsed}" for c in found if c.collapsed):
        lines += [f"Collapsed, and counted: {'; '.join(collapsed)}.", ""]
    return "\n".join(lines)


def latex(found: Sequence[TableCell], options: TableOptions) -> str:
    """The same tables for LaTeX, as it needs no package."""
    lines = []
    for table in _tables(found, options):
        lines += [
            f"% {table.caption}.",
            f"\\begin{{tabular}}{{l{'c' * len(table.columns)}}}",
            "\\hline",
            f" & {' & '.join(map(_escaped, table.columns))} \\\\",
            "\\hline",
            *(f"{_escaped(called)} & {' & '.join(map(_escaped, cells))} \\\\" for called, cells in table.rows),
            "\\hline",
            "\\end{tabular}",
            "",
        ]
    return "\n".join(lines)


def _tables(found: Sequence[TableCell], options: TableOptions) -> Iterator[TextTable]:
    seeds = ", ".join(map(str, options.seeds))
    over = f"mean ± sample standard deviation over seeds {seeds}; of fewer, a cell says so"
    for split in options.splits:
        own = [cell for cell in found if cell.split == split]
        yield _weighted_f1(own, f"Weighted F1 on {split}, %: {over}", options)
        if told := [cell for cell in own if cell.has0_acc_2 is not None]:
            yield _sentiment(told, f"CMU-MOSI's figures on {split}, accuracy and F1 in %: {over}", options)


def _weighted_f1(found: Sequence[TableCell], caption: str, options: TableOptions) -> TextTable:
    columns = dict.fromkeys((cell.recipe, cell.mode) for cell in found)
    on_folds = dict.fromkeys((cell.without_fold, cell.corpus) for cell in found if cell.without_fold)
    several = {name for name, count in Counter(name for name, _ in on_folds).items() if count > 1}
    folds = dict.fromkeys((cell.without_fold, cell.mode) for cell in found if cell.without_fold in several)
    if folds:
        caption += "; of folds: over the folds' means"
    rows = []
    for called in _rows_of(found):
        own = [cell for cell in found if cell.called == called]
        of_seeds = ([cell for cell in own if (cell.recipe, cell.mode) == column] for column in columns)
        of_folds = ([cell for cell in own if (cell.without_fold, cell.mode) == column] for column in folds)
        cells = [_mean([100.0 * cell.weighted_f1 for cell in each], options) for each in of_seeds]
        rows.append((called, (*cells, *map(_mean_of_folds, of_folds))))
    names = [*(f"{recipe}, {mode}" for recipe, mode in columns), *(f"{name}, folds, {mode}" for name, mode in folds)]
    return TextTable(caption, tuple(names), tuple(rows))


def _sentiment(found: Sequence[TableCell], caption: str, options: TableOptions) -> TextTable:
    rows = []
    for recipe, mode in dict.fromkeys((cell.recipe, cell.mode) for cell in found):
        column = [cell for cell in found if (cell.recipe, cell.mode) == (recipe, mode)]
        for called in _rows_of(column):
            own = [cell for cell in column if cell.called == called]
            cells = []
            for name in SENTIMENT_METRICS:
                values = [value for cell in own if (value := getattr(cell, name)) is not None]
                in_percent = name not in NOT_SHARES
                cells.append(_mean([100.0 * value if in_percent else value for value in values], options))
            rows.append((f"{recipe}, {mode}, {called}", tuple(cells)))
    return TextTable(caption, tuple(SENTIMENT_METRICS.values()), tuple(rows))


def _rows_of(found: Iterable[TableCell]) -> list[str]:
    """What the rows are called, the words' first and stage III last; below each, that of a recogniser's words."""
    cells = sorted(found, key=lambda cell: (cell.stage == "III", HEARD_ORDER.index(cell.heard), cell.stage, cell.words))
    return list(dict.fromkeys(cell.called for cell in cells))


def _mean(values: Sequence[float], options: TableOptions) -> str:
    """Of seeds, with their spread, and how many they are where one lacks."""
    if not values:
        return ""
    fewer = f" ({len(values)} of {len(options.seeds)})" if len(values) < len(options.seeds) else ""
    return f"{_with_spread(values)}{fewer}"


def _mean_of_folds(found: Sequence[TableCell]) -> str:
    """Of the means over seeds of each fold, and how many folds they are."""
    scores: dict[str, list[float]] = {}
    for cell in found:
        scores.setdefault(cell.corpus, []).append(100.0 * cell.weighted_f1)
    return f"{_with_spread([mean(each) for each in scores.values()])} ({len(scores)} folds)" if scores else ""


def _with_spread(values: Sequence[float]) -> str:
    spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{mean(values):.2f}{spread}"


def _escaped(text: str) -> str:
    escaped = "".join(f"\\{letter}" if letter in "&%$#_{}" else letter for letter in text)
    return escaped.replace("±", "$\\pm$")
