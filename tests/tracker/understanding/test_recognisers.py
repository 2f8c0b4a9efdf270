"""Recognisers at work: Moonshine and PocketSphinx as they are installed, faster-whisper on a model made here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.errors import RecogniserError
from emotrack.tracker.hearing.listener import Listener, SpeechTurn
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.understanding.recognisers import Recogniser, open_recogniser
from emotrack.tracker.understanding.recognisers.faster_whisper import best_cached
from emotrack.tracker.understanding.recognisers.gates import GateOptions
from emotrack.tracker.understanding.recognisers.moonshine import Moonshine, _read_tokens
from emotrack.tracker.understanding.recognisers.pocketsphinx import PocketSphinx
from tests.noticing import noticed
from tests.tracker.kitchen_table import TRUTH, samples


@pytest.fixture(scope="module")
def turns() -> list[SpeechTurn]:
    listener = Listener(0, SegmenterOptions())
    return listener.push(samples().mean(axis=1), 0) + listener.flush()


def open_quietly(choice: str, language: str | None = None) -> tuple[Recogniser | None, list[str]]:
    with noticed() as said:
        return open_recogniser(choice, "cpu", 1, language), said


def words_of(text: str) -> list[str]:
    return [word for word in (word.strip(".,?!'").lower() for word in text.split()) if word]


@pytest.fixture(scope="module")
def moonshine() -> Moonshine:
    return Moonshine(1)


def test_moonshine_hears_nearly_every_word(moonshine: Moonshine, turns: list[SpeechTurn]) -> None:
    heard = [word for turn in turns for word in words_of(moonshine.transcribe(turn).text or "")]
    said = [word for line in TRUTH for word in words_of(line["text"])]
    assert (Counter(heard) & Counter(said)).total() >= 0.8 * len(said)
    assert len(heard) <= 1.1 * len(said)


def test_moonshine_hears_the_same_whatever_it_heard_before(moonshine: Moonshine, turns: list[SpeechTurn]) -> None:
    forwards = moonshine.transcribe_batch(turns[:3])
    assert moonshine.transcribe_batch(turns[2::-1]) == forwards[::-1]
    assert {(transcript.source, transcript.language) for transcript in forwards} == {("moonshine", "en")}


@pytest.mark.parametrize("seconds", [0.05, 0.3, 2.0])
@pytest.mark.parametrize("loudness", [0.0, 0.1])
def test_moonshine_believes_no_words_in_noise_and_silence(
    moonshine: Moonshine, seconds: float, loudness: float
) -> None:
    noise = np.random.default_rng(0).normal(0, loudness, round(seconds * SAMPLE_RATE)).astype(np.float32)
    end = len(noise)
    transcript = moonshine.transcribe(SpeechTurn(0, 0, end, end, end, noise, 0.6, 1.0, truncated=False))
    assert (transcript.text, transcript.source) == (None, None)
    assert transcript.rejected in {"empty", "low_confidence", "stock_phrase", "repetition"}


def test_moonshine_writes_no_more_than_can_be_said(
    moonshine: Moonshine, turns: list[SpeechTurn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emotrack.tracker.understanding.recognisers.moonshine._END", -1)  # it never finds an end
    asked = 0

    def count(scores: np.ndarray) -> tuple[int, float]:
        nonlocal asked
        asked += 1
        return int(scores.argmax()), -1.0

    monkeypatch.setattr("emotrack.tracker.understanding.recognisers.moonshine._likeliest", count)
    moonshine._read(turns[0].samples)
    assert asked == 8 + round(6.5 * len(turns[0].samples) / SAMPLE_RATE)


def test_tokens_are_read_by_their_lengths() -> None:
    long = "\N{LOWER ONE EIGHTH BLOCK}word".encode() * 40  # 280 bytes
    assert _read_tokens(b"\x00\x02hi" + bytes([280 % 128 + 128, 280 // 128]) + long) == [b"", b"hi", long]


def test_pocketsphinx_hears_words(turns: list[SpeechTurn]) -> None:
    recogniser = PocketSphinx()
    try:
        heard = [recogniser.transcribe(turn) for turn in turns[:6]]
    finally:
        recogniser.close()
    words = {word for transcript in heard if transcript.text for word in transcript.text.split()}
    said = {word.strip(".,?!'").lower() for line in TRUTH[:6] for word in line["text"].split()}
    assert len(words & said) >= 5
    assert all(transcript.source == "pocketsphinx" for transcript in heard if transcript.text)


def test_pocketsphinx_hears_the_same_whatever_it_heard_before(turns: list[SpeechTurn]) -> None:
    first, second = sorted(turns, key=lambda turn: turn.end - turn.start)[:2]
    recogniser = PocketSphinx()
    try:
        forwards = recogniser.transcribe_batch([first, second])
        backwards = recogniser.transcribe_batch([second, first])
    finally:
        recogniser.close()
    assert backwards == forwards[::-1]
    assert {transcript.language for transcript in forwards} == {"en"}


WAIT_FOR_EVER = """
import time
from emotrack.tracker.understanding.recognisers.pocketsphinx import PocketSphinx
if __name__ == "__main__":
    recogniser = PocketSphinx()
    print(*recogniser._process._processes, flush=True)
    time.sleep(600)
"""


def test_pocketsphinx_leaves_no_process_behind_when_it_is_killed(tmp_path: Path) -> None:
    (tmp_path / "wait.py").write_text(WAIT_FOR_EVER)
    with subprocess.Popen([sys.executable, tmp_path / "wait.py"], stdout=subprocess.PIPE, text=True) as tracker:
        child = int(tracker.stdout.readline())  # type: ignore[union-attr]
        tracker.kill()
    deadline = time.monotonic() + 30
    while _lives(child):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _lives(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"  # dead, and not yet collected


def test_pocketsphinx_does_not_believe_what_it_hears_in_noise() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)
    recogniser = PocketSphinx()
    try:
        transcript = recogniser.transcribe(SpeechTurn(0, 0, 32_000, 32_000, 32_000, noise, 0.6, 1.0, truncated=False))
    finally:
        recogniser.close()
    assert transcript.text is None
    assert transcript.source is None
    assert transcript.rejected in {"empty", "low_confidence"}


def test_faster_whisper_runs_a_model_folder(tiny_whisper: Path, turns: list[SpeechTurn]) -> None:
    recogniser, _ = open_quietly(str(tiny_whisper))
    assert recogniser is not None
    for turn in turns[:2]:
        transcript = recogniser.transcribe(turn)
        # What it says must not be believed.
        assert transcript.text is None
        assert transcript.rejected in {"empty", "low_confidence", "repetition", "no_speech", "too_fast"}


def test_faster_whisper_words_that_pass_the_gates_are_the_text(
    tiny_whisper: Path, turns: list[SpeechTurn], monkeypatch: pytest.MonkeyPatch
) -> None:
    believe_all = GateOptions(min_confidence=0.0, max_compression=1e9, max_characters_per_s=1e9)
    monkeypatch.setattr("emotrack.tracker.understanding.recognisers.faster_whisper._GATES", believe_all)
    monkeypatch.setattr("emotrack.tracker.understanding.recognisers.faster_whisper._MAX_NO_SPEECH", 1.0)
    monkeypatch.setattr("emotrack.tracker.understanding.recognisers.gates._repeats", lambda words: False)
    recogniser, _ = open_quietly(str(tiny_whisper))
    found = [recogniser.transcribe(turn) for turn in turns[:4]]  # type: ignore[union-attr]
    assert all(set((transcript.text or "").replace(" ", "")) == {"a"} for transcript in found)
    assert {transcript.source for transcript in found} == {"faster-whisper"}


def test_turns_recognised_together_are_as_they_are_alone(tiny_whisper: Path, turns: list[SpeechTurn]) -> None:
    recogniser, _ = open_quietly(str(tiny_whisper))
    assert recogniser is not None
    together = recogniser.transcribe_batch(turns[:5])
    alone = [transcript for turn in turns[:5] for transcript in recogniser.transcribe_batch([turn])]
    for one, other in zip(together, alone, strict=True):
        assert (one.text, one.rejected, one.language) == (other.text, other.rejected, "en")
        assert one.confidence == pytest.approx(other.confidence, rel=1e-3)


def test_what_is_no_model_is_refused(tmp_path: Path, tiny_whisper: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({}))
    with pytest.raises(RecogniserError, match=r"holds no model\.bin"):
        open_quietly(str(tmp_path))
    (tmp_path / "model.bin").write_bytes(b"not a model")
    with pytest.raises(RecogniserError, match=r"holds no tokenizer\.json"):  # else one is asked for at the hub
        open_quietly(str(tmp_path))
    (tmp_path / "tokenizer.json").write_bytes((tiny_whisper / "tokenizer.json").read_bytes())
    with pytest.raises(RecogniserError, match="is no CTranslate2 Whisper model"):
        open_quietly(str(tmp_path))
    with pytest.raises(RecogniserError, match="no folder and no faster-whisper size is called 'enormous'"):
        open_quietly("enormous")
    with pytest.raises(RecogniserError, match="no such model folder"):
        open_quietly("./nowhere/model")


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the hub, which cannot be reached."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path


def keep(cache: Path, size: str, model: Path) -> Path:
    """Put a model into the cache as a download of the size would -> its folder."""
    folder = cache / f"models--Systran--faster-whisper-{size}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    shutil.copytree(model, folder / "snapshots" / ("0" * 40))
    return folder / "snapshots" / ("0" * 40)


def test_auto_takes_moonshine_and_says_so(cache: Path, tiny_whisper: Path) -> None:
    keep(cache, "base.en", tiny_whisper)
    for language in (None, "en"):
        recogniser, said = open_quietly("auto", language)
        assert isinstance(recogniser, Moonshine)
        assert said == ["--asr auto takes moonshine tiny-en"]


def test_auto_takes_the_best_model_of_the_cache_where_there_is_a_gpu(
    cache: Path, tiny_whisper: Path, monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 1)
    recogniser = open_recogniser("auto", "auto", 1, None)
    assert isinstance(recogniser, Moonshine)
    assert notices[0].startswith("--asr auto takes moonshine tiny-en; no faster-whisper model is in the local cache")
    assert notices[0].endswith("only one that is named is downloaded: --asr base")

    for size in ("tiny", "small.en", "small"):
        keep(cache, size, tiny_whisper)
    recogniser = open_recogniser("auto", "auto", 1, None)
    assert recogniser
    assert recogniser.name == "faster-whisper small.en"
    assert notices[1:] == ["--asr auto takes faster-whisper small.en"]


def test_auto_takes_a_model_of_the_cache_for_another_language(cache: Path, tiny_whisper: Path) -> None:
    keep(cache, "base.en", tiny_whisper)
    recogniser, said = open_quietly("auto", "de")
    assert recogniser is None
    assert len(said) == 1
    assert said[0].startswith("--asr auto goes by the voice alone; no faster-whisper model that knows 'de' is in the")
    assert said[0].endswith("only one that is named is downloaded: --asr base")

    (keep(cache, "base", tiny_whisper) / "model.bin").unlink()  # whose download broke off
    keep(cache, "small", tiny_whisper)
    assert best_cached("de", has_gpu=False) == "small"


def test_a_download_that_broke_off_is_no_model(cache: Path, tiny_whisper: Path) -> None:
    (keep(cache, "tiny", tiny_whisper) / "model.bin").unlink()
    with pytest.raises(RecogniserError, match="the recogniser tiny is not cached and cannot be downloaded"):
        open_quietly("tiny")


@pytest.mark.usefixtures("cache")
def test_auto_takes_pocketsphinx_where_nothing_else_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    recogniser, said = open_quietly("auto")
    assert isinstance(recogniser, PocketSphinx)
    recogniser.close()
    assert len(said) == 1
    assert said[0].startswith("--asr auto takes pocketsphinx en-us, whose transcripts are rough")
    assert "a package is missing: pip install moonshine-voice==" in said[0]


@pytest.mark.parametrize("choice", ["moonshine", "pocketsphinx"])
def test_a_language_that_is_not_known_is_refused(choice: str) -> None:
    with pytest.raises(RecogniserError, match=f"{choice} knows English only, not 'de'"):
        open_quietly(choice, "de")


def test_none_is_none() -> None:
    assert open_quietly("none") == (None, [])
