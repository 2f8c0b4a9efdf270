"""A small network with random weights, and the bundle it makes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from emotrack.models.bundle import save_bundle
from emotrack.models.network import EmotionNetwork, NetworkConfig
from emotrack.models.speech_encoder import SpeechConfig
from emotrack.models.text_encoder import TextConfig

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "i", "am", "so", "happy", "sad", "not", "today", "!", ".")


def tiny_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.enable_truncation(16)
    return tokenizer


def tiny_network() -> EmotionNetwork:
    torch.manual_seed(0)
    config = NetworkConfig(
        name="tiny",
        context=3,
        text=TextConfig(len(WORDS), width=16, layers=1, heads=2, feed_forward=32, max_tokens=16),
        speech=SpeechConfig(width=16, blocks=1, heads=2, feed_forward=32, embedding=8),
    )
    network = EmotionNetwork(config, tiny_tokenizer())
    torch.nn.init.normal_(network.fusion.same_speaker.weight)
    torch.nn.init.normal_(network.fusion.other_speaker.weight)
    return network.requires_grad_(False).eval()


@pytest.fixture
def network() -> EmotionNetwork:
    return tiny_network()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    save_bundle(tiny_network(), folder, {"dev": {}}, "# tiny\n")
    return folder
