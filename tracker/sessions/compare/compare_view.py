"""A comparison as tables for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from emotrack.tracker.messages.plain import plain
from emotrack.tracker.sessions.compare.compare import Comparison


def render(found: Comparison) -> RenderableType:
    """The figures, the confusion of the two runs and the turns on which they disagree most."""
    return Group(*_summary(found), *_confusion_table(found), *_disagreement_table(found))


def _summary(found: Comparison) -> list[RenderableType]:
    table = Table("", "A", "B", title="Two runs", title_justify="left")

    def row(what: str, a: object, b: object = "") -> None:
        table.add_row(what, _plain(str(a)), _plain(str(b)))

    row("session", found.a.name, found.b.name)
    row("bundle", *(run.started.bundle.name if run.started else "unknown" for run in (found.a, found.b)))
    row("recogniser", *((run.started.recogniser or "none") if run.started else "unknown" for run in (found.a, found.b)))
    row("turns", len(found.a.turns), len(found.b.turns))
    row("turns without counterpart", len(found.only_a), len(found.only_b))
    if found.only_labels_a or found.only_labels_b:
        row("emotions the other does not know", ", ".join(found.only_labels_a), ", ".join(found.only_labels_b))
        row("pairs left out for that", found.uncommon)
    row("pairs of turns", found.pairs)
    row("agreement", _percent(found.agreement))
    row("Cohen's kappa", "-" if found.kappa is None else f"{found.kappa:.3f}")
    row("mean difference of probabilities", _percent(found.mean_difference))
    if found.score_a and found.score_b:
        scores = found.score_a, found.score_b
        source = "the truth file" if found.truth == "file" else "corrections"
        row(f"weighted F1 on {found.truth_turns} turns of {source}", *(_percent(score.weighted_f1) for score in scores))
        row("of these not found", *(score.missed for score in scores))
    return [table]


def _confusion_table(found: Comparison) -> list[RenderableType]:
    if not found.pairs:
        return []
    labels = [_plain(label) for label in found.labels]
    table = Table("A \\ B", *(Column(label) for label in labels), title="Pairs by emotion", title_justify="left")
    for name, label in zip(labels, found.labels, strict=True):
        table.add_row(name, *(str(count) if count else "." for count in found.confusion[label].values()))
    return [table]


def _disagreement_table(found: Comparison) -> list[RenderableType]:
    if not found.disagreements:
        return []
    table = Table("at", "A", "B", "difference", "words", title="Most different turns", title_justify="left")
    for pair in found.disagreements:
        minutes, seconds = divmod(int(pair.a.start_s), 60)
        words = pair.a.text or pair.b.text or ""
        table.add_row(
            f"{minutes}:{seconds:02}",
            *(_plain(f"{turn.emotion} {turn.confidence:.0%} (turn {turn.turn_id})") for turn in (pair.a, pair.b)),
            _percent(pair.difference),
            _plain(words),
        )
    return [table]


def _plain(words: str) -> Text:
    """Words of the session as they may be shown: no markup, nothing that a terminal would obey."""
    return Text(plain(words))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
