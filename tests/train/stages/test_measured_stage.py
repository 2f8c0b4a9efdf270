"""A voice against its baseline: the frozen Whisper, how the head is fitted, and a whole training of a few seconds."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from emotrack.models.baseline import VoiceSums
from emotrack.models.baseline_head import BaselineHead, measured
from emotrack.models.bundle import load_bundle
from emotrack.models.config import BaselineHeadConfig
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.labels import AFFECT, EMOTIONS
from emotrack.models.whisper import WhisperCareConfig
from emotrack.train.errors import TrainError
from emotrack.train.recipes.recipe import PACKAGED, load_recipe
from emotrack.train.running.files import read_whole
from emotrack.train.stages.measured_stage import HeardClips, fit_head
from emotrack.train.stages.speech_teacher import WhisperEncoder
from emotrack.train.stages.stage_one import _genders_alike
from emotrack.train.stages.whisper_weights import load_whisper
from tests.train.conftest import RATE, write_rows
from tests.train.stages.test_stages import train

SPEECH = """[speech]
encoder = { whisper_width = 64, blocks = 2, heads = 1, feed_forward = 24 }
head = { voice = 12, frames = 30.0, room = 2.0, speaker = 2.0, networks = 2, hidden = 3, likeness = 0.1 }
crossed = 0.5
draws = { ravdess = 1.0 }
clips = 6
rooms = 1
stretches = 2
penalty = 0.1
tuning = { steps = 2, runs = 2, speakers = 2, clips = 3 }

"""


def acted_clips(features: torch.Tensor, targets: torch.Tensor, speakers: list[str]) -> HeardClips:
    affect = torch.tensor([AFFECT[EMOTIONS[target]] for target in targets])  # (M, 2)
    return HeardClips(features, torch.ones(features.shape[:2]), targets, speakers, torch.ones(len(targets)), affect)


def test_the_lower_part_of_a_whisper_hears_what_whisper_hears(teacher: Path, tmp_path: Path) -> None:
    encoder = load_whisper(teacher, WhisperCareConfig(64, 4, 1, 24))
    sound = torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    loudest = encoder.front_end.log_mel(sound).max()  # type: ignore[operator]
    with torch.inference_mode():
        inputs = encoder.prepare(sound).unsqueeze(0)
        states = encoder.states(inputs, torch.tensor([inputs.shape[1]])).semantic[0, 1:]  # (L, T, D)
    assert states.shape == (4, 50, 64)
    as_loud = sound * torch.exp((np.log(10.0) - loudest) / 2.0)  # as the front end makes everything
    heard = WhisperEncoder(teacher)(as_loud)  # (L, T / 2, D)
    torch.testing.assert_close(states.unflatten(1, (25, 2)).mean(dim=2), heard, atol=1e-3, rtol=1e-3)
    with pytest.raises(TrainError, match="not the weights of a Whisper encoder of these dimensions"):
        load_whisper(teacher, WhisperCareConfig(64, 5, 1, 24))
    (tmp_path / "x.safetensors").write_text("not weights")
    with pytest.raises(TrainError, match="not the weights"):
        load_whisper(tmp_path / "x.safetensors", WhisperCareConfig())


def test_emotions_are_told_by_what_sets_them_apart_from_the_speaker() -> None:
    """Speakers who differ more from each other than their emotions do: a stranger is known once enough was heard."""
    generator = torch.Generator().manual_seed(0)
    emotions = torch.randn(7, 10, generator=generator)

    def clips(names: list[str], each: int) -> HeardClips:
        targets = torch.arange(7).repeat(each * len(names))
        own = {name: 4.0 * torch.randn(10, generator=generator) for name in names}
        speakers = [name for name in names for _ in range(7 * each)]
        noise = 0.3 * torch.randn(len(targets), 10, generator=generator)
        features = torch.stack([own[name] for name in speakers]) + emotions[targets] + noise
        return acted_clips(features.unsqueeze(1), targets, speakers)

    head = BaselineHead(10, 7, BaselineHeadConfig(voice=10, room=0.5, speaker=0.5))
    stranger = clips(["ravdess-17"], 4)
    fit_head(head, clips([f"ravdess-{number:02}" for number in range(1, 13)], 4), stranger, 0.001)
    with torch.no_grad():
        voices = head.voices(stranger.features[:, 0], None)
        notes = head.note(voices)
        heard = VoiceSums(
            *(tensor.sum(dim=0).expand(len(voices), *tensor.shape[1:]) for tensor in notes.tensors().values())
        )
        told = voices[:, :-1]
        relative = torch.cat([torch.zeros_like(told), head.relative(told, heard, heard)], dim=1)
        right = (head(relative).argmax(dim=1) == stranger.targets).float().mean()
        right_alone = (notes.believed.argmax(dim=1) == stranger.targets).float().mean()
    assert right > 0.95
    assert right_alone < 0.7


def test_what_each_label_is_like_in_a_voice_is_learned_from_its_other_turns() -> None:
    """Every speaker shows each emotion in a way of their own, which differs as much as emotions do."""
    generator = torch.Generator().manual_seed(0)
    emotions = torch.randn(7, 10, generator=generator)

    def clips(names: list[str], each: int) -> HeardClips:
        targets = torch.arange(7).repeat(each * len(names))
        own = {name: 1.2 * torch.randn(7, 10, generator=generator) for name in names}
        speakers = [name for name in names for _ in range(7 * each)]
        ways = torch.stack([own[name][target] for name, target in zip(speakers, targets, strict=True)])  # (M, V)
        features = emotions[targets] + ways + 0.3 * torch.randn(len(targets), 10, generator=generator)
        return acted_clips(features.unsqueeze(1), targets, speakers)

    train = clips([f"ravdess-{number:02}" for number in range(1, 17)], 6)
    strangers = clips([f"ravdess-{number:02}" for number in range(17, 21)], 12)
    right = {}
    for likeness in (0.0, 0.5):
        head = BaselineHead(10, 7, BaselineHeadConfig(voice=10, likeness=likeness, typical=1.0, variety=0.2))
        fit_head(head, train, strangers, 0.001)
        with torch.no_grad():
            said = head.voices(strangers.features[:, 0], None)
            turns = [TurnEmbedding(voice, None, name) for voice, name in zip(said, strangers.speakers, strict=True)]
            told = [head(turn.speech).argmax() for turn in measured(head, [turns])[0] if turn.speech is not None]
        right[likeness] = float((torch.stack(told) == strangers.targets).float().mean())
    assert right[0.0] < 0.82
    assert right[0.5] > right[0.0] + 0.05


def test_copies_in_other_rooms_teach_what_a_room_leaves_as_it_is() -> None:
    """Half of the features tell emotions best, but in a room they tell nothing."""
    generator = torch.Generator().manual_seed(0)
    firm, fragile = torch.randn(7, 10, generator=generator), 3.0 * torch.randn(7, 10, generator=generator)

    def clips(names: list[str], rooms: int) -> HeardClips:
        targets = torch.arange(7).repeat(8 * len(names))
        own = firm[targets] + 0.5 * torch.randn(len(targets), 10, generator=generator)
        moved = [fragile[targets], *(4.0 * torch.randn(rooms, len(targets), 10, generator=generator))]
        features = torch.stack([torch.cat([own, each], dim=1) for each in moved], dim=1)
        speakers = [name for name in names for _ in range(56)]
        return acted_clips(features, targets, speakers)

    train, dev = clips(["ravdess-01", "ravdess-02"], 2), clips(["ravdess-17"], 1)
    torch.testing.assert_close(train.shares[0], torch.tensor([0.5, 0.25, 0.25]) / 112.0)
    right = {}
    for versions in (1, 3):
        head = BaselineHead(20, 7, BaselineHeadConfig(voice=20))
        known = train._replace(features=train.features[:, :versions], frames=train.frames[:, :versions])
        fit_head(head, known, dev, 0.001)
        with torch.no_grad():
            in_a_room = head.sounds(head.voices(dev.features[:, 1], None)).argmax(dim=1)  # (m,)
        right[versions] = float((in_a_room == dev.targets).float().mean())
    assert right[1] < 0.6
    assert right[3] > 0.85


def test_networks_hear_what_no_line_tells_apart() -> None:
    """Joy and anger are told by whether two features have one sign."""
    torch.manual_seed(0)

    def clips(names: list[str]) -> HeardClips:
        features = torch.randn(64 * len(names), 2)
        targets = torch.where(features.prod(dim=1) > 0, EMOTIONS.index("joy"), EMOTIONS.index("anger"))
        return acted_clips(features.unsqueeze(1), targets, [name for name in names for _ in range(64)])

    train, dev = clips([f"ravdess-{number:02}" for number in range(1, 10)]), clips(["ravdess-17"])
    right = {}
    for networks in (0, 5):
        head = BaselineHead(2, 7, BaselineHeadConfig(voice=2, networks=networks, hidden=32))
        fit_head(head, train, dev, 0.001)
        with torch.no_grad():
            right[networks] = (
                (head.sounds(head.voices(dev.features[:, 0], None)).argmax(dim=1) == dev.targets).float().mean()
            )
    assert right[0] < 0.7
    assert right[5] > 0.9


def test_clips_are_joined() -> None:
    one = acted_clips(torch.zeros(2, 3, 4), torch.tensor([0, 1]), ["a", "a"])
    other = acted_clips(torch.ones(1, 3, 4), torch.tensor([2]), ["b"])._replace(weights=torch.tensor([0.5]))
    found = one.joined(other)
    assert found.features.shape == (3, 3, 4)
    assert found.targets.tolist() == [0, 1, 2]
    assert found.speakers == ["a", "a", "b"]
    torch.testing.assert_close(found.shares.sum(dim=1), torch.tensor([0.4, 0.4, 0.2]))


def test_intensity_is_heard_as_arousal_beyond_the_label() -> None:
    """Half of the features tell anger from neutral, the others how strongly it is acted."""
    generator = torch.Generator().manual_seed(0)

    def clips(count: int) -> tuple[HeardClips, torch.Tensor]:
        targets = 3 * torch.randint(2, (count,), generator=generator)  # neutral or anger
        strength = 0.6 + 0.4 * torch.randint(2, (count,), generator=generator)  # (M,)
        features = torch.stack([targets / 3.0, (strength - 0.8) * targets], dim=1).repeat(1, 100)  # (M, F)
        noise = 0.01 * torch.randn(features.shape, generator=generator)
        made = acted_clips((features + noise).unsqueeze(1), targets, ["a"] * count)
        return made._replace(affect=made.affect * strength.unsqueeze(1)), strength

    (train, _), (dev, strength) = clips(400), clips(100)
    head = BaselineHead(200, 7, BaselineHeadConfig(voice=2))
    fit_head(head, train, dev, 0.001)
    with torch.no_grad():
        found = head.affect(head.reduce(dev.features[:, 0]))  # (m, 2)
    angry = dev.targets == 3
    torch.testing.assert_close(found[angry], dev.affect[angry], atol=0.1, rtol=0.0)
    assert found[angry & (strength > 0.8), 1].min() > found[angry & (strength < 0.8), 1].max()


def test_women_and_men_count_alike() -> None:
    weights = _genders_alike(torch.tensor([3.0, 1.0, 1.0, 1.0]), ["f", "f", "m", None])
    torch.testing.assert_close(weights, torch.tensor([1.875, 0.625, 2.5, 1.0]))
    assert _genders_alike(torch.ones(2), [None, None]).tolist() == [1.0, 1.0]


def test_a_toy_that_measures_voices_is_trained(
    toy_data: list[str], teacher: Path, toy: Path, ravdess: Path, tmp_path: Path
) -> None:
    """With the words of another bundle, as they are; of one actor nobody says the gender."""
    actors = shutil.copytree(ravdess, tmp_path / "ravdess")
    with (actors / "index.csv").open(newline="") as file:
        rows = [row | {"gender": "m" if row["speaker"] == "ravdess-01" else ""} for row in csv.DictReader(file)]
    write_rows(actors / "index.csv", rows)
    text = (PACKAGED / "toy.toml").read_text()
    start, end = text.index("[speech]"), text.index("[network]")
    recipe = tmp_path / "measuring.toml"
    recipe.write_text(text[:start] + SPEECH + text[end:])
    data = ["--data", f"words={toy / 'bundle'}", "--data", f"speech-encoder={teacher}"]
    data += [word for each in toy_data if each.startswith("meld=") for word in ("--data", each)]
    data += ["--data", f"ravdess={actors}"]
    assert train("all", "--recipe", str(recipe), "--out", str(tmp_path / "run"), *data) == 0
    network, before = load_bundle(tmp_path / "run/bundle"), load_bundle(toy / "bundle")
    assert network.config.speech == WhisperCareConfig(64, 2, 1, 24)
    assert isinstance(network.speech_head, BaselineHead)
    assert len(network.speech_head.networks) == 2
    assert read_whole(tmp_path / "run/clip-features-crossed.safetensors")[0]["frames"].shape == (4, 2)
    assert network.embed_speech(np.random.default_rng(0).standard_normal(RATE).astype(np.float32)).shape == (13,)
    third = load_bundle(tmp_path / "run/stage3").state_dict()
    now = network.state_dict()
    moved = {name for name, value in third.items() if not torch.equal(value, now[name])}
    assert moved - {"speech_head.classify.weight", "speech_head.classify.bias"}  # which are as sure as they are right
    assert all(name.startswith(("speech_encoder.common.1.", "speech_head.classify.")) for name in moved)
    assert "the last 1 were tuned" in (tmp_path / "run/bundle/README.md").read_text()
    for part in ("text_encoder", "text_context"):
        ours, theirs = (each.get_submodule(part).state_dict() for each in (network, before))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert load_recipe(str(recipe)).needs == ("encoder", "meld", "goemotions", "speech-encoder", "ravdess")
