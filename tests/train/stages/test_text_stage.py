"""Stage I's words: what is read with a turn, and what is learned."""

from __future__ import annotations

from pathlib import Path

from emotrack.models.text_encoder import read_turn
from emotrack.train.corpora import read_text_corpus
from emotrack.train.corpora.iemocap import read_iemocap
from emotrack.train.running.checkpoint import load_text_encoder
from emotrack.train.stages.text_stage import tokenise


def test_a_turn_is_read_with_the_turn_before_it_labelled_or_not(iemocap: Path, encoder: Path) -> None:
    """As it is evaluated, and as it is live."""
    bert, tokenizer = load_text_encoder(encoder, None, 32, turns_before=1)
    (dialogue,) = read_iemocap(iemocap, "dev").dialogues
    assert [turn.emotion for turn in dialogue.turns] == ["neutral", "joy", None, None, "joy", "anger"]
    found = tokenise(read_text_corpus("iemocap", iemocap, "dev"), tokenizer, bert.config)
    said = [turn.text for turn in dialogue.turns]
    for reading, place in zip(found.readings, (0, 1, 4, 5), strict=True):
        ids, own = read_turn(tokenizer, said[place] or "", said[:place], bert.config)
        assert (reading.ids.tolist(), reading.own) == (ids, own)
    assert found.targets.sum(dim=1).tolist() == [1.0] * 4
    after_it = tokenizer.encode("So good.").ids + tokenizer.encode("Hm.").ids[1:]  # whom nobody labelled
    assert found.readings[2].ids.tolist() == after_it
