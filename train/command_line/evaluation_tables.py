"""What ``emotrack evaluate`` shows: tables for people, or one JSON document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from emotrack.tracker.messages.output import show_tables
from emotrack.tracker.messages.plain import plain

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from emotrack.train.evaluation.evaluate import Evaluation
    from emotrack.train.evaluation.metrics import Scores

MODALITIES = {"both": "voice and words", "speech": "voice", "text": "words"}


def titles(words: str) -> dict[str, str]:
    """What each modality is called; words of a recogniser with its name."""
    return {name: f"{title} ({words})" if words and name != "speech" else title for name, title in MODALITIES.items()}


def document(found: Mapping[int, Evaluation]) -> dict[str, Any]:
    """Evaluations by their seeds, as JSON takes them: one is itself, several are a summary and each of them."""
    from emotrack.train.running.results import summarise

    runs = {seed: evaluation.to_dict() for seed, evaluation in found.items()}
    if len(runs) == 1:
        return next(iter(runs.values()))
    rows = {seed: {name: scores.to_dict() for name, scores in _rows(each, MODALITIES)} for seed, each in found.items()}
    return {**summarise(rows), "runs": runs}


def _rows(found: Evaluation, titles: Mapping[str, str]) -> list[tuple[str, Scores]]:
    """All scores of an evaluation and what each is of: "voice", then "gender f" and the like."""
    rows = [(titles[modalities], scores) for modalities, scores in found.scores.items()]
    return rows + [
        (f"{trait} {value}", scores) for trait, values in found.by_trait.items() for value, scores in values.items()
    ]


def show_evaluation(asked: dict[str, str], found: Sequence[Evaluation], titles: Mapping[str, str]) -> None:
    """Show one evaluation, or the mean and spread of several, whose tables of confusions would be many."""
    shown: list[RenderableType] = [plain(", ".join(f"{name} {value}" for name, value in asked.items()))]
    shown.append(_summary([_rows(each, titles) for each in found]))
    if found[0].sentiment:
        shown.append(_sentiment(found[0], titles))
    if len(found) == 1:
        shown += _confusions(found[0], titles)
    else:
        shown.append(f"mean \N{PLUS-MINUS SIGN} sample standard deviation of {len(found)} seeds")
    if found[0].left_out:
        left_out = ", ".join(f"{label} {count:,}" for label, count in found[0].left_out.items())
        shown.append(plain(f"not scored, as the bundle has no such label, or no single one: {left_out}"))
    show_tables(*shown)


def _summary(runs: Sequence[list[tuple[str, Scores]]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    columns = ("weighted_f1", "macro_f1", "uar", "accuracy", "ece", "ece_by_chance")
    headings = ("from", "turns", "weighted F1", "macro F1", "UAR", "accuracy", "ECE", "by chance")
    table = Table(*headings, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for row in zip(*runs, strict=True):
        cells = []
        for column in columns:
            values = [getattr(scores, column) for _, scores in row]
            spread = f" \N{PLUS-MINUS SIGN} {stdev(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{mean(values):.3f}{spread}")
        name, scores = row[0]
        table.add_row(plain(name), str(scores.count), *cells)
    return table


def _sentiment(found: Evaluation, titles: Mapping[str, str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from emotrack.train.evaluation.sentiment import SENTIMENT_METRICS

    table = Table("sentiment", *SENTIMENT_METRICS.values(), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for modalities, scores in found.sentiment.items():
        values = (getattr(scores, name) for name in SENTIMENT_METRICS)
        table.add_row(plain(titles[modalities]), *("" if value is None else f"{value:.3f}" for value in values))
    return table


def _confusions(found: Evaluation, titles: Mapping[str, str]) -> list[Table]:
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table
    from rich.text import Text

    tables = []
    for modalities, scores in found.scores.items():
        table = Table(
            "truth",
            "F1",
            *(Column(Text(plain(label))) for label in scores.labels),
            title=f"{plain(titles[modalities])}; rows: truth, columns: prediction",
            box=SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        for label, f1, row in zip(scores.labels, scores.f1, scores.confusion, strict=True):
            table.add_row(Text(plain(label)), f"{f1:.3f}", *(str(count) for count in row))
        tables.append(table)
    return tables
