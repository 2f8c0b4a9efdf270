"""First weights for the small text encoder: a BERT's, with a smaller vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file
from tokenizers import Tokenizer

from emotrack.train.errors import TrainError
from emotrack.train.running.checkpoint import load_text_encoder


def test_an_encoder_keeps_its_answers_when_its_vocabulary_is_pruned(encoder: Path) -> None:
    whole, whole_tokens = load_text_encoder(encoder, ["i am so happy never used"], 32)
    pruned, tokens = load_text_encoder(encoder, ["i am so happy"], 32)
    assert tokens.get_vocab_size() < whole_tokens.get_vocab_size()
    ids = [torch.tensor([tokenizer.encode("I\u2019m so happy").ids]) for tokenizer in (whole_tokens, tokens)]
    assert ids[0].shape == ids[1].shape
    nothing, own = torch.zeros_like(ids[0], dtype=torch.bool), torch.tensor([ids[0].shape[1]])
    torch.testing.assert_close(whole.eval()(ids[0], nothing, own), pruned.eval()(ids[1], nothing, own))
    assert tokens.encode("never used").tokens[1:3] == ["n", "##e"]  # spelt, not unknown


def test_the_encoder_is_the_bert_it_was_read_from(encoder: Path) -> None:
    ours, tokenizer = load_text_encoder(encoder, ["i am so happy never used"], 32)
    weights = load_file(encoder / "model.safetensors")
    config = transformers.BertConfig(
        vocab_size=len(weights["embeddings.word_embeddings.weight"]),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    theirs = transformers.BertModel(config, add_pooling_layer=False).eval()
    theirs.load_state_dict(weights, strict=False)
    full = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    text = "i am so happy"
    with torch.inference_mode():
        expected = theirs(torch.tensor([full.encode(text).ids])).last_hidden_state.mean(dim=1)
        ids = torch.tensor([tokenizer.encode(text).ids])
        answer = ours.eval()(ids, torch.zeros_like(ids, dtype=torch.bool), torch.tensor([ids.shape[1]]))
    torch.testing.assert_close(answer, expected, atol=1e-5, rtol=1e-4)


def test_a_folder_that_is_no_bert_is_refused(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"config\.json: missing"):
        load_text_encoder(tmp_path, ["hello"], 32)
    for name in ("tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_bytes((encoder / name).read_bytes())
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(TrainError, match="not a BERT"):
        load_text_encoder(tmp_path, ["hello"], 32)
    (tmp_path / "config.json").write_bytes((encoder / "config.json").read_bytes())
    with pytest.raises(TrainError, match="reads 64 tokens at most, not 65"):
        load_text_encoder(tmp_path, ["hello"], 65)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(TrainError, match=r"not a BERT .*: tokenizer\.json"):
        load_text_encoder(tmp_path, ["hello"], 32)
