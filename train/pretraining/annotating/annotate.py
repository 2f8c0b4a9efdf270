"""Transcripts -> silver labels: every annotator fills its own table, then they are compared and vote."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from emotrack.models.files import write_files
from emotrack.tracker.messages.output import say, show
from emotrack.tracker.messages.plain import plain
from emotrack.train.errors import TrainError
from emotrack.train.pretraining.annotating.agreement import VOTE, agreement, shared, vote
from emotrack.train.pretraining.annotating.annotators import SENTIMENTS, Maker, annotation
from emotrack.train.pretraining.annotating.estimate import ANSWER_S, Prices, estimate, measure
from emotrack.train.pretraining.annotating.makers import LlmMaker, folder_of
from emotrack.train.pretraining.corpus.rows import LabelRow
from emotrack.train.pretraining.corpus.sentences import RowBlock, read_stretches
from emotrack.train.pretraining.corpus.table import Table
from emotrack.train.pretraining.corpus.work import Engine, Item, Job, run_plainly, to_do


def annotate(
    corpora: Sequence[str],
    makers: Sequence[Maker],
    out: Path,
    prices: Prices,
    only_estimate: bool,
    run: Engine = run_plainly,
) -> None:
    """Label the sentences of corpora by every annotator, into ``out/NAME``; print a summary.

    Several annotators are compared, ``out/vote-NAME+NAME/agreement.md`` and ``.json``, and the majority's labels are
    a table in that folder. What is done is not done again.

    Raises:
        TrainError: a corpus, a table or a server cannot be used, or an annotator gave not one label. What was done
            until then is kept.
    """
    stretches = list(read_stretches(corpora))
    tables = {maker.name: Table(out / folder_of(maker.name), LabelRow, maker.made_by) for maker in makers}
    names = sorted(tables)
    together = out / f"{VOTE}-{'+'.join(folder_of(name) for name in names)}"
    votes = Table(together, LabelRow, f"{VOTE} of {', '.join(tables[name].made_by or name for name in names)}")
    for maker in makers:
        _foretell(maker, tables[maker.name], stretches, prices, only_estimate)
    if only_estimate:
        return
    for maker in makers:
        _run(annotation(maker, tables[maker.name]), stretches, run)
    if len(makers) > 1:
        compared = {name: tables[name] for name in names}
        _run(vote(votes), list(shared(compared)), run_plainly)
        found = agreement(compared)
        in_words = found.to_markdown()
        values = json.dumps(found.to_dict(), indent=1) + "\n"
        write_files({together / "agreement.json": values, together / "agreement.md": in_words})
        show(in_words)
        tables |= {VOTE: votes}
    show(_counts(tables))
    for table in tables.values():
        show(table.folder)
    for maker in makers:
        _check_labelled(maker.name, tables[maker.name])


def _foretell(
    maker: Maker, table: Table[LabelRow], stretches: Sequence[RowBlock], prices: Prices, only_estimate: bool
) -> None:
    """Say what an annotator will have to do. A model is asked a few questions for it, unless told not to."""
    left = [stretch for (stretch,) in to_do(stretches, table, most=1, largest=1)]
    rows = f"{maker.name}: {sum(stretch.size for stretch in left):,} of {sum(s.size for s in stretches):,} rows to do"
    if not left or not isinstance(maker, LlmMaker):
        say(rows, None)
        return
    found = estimate(maker, _texts(left), prices)
    say(f"{rows}, {found.to_text()}", None)
    measured = None if only_estimate else measure(maker, _texts(left))
    takes, how = (ANSWER_S, "if an answer takes") if measured is None else (measured, "as the first answers took")
    duration = found.duration(takes, maker.concurrency)
    say(f"about {duration}, {how} {takes:.2g} s, {maker.concurrency} at a time", maker.name)


def _texts(stretches: Sequence[RowBlock]) -> Iterator[str]:
    return (sentence.text for stretch in stretches for sentence in stretch.read())


def _run(job: Job[LabelRow], items: Sequence[Item], run: Engine) -> None:
    batches = list(to_do(items, job.table, most=1, largest=1))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(escape(plain(job.name)), total=sum(item.size for (item,) in batches))
        sizes = iter([item.size for (item,) in batches])

        def advance(items: int) -> None:
            progress.advance(task, sum(next(sizes) for _ in range(items)))

        run(job, batches, advance)


def _counts(tables: dict[str, Table[LabelRow]]) -> str:
    """How often each annotator gave each label, and why it gave none, in Markdown."""
    lines = [f"| annotator | sentences | {' | '.join(SENTIMENTS)} | set aside |", f"|---|{'---:|' * 4}---|"]
    for name, table in tables.items():
        labels, reasons = _tally(table)
        total = labels.total()
        shares = [f"{labels[label]:,} ({labels[label] / max(total, 1):.1%})" for label in SENTIMENTS]
        aside = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common() if reason is not None)
        lines.append(f"| {name} | {total:,} | {' | '.join(shares)} | {aside or '0'} |")
    return "\n".join([*lines, ""])


def _check_labelled(name: str, table: Table[LabelRow]) -> None:
    """Raises ``TrainError`` where no sentence has a label."""
    labels, reasons = _tally(table)
    if not any(labels[label] for label in SENTIMENTS):
        why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common()) or "there is no sentence"
        raise TrainError(f"{name}: not one label ({why}); to ask again, remove {table.folder}")


def _tally(table: Table[LabelRow]) -> tuple[Counter[str | None], Counter[str | None]]:
    """How often there is each label, and each reason why there is none; None counts the others."""
    tallies: tuple[Counter[str | None], Counter[str | None]] = (Counter(), Counter())
    for shard in table.shards():
        try:
            with shard.open("rb") as file:
                columns = pq.ParquetFile(file).read(["label", "set_aside"], use_threads=False).columns
        except (OSError, pa.ArrowException) as error:
            raise TrainError(f"{shard} cannot be read, remove it to make it anew: {error}") from error
        for tally, column in zip(tallies, columns, strict=True):
            tally.update({found["values"]: found["counts"] for found in column.value_counts().to_pylist()})
    return tallies
