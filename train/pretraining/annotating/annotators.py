"""Annotators: each looks at sentences and says positive, negative, neutral, or why it cannot say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from emotrack.train.pretraining.corpus.rows import LabelRow
from emotrack.train.pretraining.corpus.sentences import RowBlock
from emotrack.train.pretraining.corpus.table import Answer, Table
from emotrack.train.pretraining.corpus.work import Job, Step, Worker

SENTIMENTS = ("positive", "negative", "neutral")


@dataclass(frozen=True, slots=True)
class Verdict:
    """An annotator's verdict on a sentence."""

    label: str | None
    """One of ``SENTIMENTS``."""
    set_aside: str | None = None
    """Why there is no label."""


class Annotator(Protocol):
    """Gives a verdict on each sentence."""

    def judge(self, texts: Sequence[str]) -> list[Verdict]:
        """One verdict a text, in their order. Raises ``TrainError`` where it cannot go on at all."""


class Maker(Protocol):
    """How to make an annotator: plain values, so that another process can make it, too."""

    @property
    def name(self) -> str:
        """Its own, also that of its folder."""

    @property
    def made_by(self) -> str:
        """All that its labels depend on, beside the text."""

    @property
    def workers(self) -> int | None:
        """How many may be at work at a time; None for as many as there is room for."""

    def make(self) -> Annotator:
        """The annotator, ready to judge."""


def annotation(maker: Maker, table: Table[LabelRow]) -> Job[LabelRow]:
    """The job that fills a table with the labels of one annotator; its items are stretches."""
    return Job(maker.name, (Worker(partial(_step, maker), most=maker.workers),), table, "sentences")


def _step(maker: Maker) -> Step:
    annotator = maker.make()

    def annotate(stretches: Sequence[RowBlock]) -> list[Answer[LabelRow]]:
        answers = []
        for stretch in stretches:
            sentences = stretch.read()
            verdicts = annotator.judge([sentence.text for sentence in sentences])
            rows = [
                LabelRow(sentence.turn_id, sentence.text, maker.name, verdict.label, verdict.set_aside)
                for sentence, verdict in zip(sentences, verdicts, strict=True)
            ]
            answers.append(Answer(stretch.key, rows))
        return answers

    return annotate
