"""The upper blocks of a voice's encoder, tuned beneath its head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from emotrack.models.baseline_head import BaselineHead
from emotrack.models.care import Care
from emotrack.models.config import BaselineHeadConfig
from emotrack.models.labels import EMOTIONS
from emotrack.models.whisper import WhisperCareConfig
from emotrack.train.corpora.acted_corpora import Clip, read_clips
from emotrack.train.data.audio import read_audio
from emotrack.train.errors import DivergedError, TrainError
from emotrack.train.recipes.recipe import MeasuredSpeechRecipe, TuningRecipe, load_recipe
from emotrack.train.stages.tuned_blocks import SpeakersClips, speakers_of, tune
from emotrack.train.stages.whisper_weights import load_whisper

OPTIONS = TuningRecipe(steps=2, runs=2, speakers=2, clips=4)
RECIPE = MeasuredSpeechRecipe(draws={"ravdess": 2.0}, clips=6, rooms=1, stretches=2, penalty=0.1, crossed=0.5)


@pytest.fixture
def encoder(teacher: Path) -> Care:
    return load_whisper(teacher, WhisperCareConfig(64, 3, 1, 24))


@pytest.fixture
def head() -> BaselineHead:
    torch.manual_seed(0)
    config = BaselineHeadConfig(voice=12, networks=2, hidden=3)
    return BaselineHead(4 * 2 * 64, len(EMOTIONS), config).requires_grad_(False)


@pytest.fixture
def clips(ravdess: Path) -> list[Clip]:
    found = [clip for clip in read_clips(ravdess) if clip.speaker in {"ravdess-01", "ravdess-02"}]
    return [replace(clip, traits={"gender": "m"}) if "01" in clip.speaker else clip for clip in found]


def state(encoder: Care) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in encoder.state_dict().items()}


def changed(encoder: Care, before: dict[str, Tensor]) -> set[str]:
    return {".".join(name.split(".")[:2]) for name, now in state(encoder).items() if not torch.equal(now, before[name])}


@torch.inference_mode()
def wrong(encoder: Care, head: BaselineHead, clips: list[Clip]) -> float:
    """Cross-entropy of the clips as they are, each by itself."""
    total = 0.0
    for clip in clips:
        inputs = encoder.prepare(torch.from_numpy(read_audio(clip.path))).unsqueeze(0)
        believed = head.sounds(head.embed(encoder(inputs, torch.tensor([inputs.shape[1]]))))  # (1, C)
        total -= float(believed[0, EMOTIONS.index(clip.emotion)].log())
    return total / len(clips)


def test_blocks_become_the_mean_of_the_runs_and_all_else_stays(
    encoder: Care, head: BaselineHead, clips: list[Clip], tmp_path: Path
) -> None:
    first, above = state(encoder), {name: value.clone() for name, value in head.state_dict().items()}
    tune(encoder, head, speakers_of(clips, RECIPE), OPTIONS, tmp_path, 0)
    assert changed(encoder, first) == {"common.1", "common.2"}
    assert all(torch.equal(value, above[name]) for name, value in head.state_dict().items())
    runs = [load_file(tmp_path / f"tuned-{run}.safetensors") for run in range(2)]
    name = "1.linear1.weight"  # of the last block, the second of those that are tuned
    assert not torch.equal(runs[0][name], runs[1][name])
    torch.testing.assert_close(encoder.state_dict()["common.2.linear1.weight"], (runs[0][name] + runs[1][name]) / 2.0)
    assert not any(each.requires_grad for each in encoder.parameters())


def test_the_runs_that_a_kill_left_are_not_made_again(
    encoder: Care, head: BaselineHead, clips: list[Clip], tmp_path: Path
) -> None:
    first, speakers = state(encoder), speakers_of(clips, RECIPE)
    tune(encoder, head, speakers, OPTIONS, tmp_path, 0)
    whole = state(encoder)
    (tmp_path / "tuned-1.safetensors").unlink()
    kept = (tmp_path / "tuned-0.safetensors").stat().st_mtime_ns
    encoder.load_state_dict(first)
    tune(encoder, head, speakers, OPTIONS, tmp_path, 0)
    assert (tmp_path / "tuned-0.safetensors").stat().st_mtime_ns == kept
    assert not changed(encoder, whole)
    encoder.load_state_dict(first)
    tune(encoder, head, speakers, OPTIONS, tmp_path, 1)
    assert (tmp_path / "tuned-0.safetensors").stat().st_mtime_ns > kept
    assert changed(encoder, whole)


def test_what_is_drawn_back_all_the_way_is_what_it_was(
    encoder: Care, head: BaselineHead, clips: list[Clip], tmp_path: Path
) -> None:
    first = state(encoder)
    tune(encoder, head, speakers_of(clips, RECIPE), replace(OPTIONS, back=1.0, runs=1), tmp_path, 0)
    assert not changed(encoder, first)


def test_beneath_the_same_head_clips_are_heard_better(
    encoder: Care, head: BaselineHead, clips: list[Clip], tmp_path: Path
) -> None:
    head.classify.weight[:, : head.views].mul_(20.0)  # so that labels outweigh what is to stay
    before = wrong(encoder, head, clips)
    options = TuningRecipe(steps=15, runs=1, clips=8, learning_rate=1e-2, opinions=0.0, back=0.0)
    tune(encoder, head, speakers_of(clips, RECIPE), options, tmp_path, 0)
    assert wrong(encoder, head, clips) < 0.8 * before


def test_speakers_are_drawn_as_they_count_and_crossed_where_their_gender_is_known(clips: list[Clip]) -> None:
    own, other, crossed = speakers_of(clips, RECIPE)
    assert (len(own.clips), len(other.clips), len(crossed.clips)) == (8, 8, 8)
    assert (own.crossed, other.crossed, crossed.crossed) == (False, False, True)
    assert (own.weight, other.weight, crossed.weight) == (16.0, 16.0, 8.0)
    assert len(speakers_of(clips, replace(RECIPE, crossed=0.0))) == 2


def test_a_loss_without_a_value_ends_it(encoder: Care, head: BaselineHead, clips: list[Clip], tmp_path: Path) -> None:
    head.classify.bias[0] = torch.nan
    with pytest.raises(DivergedError, match="tune 1 of 2: the loss is no longer finite"):
        tune(encoder, head, [SpeakersClips(clips, crossed=False, weight=1.0)], OPTIONS, tmp_path, 0)
    assert not [*tmp_path.iterdir()]


def test_a_recipe_leaves_blocks_to_tune() -> None:
    assert load_recipe("mini-care").tuning is None
    with pytest.raises(TrainError, match="frozen: leaves no block to be tuned"):
        load_recipe("mini", [("speech.tuning", "{ steps = 2, frozen = 3 }")])
