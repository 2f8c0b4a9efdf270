"""What all tests share."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.noticing import noticed
from tests.strace import Tracer, missing

# Turns are scored one at a time: more threads than one only wait for each other, and very long on a busy machine.
# Set before torch is imported, here and in the processes that the tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What an example takes is the machine's business: on a busy one, any may take long.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture
def notices() -> Iterator[list[str]]:
    """What is said for the person at the screen while the test runs."""
    with noticed() as lines:
        yield lines


@pytest.fixture
def tracer(tmp_path: Path) -> Tracer:
    """Runs commands under strace. Skips, with the reason, where nothing can be traced."""
    if reason := missing():
        pytest.skip(reason)
    return Tracer(tmp_path)


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CTranslate2 Whisper folder: tiny, by the real converter; whatever it hears is "a a a ..."."""
    import torch
    import transformers
    from ctranslate2 import converters
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
    network = transformers.WhisperForConditionalGeneration(config)
    final = network.model.decoder.layer_norm  # its output is like the embedding of "a": that is what any sound says
    torch.nn.init.zeros_(final.weight)
    final.bias.data = network.model.decoder.embed_tokens.weight[vocabulary["a"]].detach().clone() * 300
    network.save_pretrained(source)
    transformers.PreTrainedTokenizerFast(tokenizer_file=str(source / "tokenizer.json")).save_pretrained(source)
    converters.TransformersConverter(str(source), copy_files=["tokenizer.json"]).convert(
        str(target), quantization="int8"
    )
    settings = json.loads((target / "config.json").read_text())
    assert max(settings["suppress_ids"] + settings["suppress_ids_begin"]) < len(vocabulary)
    return target
