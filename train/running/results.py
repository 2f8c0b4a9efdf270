"""The results of one recipe with several seeds: each of them, their mean and their spread."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from emotrack.errors import EmotrackError
from emotrack.models.files import write_files

METRICS = {"weighted_f1": "weighted F1", "macro_f1": "macro F1", "uar": "UAR", "accuracy": "accuracy", "ece": "ECE"}


def write_results(bundles: Mapping[int, Path], out: Path, ended: Mapping[int, EmotrackError] | None = None) -> Path:
    """Sum up the ``metrics.json`` of bundles, by their seeds -> ``out/results.md``, beside ``out/results.json``.

    Every seed is in both: those whose training ``ended`` with the reason, and where it collapsed with what that network
    scored.
    """
    runs = {seed: json.loads((bundle / "metrics.json").read_text()) for seed, bundle in bundles.items()}
    collapsed = {seed: {"what": "; ".join(found)} for seed, metrics in runs.items() if (found := collapses(metrics))}
    missing = {
        seed: {"what": str(error), "scores": getattr(error, "scores", {})} for seed, error in (ended or {}).items()
    }
    summary = summarise(runs) | {"collapsed": collapsed, "ended": missing}
    write_files({out / "results.json": json.dumps(summary, indent=1) + "\n", out / "results.md": table(summary)})
    return out / "results.md"


def summarise(runs: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """The metrics of runs, by their seeds, as JSON takes it: for each score its mean, spread and every seed's.

    The spread is the sample standard deviation.
    """
    found = {seed: scores_in(metrics) for seed, metrics in runs.items()}
    names = dict.fromkeys(name for scores in found.values() for name in scores)
    return {
        "seeds": list(runs),
        "scores": {
            name: {
                metric: _summary({seed: scores[name][metric] for seed, scores in found.items() if name in scores})
                for metric in METRICS
            }
            for name in names
        },
    }


def scores_in(metrics: Mapping[str, Any], where: str = "") -> dict[str, Mapping[str, Any]]:
    """All scores in a bundle's metrics, however deep, by the names that lead there."""
    if METRICS.keys() <= metrics.keys():
        return {where: metrics}
    found: dict[str, Mapping[str, Any]] = {}
    for name, value in metrics.items():
        if isinstance(value, dict):
            found |= scores_in(value, f"{where}: {name}" if where else name)
    return found


def collapses(metrics: Mapping[str, Any]) -> list[str]:
    """The trainings in a bundle's metrics that ended in one answer to everything, and which answer."""
    trained = {name: scores for name, scores in scores_in(metrics).items() if not name.startswith("dev")}
    return [f"{name}: {scores['collapsed']}" for name, scores in trained.items() if scores.get("collapsed")]


def table(summary: Mapping[str, Any]) -> str:
    """The summary in Markdown."""
    seeds, ended = summary["seeds"], summary["ended"]
    asked, counted = len(seeds) + len(ended), f"{len(seeds)} ({', '.join(map(str, seeds))})"
    lines = [
        f"Mean ± sample standard deviation over {counted} of {asked} seeds; in brackets the weighted F1 of each seed.",
        "",
        *(f"Seed {seed} collapsed, and counts: {run['what']}.\n" for seed, run in summary["collapsed"].items()),
        *(f"Seed {seed} has no part in the means: {_ending(run)}.\n" for seed, run in ended.items()),
        f"| | {' | '.join(METRICS.values())} | |",
        f"|---|{'---|' * len(METRICS)}---|",
    ]
    for name, scores in summary["scores"].items():
        values = [f"{scores[metric]['mean']:.3f} ± {scores[metric]['spread']:.3f}" for metric in METRICS]
        each = ", ".join(f"{value:.3f}" for value in scores["weighted_f1"]["seeds"].values())
        lines.append(f"| {name} | {' | '.join(values)} | ({each}) |")
    return "\n".join([*lines, ""])


def _ending(run: Mapping[str, Any]) -> str:
    scored = {METRICS[name]: value for name, value in run["scores"].items() if name in METRICS}
    return "; ".join([run["what"], *(f"{name} {value:.3f}" for name, value in scored.items())])


def _summary(values: Mapping[int, float]) -> dict[str, Any]:
    spread = stdev(values.values()) if len(values) > 1 else 0.0
    return {"mean": round(mean(values.values()), 4), "spread": round(spread, 4), "seeds": dict(values)}
