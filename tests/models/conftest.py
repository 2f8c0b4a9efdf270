"""A small network with random weights, and the bundle it makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from emotrack.models.bundle import save_bundle
from emotrack.models.care import CareConfig
from emotrack.models.config import NetworkConfig, SpeechHeadConfig
from emotrack.models.context_network import ContextConfig
from emotrack.models.network import EmotionNetwork
from emotrack.models.text_encoder import TextConfig

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "i", "am", "so", "happy", "sad", "not", "today", "!", ".")


def tiny_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.enable_truncation(16)
    return tokenizer


def tiny_network(stage: int = 3, **conversation: Any) -> EmotionNetwork:
    """All stages by default; ``conversation`` changes the dimensions of stages II and III."""
    torch.manual_seed(0)
    config = NetworkConfig(
        name="tiny",
        stage=stage,
        context=3,
        text=TextConfig(len(WORDS), width=16, layers=1, heads=2, feed_forward=32, max_tokens=16, turns_before=2),
        speech=CareConfig(width=16, common=2, branch=1, heads=2, feed_forward=32),
        speech_head=SpeechHeadConfig(hidden=12, embedding=8),
        conversation=ContextConfig(**{"hidden": 8, "heads": 2, "head_width": 4, **conversation}),
    )
    network = EmotionNetwork(config, tiny_tokenizer())
    for parameter in network.parameters():
        if not parameter.any():  # what begins at zero would say nothing
            torch.nn.init.normal_(parameter, std=0.5)
    return network.requires_grad_(False).eval()


@pytest.fixture
def network() -> EmotionNetwork:
    return tiny_network()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    save_bundle(tiny_network(), folder, {"dev": {}}, "# tiny\n")
    return folder
