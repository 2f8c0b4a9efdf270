"""What an evaluation found, as pictures."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from emotrack.command_line import main
from emotrack.models.bundle import save_bundle
from emotrack.train.evaluation.metrics import score
from emotrack.train.evaluation.predictions import Predictions
from emotrack.train.figures.drawings import SIDE, draw_confusions, draw_reliability
from tests.train.evaluation.test_evaluate import random_network

SVG = "{http://www.w3.org/2000/svg}"
LABELS = ("joy", "fear")
TRUTH = np.array([0, 0, 0, 1])
PROBABILITIES = np.array([[0.9, 0.1], [0.91, 0.09], [0.4, 0.6], [0.3, 0.7]], dtype=np.float32)


def test_confusions_are_counted_and_shaded_by_the_share_of_their_row(tmp_path: Path) -> None:
    draw_confusions("T", score(PROBABILITIES, TRUTH, LABELS), tmp_path / "t.svg")
    drawing = ET.parse(tmp_path / "t.svg").getroot()
    shades = [float(each.get("fill-opacity", "nan")) for each in drawing.iter(f"{SVG}rect")][1:]
    assert shades == [0.667, 0.333, 0.0, 1.0]
    texts = [each.text for each in drawing.iter(f"{SVG}text")]
    assert texts[-4:] == ["2", "1", "0", "1"]
    assert {"T", "joy", "fear"} <= set(texts)


def test_bars_are_as_high_as_predictions_are_right(tmp_path: Path) -> None:
    found = Predictions(LABELS, [("d", str(number), "") for number in range(4)], TRUTH, PROBABILITIES)
    draw_reliability("T", found, 0.25, tmp_path / "t.svg")
    drawing = ET.parse(tmp_path / "t.svg").getroot()
    bars = [(float(each.get("height", "nan")), float(each.get("width", "nan"))) for each in drawing.iter(f"{SVG}rect")]
    assert bars[2:] == [(0.0, 10.0), (SIDE, 10.0), (SIDE, 20.0)]  # at .6 wrong, at .7 right, at .9 both right
    assert "expected calibration error 0.250; 4 turns" in [each.text for each in drawing.iter(f"{SVG}text")]


def test_evaluate_draws_them(iemocap: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_bundle(random_network(), tmp_path / "bundle", {}, "# random\n")
    words = ["--corpus", "iemocap", "--data", str(iemocap), "--drawings", str(tmp_path / "drawn")]
    assert main(["evaluate", "--bundle", str(tmp_path / "bundle"), *words]) == 0
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {
        f"{kind}-{modality}.svg" for kind in ("confusions", "reliability") for modality in ("both", "speech", "text")
    }
