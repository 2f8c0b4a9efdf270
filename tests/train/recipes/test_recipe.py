"""Recipes: what they may say, what they may not, and what those that ship say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from emotrack.train.errors import TrainError
from emotrack.train.recipes.recipe import PACKAGED, ActedSpeechRecipe, FrozenSpeechRecipe, load_recipe, on_corpus

TOY = (PACKAGED / "toy.toml").read_text()
OPINION = '[text.opinion]\ncorpus = "goemotions"'
MERITS_L = (PACKAGED / "merits-l.toml").read_text()
CARE = next(line for line in MERITS_L.splitlines() if line.startswith("care = "))
PAIRING = "[pairing]\nacted = 1\nturns = 2\nvoiced = 1.0\nastray = 0.0\nunread = 0.0\nunheard = 0.0\nreadings = 1\n"


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("name =", "not TOML"),
        ("name = 'x'", "corpus: Field required"),
        (TOY + "\nextra = 1", "extra"),
        *(
            (TOY.replace('name = "toy"', f'name = "{name}"'), rf"name: '{name}' is no name for a folder")
            for name in ("../x", "..", ".hidden", "a/b", "-v")
        ),
        (TOY.replace("epochs = 4", "epochs = 0"), "epochs: Input should be greater than or equal to 1"),
        (TOY.replace("focal = 2.0", "focal = -2.0"), "focal: Input should be greater than or equal to 0"),
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
        (TOY.replace("cut = 0.7", "cut = nan"), "conversations.cut: Input should be a finite number"),
        (TOY.replace("withhold_turn = 0.2", "withhold_turn = 1.2"), "withhold_turn: Input should be less than"),
        (TOY.replace("window = 4", "window = 0"), "window: Input should be greater than or equal to 1"),
        (TOY.replace("unheard = 0.4", "unheard = 1.5"), "unheard: Input should be less than"),
        (TOY.replace("readings = 2", "readings = 0"), "readings: Input should be greater than or equal to 1"),
        (TOY.replace("heads = 1", "heads = 0"), "network.heads: Input should be greater than or equal to 1"),
        (TOY.replace("heads = 2", "heads = 3"), "3 heads do not divide a width of 16"),
        (TOY.replace("common = 1", "common = 0"), "common: Input should be greater than or equal to 1"),
        (TOY.replace("ravdess = 2.0", "ravdess = 0.0"), "draws.ravdess: Input should be greater than 0"),
        (TOY.replace("learning_rate = 3e-3", "learning_rate = nan"), "learning_rate: Input should be a finite number"),
        (TOY.replace("learning_rate = 3e-3", "learning_rate = -1"), "learning_rate: Input should be greater than 0"),
        (TOY.replace("batch = 8 }", "batch = 8, warmup = 1.0 }"), "warmup: Input should be less than 1"),
        (TOY.replace("max_tokens = 16", "max_tokens = 1"), "text.max_tokens: Input should be greater than"),
        (TOY.replace("certain = 0.75", "certain = nan"), "right_when_certain: "),
        (
            TOY.replace("labels = 1.0", "labels = inf"),
            "speech.ActedSpeechRecipe.labels: Input should be a finite number",
        ),
        (
            TOY.replace(OPINION, OPINION.replace("goemotions", "ravdess")),
            "text.opinion.corpus: no corpus of texts 'ravd",
        ),
        (
            TOY.replace(OPINION, OPINION.replace("goemotions", "meld")),
            "text.opinion.corpus: is another one than the re",
        ),
        (TOY.replace("steepness = 0.5", "steepness = 1e3"), "steepness: Input should be less than or equal to 100"),
        (
            TOY.replace('vocabulary = ["meld"]', 'vocabulary = ["nowhere"]'),
            "text.vocabulary: no corpus of texts 'nowhere'",
        ),
        (MERITS_L + PAIRING, "pairing: acted voices, and no others, are paired"),
        (MERITS_L.replace(CARE, ""), "speech: name either an encoder, or the two that care is made of, or"),
        (MERITS_L.replace('encoder = "Face', 'features = true\nencoder = "Face'), "text.features: are of the recipe's"),
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
    names = ["mini", "mini-care", "toy", "merits-l"]
    assert [load_recipe(name).name for name in names] == names


def test_values_of_a_recipe_are_changed_by_name() -> None:
    changes = [
        ("network.hidden", "256"),
        ("text.phases.1.loop.epochs", "5"),
        ("name", "wide"),
        ("stage3.loop.bf16", "false"),
    ]
    found = load_recipe("toy", changes)
    assert (found.network.hidden, found.name, found.stage3.loop.bf16) == (256, "wide", False)
    assert [phase.loop.epochs for phase in found.text.phases] == [1, 5]
    care = load_recipe("merits-l", [("speech.care.0", "./wavlm")]).speech
    assert isinstance(care, FrozenSpeechRecipe)
    assert care.care is not None
    assert care.care[0] == "./wavlm"
    for where, value, complaint in (
        ("network.width", "3", "network.width"),
        ("network.hidden", "wide", "network.hidden: Input should be a valid integer"),
        ("text.phases.7.loop.epochs", "5", "--set text.phases.7.loop.epochs: there is no such place"),
        ("name.first", "x", "--set name.first: there is no such place"),
        ("text.phases.-1.loop.epochs", "2", "--set text.phases.-1.loop.epochs: there is no such place"),
        ("network.hiden", "3", "toy.toml, with --set network.hiden: network.hiden"),
    ):
        with pytest.raises(TrainError, match=complaint):
            load_recipe("toy", [(where, value)])


def test_the_papers_recipes_are_one_recipe_on_four_corpora() -> None:
    corpora = {"meld": "meld", "iemocap-4": "iemocap", "iemocap-6": "iemocap-6", "mosi": "mosi"}
    found = [load_recipe(f"paper/{name}") for name in corpora]
    assert [(each.name, each.corpus) for each in found] == [(f"paper-{name}", of) for name, of in corpora.items()]
    assert found == [replace(on_corpus(found[0], each.corpus), name=each.name) for each in found]
    published = found[0].conversations
    assert (published.cut, published.withhold_speech, published.withhold_text, published.withhold_turn) == (0, 0, 0, 0)
    assert found[0].joint is not None
    assert found[0].joint.loop.epochs == 50 + 100 + 100
    ours = load_recipe("merits-l")
    assert (found[0].network, found[0].speech.head) == (ours.network, ours.speech.head)


def test_a_recipe_on_another_corpus() -> None:
    found = on_corpus(load_recipe("merits-l"), "mosi")
    assert (found.name, found.corpus, found.text.phases[-1].corpus) == ("merits-l-mosi", "mosi", "mosi")
    assert found.needs == ("mosi",)
    with pytest.raises(TrainError, match="merits-l: corpus: no corpus of conversations 'friends'"):
        on_corpus(load_recipe("merits-l"), "friends")


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


def toml(value: object) -> str:
    """A recipe's values as they stand in a file."""
    match value:
        case dict():
            return "{" + ", ".join(f"{name} = {toml(each)}" for name, each in value.items()) + "}"
        case list() | tuple():
            return f"[{', '.join(map(toml, value))}]"
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value)
        case _:
            return str(value)


def numbers(part: object, *where: str | int) -> Iterator[tuple[str | int, ...]]:
    """Where the numbers of a recipe stand, those included that no packaged one names."""
    if isinstance(part, dict):
        for name, each in part.items():
            yield from numbers(each, *where, name)
    elif isinstance(part, list | tuple):
        for place, each in enumerate(part):
            yield from numbers(each, *where, place)
    elif isinstance(part, int | float) and not isinstance(part, bool):
        yield where


def without_none(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: without_none(each) for name, each in part.items() if each is not None}
    return [without_none(each) for each in part] if isinstance(part, list | tuple) else part


LOOP = {"epochs": 1, "learning_rate": 1e-3, "batch": 8, "patience": 3}
WHOLE = without_none(asdict(load_recipe("toy")))
WHOLE["text"]["teacher"] = {"encoder": "larger", "loop": LOOP, "share": 0.5, "frozen": 1}
WHOLE["stage3"]["loop"]["patience"] = 3
NUMBERS = [where for where in numbers(WHOLE) if where[0] != "name"]


def written(path: Path, document: dict[str, Any]) -> str:
    path.write_text("\n".join(f"{name} = {toml(value)}" for name, value in document.items()))
    return str(path)


def test_all_that_a_recipe_may_say_can_be_read(tmp_path: Path) -> None:
    assert load_recipe(written(tmp_path / "whole.toml", WHOLE)).text.teacher is not None
    assert len(NUMBERS) > 100


@pytest.mark.parametrize("where", NUMBERS, ids=lambda where: ".".join(map(str, where)))
def test_no_number_of_a_recipe_is_without_bounds(tmp_path: Path, where: tuple[str | int, ...]) -> None:
    for number in ("nan", "inf", "-inf", "1e308", "-1e7", "9" * 18, "-" + "9" * 18, "true", '"1"', "1979-05-27", "[1]"):
        document = deepcopy(WHOLE)
        inside: Any = document
        for part in where[:-1]:
            inside = inside[part]
        inside[where[-1]] = Raw(number)
        with pytest.raises(TrainError) as caught:
            load_recipe(written(tmp_path / "recipe.toml", document))
        said = str(caught.value)
        assert len(said.splitlines()) == 1
        assert str(where[-1]) in said
        assert len(said) < len(str(tmp_path)) + 200


class Raw:
    """What stands in a file as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


@pytest.mark.parametrize("text", ["a = " + "9" * 5000, "a = " + "[" * 5000 + "]" * 5000, "a = [\n" * 300_000])
def test_what_no_recipe_holds_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(TrainError, match="not TOML") as caught:
        load_recipe(str(tmp_path / "recipe.toml"))
    assert len(str(caught.value).splitlines()) == 1
