from __future__ import annotations

import json
from pathlib import Path

from emotrack.train.errors import CollapsedError
from emotrack.train.running.results import scores_in, write_results


def metrics(seed: int, f1: float) -> dict[str, object]:
    scores = {"count": 10, "weighted_f1": f1, "macro_f1": 0.5, "uar": 0.4, "accuracy": 0.6, "ece": 0.05}
    return {"seed": seed, "stage1": {"text": scores}, "dev": {"MELD, words, online": {**scores, "uar": f1 / 2}}}


def test_mean_spread_and_every_seed(tmp_path: Path) -> None:
    bundles = {}
    for seed, f1 in ((0, 0.60), (1, 0.58), (5, 0.62)):
        bundles[seed] = tmp_path / f"seed-{seed}"
        bundles[seed].mkdir()
        (bundles[seed] / "metrics.json").write_text(json.dumps(metrics(seed, f1)))
    table = write_results(bundles, tmp_path)
    summary = json.loads((tmp_path / "results.json").read_text())
    assert summary["seeds"] == [0, 1, 5]
    assert list(summary["scores"]) == ["stage1: text", "dev: MELD, words, online"]
    found = summary["scores"]["dev: MELD, words, online"]
    assert found["weighted_f1"] == {"mean": 0.6, "spread": 0.02, "seeds": {"0": 0.6, "1": 0.58, "5": 0.62}}
    assert found["uar"]["spread"] == 0.01
    *_, online = table.read_text().splitlines()
    assert online.startswith("| dev: MELD, words, online | 0.600 ± 0.020 | 0.500 ± 0.000 |")
    assert online.endswith("| (0.600, 0.580, 0.620) |")


def test_scores_are_found_wherever_they_are() -> None:
    inner: dict[str, object] = {"weighted_f1": 1.0, "macro_f1": 1.0, "uar": 1.0, "accuracy": 1.0, "ece": 0.0}
    assert scores_in({"seed": 3, "dev": {"online": {"both": inner}}, "note": "none"}) == {"dev: online: both": inner}


def test_every_seed_is_accounted_for(tmp_path: Path) -> None:
    """One that was ended says what it scored; one that went on after a collapse is in the means."""
    whole, fallen = metrics(1, 0.6), metrics(2, 0.2)
    fallen["stage1"]["text"]["collapsed"] = "every dev item is called joy"  # type: ignore[index]
    for seed, found in ((1, whole), (2, fallen)):
        (tmp_path / f"seed-{seed}").mkdir()
        (tmp_path / f"seed-{seed}/metrics.json").write_text(json.dumps(found))
    ended = CollapsedError("speech: collapsed, every dev item is called fear", {"count": 10, "weighted_f1": 0.125})
    bundles = {seed: tmp_path / f"seed-{seed}" for seed in (1, 2)}
    said = write_results(bundles, tmp_path, {0: ended}).read_text()
    assert "over 2 (1, 2) of 3 seeds" in said
    assert "Seed 2 collapsed, and counts: stage1: text: every dev item is called joy." in said
    assert (
        "Seed 0 has no part in the means: speech: collapsed, every dev item is called fear; weighted F1 0.125." in said
    )
    assert "| stage1: text | 0.400 ± 0.283 |" in said
    summary = json.loads((tmp_path / "results.json").read_text())
    assert summary["ended"]["0"]["scores"]["weighted_f1"] == 0.125


def test_results_where_no_seed_was_finished(tmp_path: Path) -> None:
    said = write_results({}, tmp_path, {0: CollapsedError("text: collapsed", {"weighted_f1": 0.1})}).read_text()
    assert "over 0 () of 1 seeds" in said
    assert "Seed 0 has no part in the means: text: collapsed; weighted F1 0.100." in said
