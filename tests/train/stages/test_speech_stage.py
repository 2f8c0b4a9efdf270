"""Stage I of acted voices: the teacher, new recordings out of old ones, and the listener who has met nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.models.whisper.modeling_whisper import WhisperEncoder as HubWhisperEncoder

from emotrack.models.care import CareConfig
from emotrack.train.data.augment import active_span, frame_positions, new_recording, resample, spec_augment
from emotrack.train.errors import TrainError
from emotrack.train.learning.loop import dev_scores
from emotrack.train.recipes.recipe import ActedSpeechRecipe, load_recipe
from emotrack.train.stages import cross_fitted_teacher as listener
from emotrack.train.stages.cross_fitted_teacher import listen
from emotrack.train.stages.speech_stage import (
    HeardClip,
    SpeechClassifier,
    SpeechTask,
    new_take,
    opinions_of,
    standardise,
)
from emotrack.train.stages.speech_teacher import WhisperEncoder
from tests.train.conftest import RATE


def test_the_teacher_has_25_frames_a_second(teacher: Path, tmp_path: Path) -> None:
    sound = torch.randn(RATE)
    states = WhisperEncoder(teacher)(sound)
    assert states.shape == (4, 25, 64)
    whole = {f"model.encoder.{name}": value for name, value in load_file(teacher).items()}
    save_file(whole | {"model.decoder.layer_norm.bias": torch.zeros(64)}, tmp_path / "model.safetensors")
    assert torch.equal(WhisperEncoder(tmp_path / "model.safetensors")(sound), states)  # as the hub has it
    (tmp_path / "x.safetensors").write_text("not weights")
    with pytest.raises(TrainError, match="not the weights of a Whisper encoder"):
        WhisperEncoder(tmp_path / "x.safetensors")
    for other in (torch.zeros(64), torch.zeros(64, 80, 3)):  # of another kind; without layers
        save_file({"conv1.weight": other}, tmp_path / "x.safetensors")
        with pytest.raises(TrainError, match="not the weights of a Whisper encoder"):
            WhisperEncoder(tmp_path / "x.safetensors")
    save_file({"conv1.weight": torch.zeros(64, 128, 3)}, tmp_path / "large-v3.safetensors")
    with pytest.raises(TrainError, match="a Whisper of 128 mels"):
        WhisperEncoder(tmp_path / "large-v3.safetensors")


def test_the_teacher_hears_what_the_hubs_model_hears(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = transformers.WhisperConfig(d_model=128, encoder_layers=3, encoder_attention_heads=2, encoder_ffn_dim=64)
    encoder = HubWhisperEncoder(config).eval()
    for weight in encoder.parameters():
        torch.nn.init.normal_(weight, std=0.2)  # so that frames attend to some others more than to others
    save_file({name: value.contiguous() for name, value in encoder.state_dict().items()}, tmp_path / "x.safetensors")
    sound = torch.randn(30 * RATE) * 0.1  # as long as the hub's model always reads
    features = transformers.WhisperFeatureExtractor()(sound.numpy(), sampling_rate=RATE, return_tensors="pt")
    with torch.inference_mode():
        _, *layers, _ = encoder(features.input_features, output_hidden_states=True).hidden_states  # (1, 1500, 128)
    heard = WhisperEncoder(tmp_path / "x.safetensors")(sound)
    assert heard.shape == (3, 750, 128)
    for ours, theirs in zip(heard[:-1], layers, strict=True):  # the hub's model normalises the last one
        expected = theirs[0].view(750, 2, 128).mean(dim=1)
        assert torch.allclose(ours, expected, atol=1e-3), (ours - expected).abs().max()


def test_augmented_frames_are_finite_and_keep_their_shape() -> None:
    torch.manual_seed(0)
    log_mel = torch.full((200, 80), -20.0)
    log_mel[50:150] = torch.randn(100, 80)
    assert active_span(log_mel) == (50, 150)
    for _ in range(50):
        positions = frame_positions(log_mel)
        assert 0 <= positions.min() <= positions.max() <= 199
        augmented = spec_augment(new_recording(resample(log_mel, positions)))
        assert augmented.shape == (len(positions), 80)
        assert augmented.isfinite().all()


def clip(number: int, frames: int = 40) -> HeardClip:
    noise = torch.Generator().manual_seed(number)
    log_mel = torch.randn(frames, 80, generator=noise)
    return HeardClip(
        log_mel=log_mel.half(),
        states=torch.randn(frames // 4, 24, generator=noise).half(),
        summary=torch.randn(96, generator=noise) * 9 + 5,
        label=number % 7,
        speaker=f"corpus-{number % 6}",
        weight=1.0 + number % 2,
    )


def test_a_new_take_keeps_the_teachers_states_in_step() -> None:
    torch.manual_seed(0)
    for number in range(20):
        features, states = new_take(clip(number, frames=40 + number))
        assert states.shape == (-(-len(features) // 4), 24)
        assert features.isfinite().all()


def test_the_teacher_is_standardised_over_clips() -> None:
    clips = standardise([clip(number) for number in range(40)])
    summaries = torch.stack([each.summary for each in clips])
    torch.testing.assert_close(summaries.mean(dim=0), torch.zeros(96), atol=1e-4, rtol=0)
    torch.testing.assert_close(summaries.std(dim=0), torch.ones(96), atol=1e-3, rtol=0)


def test_a_batch_has_every_loss_and_clips_are_drawn_by_their_weight() -> None:
    recipe = load_recipe("toy").speech
    assert isinstance(recipe, ActedSpeechRecipe)
    torch.manual_seed(0)
    clips = standardise([clip(number) for number in range(28)])
    model = SpeechClassifier(recipe, 12, 96)
    task = SpeechTask(model, clips, clips, recipe)
    drawn = [index for batch in task.batches(torch.Generator().manual_seed(1)) for index in batch]
    assert [drawn.count(index) for index in range(28)] == [1, 2] * 14
    assert task.opinions.shape == (28, 7)
    task.loss([0, 1, 2]).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    assert dev_scores(model, task).count == 28
    assert model.encoder.layers == 1 + recipe.encoder.common + recipe.encoder.branch
    assert isinstance(recipe.encoder, CareConfig)


class TestListener:
    SPEAKERS = tuple(f"corpus-{name}" for name in "abcdefg" for _ in range(12))

    def features(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(N, F) in which the first three features tell the label, and the others the speaker."""
        noise = torch.Generator().manual_seed(0)
        labels = torch.arange(len(self.SPEAKERS)) % 3
        features = torch.randn(len(labels), 12, generator=noise) * 0.3
        features[torch.arange(len(labels)), labels] += 1.5
        return features, labels, torch.ones(len(labels))

    def test_it_hears_what_there_is_to_hear(self) -> None:
        features, labels, weights = self.features()
        found = listen(features, labels, weights, self.SPEAKERS, 4)
        torch.testing.assert_close(found.sum(dim=1), torch.ones(len(labels)))
        assert (found.argmax(dim=1) == labels).float().mean() > 0.9

    def test_nobody_is_judged_by_who_has_heard_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        features, labels, weights = self.features()
        fitted = listener._fitted
        rows = {tuple(row): speaker for row, speaker in zip(features.tolist(), self.SPEAKERS, strict=True)}
        pairs: list[tuple[set[str], set[str]]] = []

        def watched(known: torch.Tensor, *rest: torch.Tensor) -> torch.nn.Module:
            classify = fitted(known, *rest)  # type: ignore[arg-type]
            heard = {rows[tuple(row)] for row in known.tolist()}
            classify.register_forward_pre_hook(
                lambda _, judged: pairs.append((heard, {rows[tuple(row)] for row in judged[0].tolist()}))
            )
            return classify

        monkeypatch.setattr(listener, "_fitted", watched)
        listen(features, labels, weights, self.SPEAKERS, 3)
        assert set().union(*(judged for _, judged in pairs)) == set(self.SPEAKERS)
        assert not any(heard & judged for heard, judged in pairs)

    def test_labels_of_a_speaker_do_not_reach_the_opinion_of_them(self) -> None:
        """A label that is wrong throughout for one speaker changes what is made of all others, but not of them."""
        features, labels, weights = self.features()
        lied = torch.where(torch.tensor([name == "corpus-a" for name in self.SPEAKERS]), (labels + 1) % 3, labels)
        before, after = (listen(features, told, weights, self.SPEAKERS, 3) for told in (labels, lied))
        assert torch.equal(before[:12], after[:12])
        assert not torch.equal(before[12:], after[12:])

    def test_a_single_speaker_is_judged_by_nobody(self) -> None:
        features, labels, weights = self.features()
        found = listen(features[:12], labels[:12], weights[:12], self.SPEAKERS[:12], 3)
        torch.testing.assert_close(found, torch.full((12, 3), 1 / 3))

    def test_opinions_are_of_clips(self) -> None:
        assert opinions_of(standardise([clip(number) for number in range(20)])).shape == (20, 7)
