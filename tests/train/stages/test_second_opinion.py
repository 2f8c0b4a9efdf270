from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from emotrack.models.bundle import load_bundle
from emotrack.models.conversation import TurnEmbedding
from emotrack.train.command_line.commands import add_train_arguments, run_train
from emotrack.train.errors import TrainError
from emotrack.train.evaluation.evaluate import EncodedTurn
from emotrack.train.recipes.recipe import load_recipe
from emotrack.train.stages.second_opinion import Tokenised, asked_again, fit_tokens, with_second_opinion
from tests.models.conftest import tiny_network


def test_tokens_tell_what_they_came_with() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(2, (20_000,), generator=generator)  # (M,)
    filler = torch.randint(2, 6, (20_000, 3), generator=generator)  # (M, 3) tokens that tell nothing
    texts = Tokenised([torch.cat([target[None], some]) for target, some in zip(targets, filler, strict=True)], targets)
    rows, bias = fit_tokens(texts, 6, 2)
    assert (rows[0, 0] - rows[0, 1]) > 10 * (rows[2:, 0] - rows[2:, 1]).abs().max()
    scores = torch.stack([rows[each].sum(0) / (len(each) + 3.0) ** 0.5 + bias for each in texts.tokens])
    assert (scores.argmax(1) == targets).float().mean() > 0.99


def test_a_share_is_the_larger_the_more_a_turn_is_like_the_other_corpus(
    toy: Path, meld: Path, goemotions: Path
) -> None:
    """Its level is that of a turn that is as likely of either."""
    plain, data = load_bundle(toy / "stage3"), {"meld": meld, "goemotions": goemotions}
    recipe = load_recipe("toy")
    assert recipe.text.opinion is not None
    steep = replace(recipe, text=replace(recipe.text, opinion=replace(recipe.text.opinion, level=1.0, steepness=2.0)))
    once, twice = (
        with_second_opinion(plain, each, data).second_opinion
        for each in (replace(recipe, text=replace(recipe.text, opinion=replace(recipe.text.opinion, level=0.0))), steep)
    )
    assert once is not None
    assert twice is not None
    seen = torch.tensor([5, 6, 7])
    with torch.inference_mode():
        first, second = once(seen), twice(seen)  # (C + 1,)
    assert float(second[-1] - 1.0) == pytest.approx(4.0 * float(first[-1]), rel=1e-4)
    assert torch.equal(first[:-1], second[:-1])


def test_nothing_else_of_the_bundle_changes(toy: Path) -> None:
    before, after = load_bundle(toy / "stage3"), load_bundle(toy / "bundle")
    assert before.second_opinion is None
    assert after.second_opinion is not None
    assert all(torch.equal(weight, after.state_dict()[name]) for name, weight in before.state_dict().items())


def test_words_that_are_taken_over_keep_theirs(toy: Path, toy_data: list[str], tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    words = ["all", "--recipe", "toy", "--out", str(tmp_path), "--data", f"words={toy / 'bundle'}", *toy_data]
    assert run_train(parser.parse_args(words)) == 0
    first, second = load_bundle(toy / "bundle").second_opinion, load_bundle(tmp_path / "bundle").second_opinion
    assert first is not None
    assert second is not None
    assert torch.equal(first.tokens.weight, second.tokens.weight)


def test_a_corpus_with_none_of_the_labels_is_refused(meld: Path, goemotions: Path) -> None:
    network = tiny_network()
    network.config = replace(network.config, labels=tuple("abcdefg"))
    with pytest.raises(TrainError, match="goemotions: has no text with one label alone, of a, b"):
        with_second_opinion(network, load_recipe("toy"), {"meld": meld, "goemotions": goemotions})


def test_turns_that_were_encoded_before_are_as_if_encoded_anew(toy: Path) -> None:
    plain, network = load_bundle(toy / "stage3"), load_bundle(toy / "bundle")
    said = "i am so happy"
    turn = EncodedTurn(TurnEmbedding(None, plain.embed_text(said), None, said), "joy")
    voice = EncodedTurn(TurnEmbedding(torch.zeros(8), None, None), "joy")
    ((found, heard),) = asked_again(network, [[turn, voice]])
    assert found.embedding.text is not None
    torch.testing.assert_close(found.embedding.text, network.embed_text(said))
    assert heard == voice
    assert asked_again(plain, [[turn]]) == [[turn]]
