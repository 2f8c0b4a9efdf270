"""The text encoder learns from labels and from what a larger one of the hub thinks."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

from emotrack.models.hub_encoders import HubTextEncoder
from emotrack.train.corpora import TextCorpus, read_text_corpus
from emotrack.train.errors import TrainError
from emotrack.train.learning.loop import LoopOptions
from emotrack.train.recipes.recipe import Recipe, TextTeacher, load_recipe
from emotrack.train.stages import text_teacher
from emotrack.train.stages.stage_one import train_words
from emotrack.train.stages.text_stage import Opinions, Reading, TokenisedCorpus, taught
from emotrack.train.stages.text_teacher import SentenceEncoder, freeze, with_names
from tests.train.conftest import save_hub_encoder

LOOP = LoopOptions(epochs=12, learning_rate=3e-3, batch=8, bf16=False)


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Path:
    """An MPNet with the words of the small encoder, in the hub's layout."""
    folder = tmp_path_factory.mktemp("hub") / "mpnet"
    config = transformers.MPNetConfig(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=64,
        vocab_size=200,
        max_position_embeddings=40,
        pad_token_id=0,
    )
    save_hub_encoder(config, folder, seed=0, vocabulary=encoder)
    return folder


def recipe_with(teacher: TextTeacher) -> Recipe:
    recipe = load_recipe("toy")
    phases = tuple(replace(phase, loop=LOOP) for phase in recipe.text.phases)
    return replace(recipe, text=replace(recipe.text, phases=phases, teacher=teacher))


@pytest.fixture(scope="module")
def data(encoder: Path, meld: Path, goemotions: Path) -> dict[str, Path]:
    return {"encoder": encoder, "meld": meld, "goemotions": goemotions}


def test_words_learn_from_a_teacher(
    data: dict[str, Path], larger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_with(TextTeacher(encoder=str(larger), loop=LOOP, share=0.6, frozen=1))
    words, _, _, scores = train_words(recipe, data, tmp_path, seed=0)
    assert scores["weighted_f1"] > 0.9
    kept = load_file(tmp_path / "text-teacher.safetensors")["opinions"]
    assert kept.shape == (2 * 84, 7)
    assert kept.sum(dim=1).numpy() == pytest.approx(1.0, abs=1e-5)
    before, after = load_file(larger / "model.safetensors"), load_file(tmp_path / "text-teacher-best.safetensors")
    changed = {
        name for name, weight in before.items() if not torch.equal(weight, after.get(f"encoder.model.{name}", weight))
    }
    assert changed
    trained = {name.removeprefix("encoder.model.") for name in after if name.startswith("encoder.")}  # alone are kept
    assert changed <= trained == {name for name in before if name.startswith(("encoder.layer.1.", "encoder.layer.2."))}

    def asked(*arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr(text_teacher, "_ask", asked)  # once a run
    again, _, _, _ = train_words(recipe, data, tmp_path, seed=0)
    weights, others = words.state_dict(), again.state_dict()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_words_believe_the_teacher(data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing but its opinion counts and that is always wrong, so are they."""
    recipe = recipe_with(TextTeacher(encoder="nobody/no-such-model", loop=LOOP, share=1.0))
    corpus = read_text_corpus("meld", data["meld"], "train")
    labels = torch.tensor([corpus.labels.index(utterance.labels[0]) for utterance in corpus.utterances])  # (84,)
    wrong = torch.nn.functional.one_hot((labels + 1) % 7, 7).float().repeat(2, 1)  # (168, 7)
    monkeypatch.setattr(text_teacher, "_teach", lambda *_: ())
    monkeypatch.setattr(text_teacher, "_ask", lambda: wrong)
    _, _, _, scores = train_words(recipe, data, tmp_path, seed=0)
    assert scores["weighted_f1"] < 0.1


def test_a_folder_takes_the_place_of_the_hub(data: dict[str, Path], larger: Path, tmp_path: Path) -> None:
    recipe = recipe_with(TextTeacher(encoder="nobody/no-such-model", loop=LOOP, share=0.6))
    train_words(recipe, data | {"text-teacher": larger}, tmp_path, seed=0)
    assert (tmp_path / "text-teacher.safetensors").is_file()


def test_opinions_of_another_teacher_or_of_other_turns_are_refused(
    data: dict[str, Path], larger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_with(TextTeacher(encoder="nobody/no-such-model", loop=LOOP, share=0.6))
    corpora = (read_text_corpus("meld", data["meld"], "train"), read_text_corpus("meld", data["meld"], "dev"))
    fewer = replace(corpora[0], utterances=corpora[0].utterances[:-1])
    moved, other = shutil.copytree(larger, tmp_path / "moved"), shutil.copytree(larger, tmp_path / "other")
    (other / "model.safetensors").write_bytes((larger / "model.safetensors").read_bytes()[::-1])  # as large
    assert recipe.text.teacher
    monkeypatch.setattr(text_teacher, "_teach", lambda *_: ())
    monkeypatch.setattr(text_teacher, "_ask", lambda: torch.full((168, 7), 1 / 7))

    def ask(train: TextCorpus, teacher: Path) -> Opinions:
        given = data | {"text-teacher": teacher}
        assert recipe.text.teacher
        return text_teacher.opinions(recipe.text, recipe.text.teacher, (train, corpora[1]), given, tmp_path, seed=0)

    assert torch.equal(ask(corpora[0], larger).probabilities, ask(corpora[0], moved).probabilities)
    for train, teacher in ((fewer, larger), (corpora[0], other)):
        with pytest.raises(TrainError, match=r"text-teacher.safetensors: is of another teacher, or of other turns"):
            ask(train, teacher)


def test_targets_are_labels_and_opinions() -> None:
    corpus = TokenisedCorpus(
        ("neutral", "joy"),
        [Reading(torch.tensor([1, 5, 2, 6, 2]), 3), Reading(torch.tensor([1, 6, 2]), 3)],
        torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
    )
    opinions = torch.tensor([[0.5, 0.5], [0.1, 0.9], [0.7, 0.3], [0.2, 0.8]])
    found = taught(corpus, Opinions(opinions, share=0.6))
    assert [reading.ids.tolist() for reading in found.readings] == [[1, 5, 2, 6, 2], [1, 6, 2], [1, 5, 2], [1, 6, 2]]
    assert found.targets.flatten().tolist() == pytest.approx([0.7, 0.3, 0.06, 0.94, 0.82, 0.18, 0.12, 0.88])
    assert [reading.own for reading in found.readings] == [3, 3, 3, 3]


def test_names_stand_before_what_is_said(meld: Path) -> None:
    corpus = read_text_corpus("meld", meld, "dev")
    named = with_names(corpus)
    assert named.utterances[1].text == f"Rachel: {corpus.utterances[1].text}"
    unknown = replace(corpus, utterances=(replace(corpus.utterances[0], speaker=None),))
    assert with_names(unknown) == unknown


def test_the_first_layers_stay_as_they_are(larger: Path) -> None:
    encoder = SentenceEncoder.from_hub(str(larger), max_tokens=16)
    freeze(encoder, 0)
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    freeze(encoder, 2)
    trained = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert trained
    assert all(name.startswith("model.encoder.layer.2.") for name in trained)
    with pytest.raises(TrainError, match="cannot keep 3 of its 3 layers as they are"):
        freeze(encoder, 3)


def test_a_sentence_is_the_mean_of_its_own_tokens(larger: Path) -> None:
    torch.manual_seed(0)
    encoder = SentenceEncoder.from_hub(str(larger), max_tokens=16).eval()
    assert isinstance(encoder, HubTextEncoder)
    ids, padding = torch.randint(5, 100, (2, 6)), torch.zeros(2, 6, dtype=torch.bool)
    with torch.inference_mode():
        states = encoder.states(ids, padding)  # (2, 6, D)
        found = encoder(ids, padding, torch.tensor([6, 2]))  # (2, D)
    assert torch.allclose(found[0], states[0].mean(dim=0), atol=1e-6)
    assert torch.allclose(found[1], states[1, :2].mean(dim=0), atol=1e-6)
