"""Recognisers at work: PocketSphinx as it ships, faster-whisper on a model made here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from emotrack.tracker.errors import RecogniserError
from emotrack.tracker.listener import Listener, SpeechTurn
from emotrack.tracker.recognisers import Recogniser, open_recogniser
from emotrack.tracker.recognisers.gates import GateOptions
from emotrack.tracker.recognisers.pocketsphinx import PocketSphinx
from emotrack.tracker.segmenter import SegmenterOptions
from tests.tracker.kitchen_table import TRUTH, samples


@pytest.fixture(scope="module")
def turns() -> list[SpeechTurn]:
    listener = Listener(0, SegmenterOptions())
    return listener.push(samples().mean(axis=1), 0) + listener.flush()


def open_quietly(choice: str) -> tuple[Recogniser | None, list[str]]:
    said: list[str] = []
    return open_recogniser(choice, "cpu", 1, None, said.append), said


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


def test_pocketsphinx_does_not_believe_what_it_hears_in_noise() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)
    recogniser = PocketSphinx()
    try:
        transcript = recogniser.transcribe(SpeechTurn(0, 0, 32_000, 32_000, 32_000, noise, 0.6, truncated=False))
    finally:
        recogniser.close()
    assert transcript.text is None
    assert transcript.source is None
    assert transcript.rejected in {"empty", "low_confidence"}


@pytest.fixture(scope="module")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CTranslate2 Whisper folder: the smallest model there can be, random weights, the real converter."""
    converters = pytest.importorskip("ctranslate2.converters")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    source, target = tmp_path_factory.mktemp("hf"), tmp_path_factory.mktemp("ct2") / "tiny"
    # Multilingual Whisper's special tokens come in a fixed order after the words.
    words = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>"]
    special += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    special += [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
    vocabulary = {word: i for i, word in enumerate(words + special)}
    tokenizer = Tokenizer(models.BPE(vocab={w: i for w, i in vocabulary.items() if w in words}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(source / "tokenizer.json"))
    config = transformers.WhisperConfig(
        vocab_size=len(vocabulary),
        num_mel_bins=80,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        pad_token_id=vocabulary["<|endoftext|>"],
        bos_token_id=vocabulary["<|endoftext|>"],
        eos_token_id=vocabulary["<|endoftext|>"],
        decoder_start_token_id=vocabulary["<|startoftranscript|>"],
        # The defaults are ids of the real vocabulary; CTranslate2 writes where they point, beyond this small one.
        suppress_tokens=[],
        begin_suppress_tokens=[vocabulary["<|endoftext|>"]],
    )
    torch.manual_seed(0)
    transformers.WhisperForConditionalGeneration(config).save_pretrained(source)
    transformers.PreTrainedTokenizerFast(tokenizer_file=str(source / "tokenizer.json")).save_pretrained(source)
    converters.TransformersConverter(str(source), copy_files=["tokenizer.json"]).convert(
        str(target), quantization="int8"
    )
    settings = json.loads((target / "config.json").read_text())
    assert max(settings["suppress_ids"] + settings["suppress_ids_begin"]) < len(vocabulary)
    return target


def test_faster_whisper_runs_a_model_folder(tiny_whisper: Path, turns: list[SpeechTurn]) -> None:
    recogniser, _ = open_quietly(str(tiny_whisper))
    assert recogniser is not None
    for turn in turns[:2]:
        transcript = recogniser.transcribe(turn)
        # What random weights say must not be believed.
        assert transcript.text is None
        assert transcript.rejected in {"empty", "low_confidence", "repetition", "no_speech", "too_fast"}


def test_faster_whisper_words_that_pass_the_gates_are_the_text(
    tiny_whisper: Path, turns: list[SpeechTurn], monkeypatch: pytest.MonkeyPatch
) -> None:
    believe_all = GateOptions(min_confidence=0.0, max_compression=1e9, max_characters_per_s=1e9)
    monkeypatch.setattr("emotrack.tracker.recognisers.faster_whisper._GATES", believe_all)
    monkeypatch.setattr("emotrack.tracker.recognisers.faster_whisper._MAX_NO_SPEECH", 1.0)
    monkeypatch.setattr("emotrack.tracker.recognisers.gates._repeats", lambda words: False)
    recogniser, _ = open_quietly(str(tiny_whisper))
    found = [recogniser.transcribe(turn) for turn in turns[:4]]  # type: ignore[union-attr]
    spoken = [transcript for transcript in found if transcript.text]
    assert spoken
    assert {transcript.source for transcript in spoken} == {"faster-whisper"}


def test_what_is_no_model_is_refused(tmp_path: Path, tiny_whisper: Path) -> None:
    with pytest.raises(RecogniserError, match=r"holds no model\.bin"):
        open_quietly(str(tmp_path))
    (tmp_path / "model.bin").write_bytes(b"not a model")
    (tmp_path / "config.json").write_text(json.dumps({}))
    (tmp_path / "tokenizer.json").write_bytes((tiny_whisper / "tokenizer.json").read_bytes())
    with pytest.raises(RecogniserError, match="is no CTranslate2 Whisper model"):
        open_quietly(str(tmp_path))
    with pytest.raises(RecogniserError, match="no folder and no faster-whisper size is called 'enormous'"):
        open_quietly("enormous")
    with pytest.raises(RecogniserError, match="no such model folder"):
        open_quietly("./nowhere/model")


def test_auto_falls_back_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    recogniser, said = open_quietly("auto")
    assert isinstance(recogniser, PocketSphinx)
    recogniser.close()
    assert len(said) == 1
    assert "transcripts will be rough" in said[0]
    with pytest.raises(RecogniserError, match="the recogniser tiny is not cached and cannot be downloaded"):
        open_quietly("tiny")


def test_none_is_none() -> None:
    assert open_quietly("none") == (None, [])
