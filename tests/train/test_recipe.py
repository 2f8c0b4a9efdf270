"""Recipes: what they may say, what they may not, and what those that ship say."""

from __future__ import annotations

from pathlib import Path

import pytest

from emotrack.train.errors import TrainError
from emotrack.train.recipe import PACKAGED, ActedSpeechRecipe, FrozenSpeechRecipe, load_recipe

TOY = (PACKAGED / "toy.toml").read_text()
MERITS_L = (PACKAGED / "merits-l.toml").read_text()
CARE = next(line for line in MERITS_L.splitlines() if line.startswith("care = "))
PAIRING = "[pairing]\nacted = 1\nturns = 2\nvoiced = 1.0\nastray = 0.0\nunread = 0.0\nunheard = 0.0\nreadings = 1\n"


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("name =", "not TOML"),
        ("name = 'x'", "corpus: Field required"),
        (TOY + "\nextra = 1", "extra"),
        (TOY.replace("epochs = 4", "epochs = 0"), "epochs, batch and patience are 1 or more"),
        (TOY.replace("focal = 2.0", "focal = -2.0"), "focal, balance and contrastive are 0 or more"),
        (TOY.replace("focal = 2.0", "focus = 2.0"), "focus"),
        (
            TOY.replace('corpus = "meld"\nright', 'corpus = "friends"\nright'),
            "corpus: no corpus of conversations 'friends'",
        ),
        (
            TOY.replace('corpus = "meld"\nright', 'corpus = "mosi"\nright'),
            "text.phases: the last phase is on the recipe's corpus, mosi",
        ),
        (TOY.replace("ravdess =", "friends ="), "speech.draws: no acted corpus 'friends'"),
        (
            TOY[: TOY.index("[pairing]")] + TOY[TOY.index("[stage2.text]") :],
            "pairing: acted voices, and no others, are paired",
        ),
        (TOY.replace("cut = 0.7", "cut = nan"), "cut and what is withheld are shares"),
        (TOY.replace("withhold_turn = 0.2", "withhold_turn = 1.2"), "cut and what is withheld are shares"),
        (TOY.replace("window = 4", "window = 0"), "window is 1 or more"),
        (TOY.replace("unheard = 0.4", "unheard = 1.5"), "voiced, astray, unread and unheard are shares"),
        (TOY.replace("readings = 2", "readings = 0"), "turns and readings are 1 or more"),
        (TOY.replace("heads = 1", "heads = 0"), "hidden, layers, heads, head_width and blocks are 1 or more"),
        (TOY.replace("heads = 2", "heads = 3"), "3 heads do not divide a width of 16"),
        (TOY.replace("common = 1", "common = 0"), "dimensions of a CARE are 1 or more"),
        (TOY.replace("ravdess = 2.0", "ravdess = 0.0"), "draws.ravdess: Input should be greater than 0"),
        (TOY.replace("learning_rate = 3e-3", "learning_rate = nan"), "learning_rate: is no finite number"),
        (TOY.replace("learning_rate = 3e-3", "learning_rate = -1"), "learning_rate and clip are more than 0"),
        (TOY.replace("batch = 8 }", "batch = 8, warmup = 1.0 }"), "warmup and betas are 0 or more and less than 1"),
        (TOY.replace("max_tokens = 16", "max_tokens = 1"), "text.max_tokens: Input should be greater than"),
        (TOY.replace("certain = 0.75", "certain = nan"), "right_when_certain: "),
        (TOY.replace("labels = 1.0", "labels = inf"), "speech.labels: is no finite number"),
        (MERITS_L + PAIRING, "pairing: acted voices, and no others, are paired"),
        (MERITS_L.replace(CARE, ""), "speech: name either an encoder, or the two that care is made of"),
        (MERITS_L.replace(CARE, CARE + '\nencoder = "microsoft/wavlm-base"'), "speech: name either an encoder"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(tmp_path: Path, recipe: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(recipe)
    with pytest.raises(TrainError, match=message) as caught:
        load_recipe(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


def test_a_recipe_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes("# f\u00fcr\n".encode("latin-1"))
    with pytest.raises(TrainError, match="not TOML"):
        load_recipe(str(path))


def test_the_packaged_recipes_load() -> None:
    assert [load_recipe(name).name for name in ("mini", "toy", "merits-l")] == ["mini", "toy", "merits-l"]


def test_a_recipe_says_what_it_needs() -> None:
    assert load_recipe("toy").needs == ("encoder", "meld", "goemotions", "teacher", "ravdess")
    assert load_recipe("toy").needs_for_words == ("encoder", "meld", "goemotions")
    assert load_recipe("merits-l").needs == ("iemocap",)


def test_the_published_recipe_is_the_published_architecture() -> None:
    recipe = load_recipe("merits-l")
    assert isinstance(recipe.speech, FrozenSpeechRecipe)
    assert recipe.speech.care is not None
    assert (recipe.speech.head.hidden, recipe.speech.head.embedding) == (768, 1024)
    assert not recipe.network.speakers
    assert not recipe.network.residual
    assert recipe.text.turns_before == 0
    assert not isinstance(load_recipe("merits-l").speech, ActedSpeechRecipe)
