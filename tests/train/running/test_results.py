from __future__ import annotations

import json
from pathlib import Path

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
    inner = {"weighted_f1": 1.0, "macro_f1": 1.0, "uar": 1.0, "accuracy": 1.0, "ece": 0.0}
    assert scores_in({"seed": 3, "dev": {"online": {"both": inner}}, "note": "none"}) == {"dev: online: both": inner}
