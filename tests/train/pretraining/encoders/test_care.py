"""CARE's own training on made audio, and stage I from there."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from emotrack.command_line import main
from emotrack.models.care import Care, small_care
from emotrack.models.published_care import PublishedCare, PublishedCareConfig
from emotrack.models.wavlm import WavLmConfig
from emotrack.train.errors import TrainError
from emotrack.train.learning.loop import dev_scores
from emotrack.train.pretraining.corpus.rows import TurnRow, turn_id
from emotrack.train.pretraining.corpus.table import Answer, Table
from emotrack.train.pretraining.corpus.utterances import Utterances, read_ahead, read_utterances
from emotrack.train.pretraining.encoders.care import CareDistillation, CareTask
from emotrack.train.pretraining.encoders.descriptors import NAMES
from emotrack.train.pretraining.encoders.meanings import meanings
from emotrack.train.recipes.recipe import ActedSpeechRecipe, CareRecipe, FrozenSpeechRecipe, Recipe, load_recipe
from emotrack.train.stages.first_weights import frozen_encoder, pretrained_care
from emotrack.train.stages.saved_care import care_address, load_care, save_care
from emotrack.train.stages.stage_one import run_stage_one
from tests.train.conftest import RATE, SENTENCES, tone, write_audio
from tests.train.test_frozen_speech import CONVOLUTIONS, RECIPE, SHAPE

SMALL = WavLmConfig(width=32, layers=2, heads=2, feed_forward=32, channels=8, position_kernel=8, position_groups=2)


Row = tuple[str, float, float, str, str | None]  # source, start, end, speaker, text


def write_turns(folder: Path, rows: list[Row]) -> Path:
    turns = [
        TurnRow(turn_id(source, start, end), source, source, start, end, speaker, text, 0.9, "en", None)
        for source, start, end, speaker, text in rows
    ]
    Table(folder / "turns", TurnRow, "a test").write([Answer(turn.turn_id, [turn]) for turn in turns])
    return folder


@pytest.fixture(scope="session")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of each of six speakers: every sentence is said, each at its own pitch."""
    folder = tmp_path_factory.mktemp("audio")
    for speaker in range(6):
        said = [tone(number, 0.6, 10 * speaker + number) for number in range(len(SENTENCES))]
        write_audio(folder / f"{speaker}.flac", np.concatenate(said), "flac")
    return folder


def turns_of(speakers: int) -> list[Row]:
    return [
        (f"{speaker}.flac", float(number), number + 1.0, f"speaker {speaker}", text)
        for speaker in range(speakers)
        for number, text in enumerate(SENTENCES.values())
    ]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    others: list[Row] = [
        ("0.flac", 0.0, 0.2, "speaker 0", "too short"),
        ("1.flac", 0.0, 1.0, "speaker 1", None),
        ("2.flac", 0.0, 1.0, "speaker 2", " "),
    ]
    return write_turns(tmp_path_factory.mktemp("corpus"), turns_of(6) + others)


def command(corpus: Path, audio: Path, out: Path, recipe: str = "toy", *more: str) -> int:
    words = ["--corpus", str(corpus), "--audio", str(audio), "--recipe", recipe, "--out", str(out)]
    return main(["train", "care", *words, *more])


@pytest.fixture(scope="module")
def run(corpus: Path, audio: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "care"
    assert command(corpus, audio, out, "toy", "--data", f"encoder={encoder}") == 0
    return out


def test_both_losses_fall_on_speakers_that_were_held_out(run: Path) -> None:
    found = json.loads((run / "care/metrics.json").read_text())["care"]
    assert (found["train"], found["held_out"], found["without_words"], found["too_short"]) == (28, 14, 2, 1)
    before, after = found["before"], found["after"]
    assert after["semantic"] < before["semantic"]
    assert after["acoustic"] < before["acoustic"]
    assert after["texts"] == len(SENTENCES)
    assert f"| {before['acoustic']:.4g} | {after['acoustic']:.4g} |" in (run / "care/README.md").read_text()
    epochs = [json.loads(line) for line in (run / "care.jsonl").read_text().splitlines()]
    assert len(epochs) == 4
    assert max(epoch["explained"] for epoch in epochs) == pytest.approx(after["explained"], abs=1e-3)


def test_a_finished_run_is_not_run_again(
    run: Path, corpus: Path, audio: Path, encoder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in (run / "care").iterdir()}
    read = (run / "meanings.safetensors").stat().st_mtime_ns
    assert command(corpus, audio, run, "toy", "--data", f"encoder={encoder}") == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"care: {run / 'care'}"
    assert {path: path.read_bytes() for path in (run / "care").iterdir()} == before
    assert (run / "meanings.safetensors").stat().st_mtime_ns == read
    other = write_turns(tmp_path, turns_of(5))
    assert command(other, audio, run, "toy", "--data", f"encoder={encoder}") == 1
    assert "another recipe, seed or turns" in capsys.readouterr().err


def test_a_run_that_was_killed_ends_as_if_it_had_not_been(
    run: Path, corpus: Path, audio: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(99))
    loss = CareTask.loss

    def killed(task: CareTask, batch: Any) -> Tensor:
        if next(calls) == 16:  # in the third epoch
            raise KeyboardInterrupt
        return loss(task, batch)

    with monkeypatch.context() as patch:
        patch.setattr(CareTask, "loss", killed)
        assert command(corpus, audio, tmp_path / "out", "toy", "--data", f"encoder={encoder}") != 0
    assert command(corpus, audio, tmp_path / "out", "toy", "--data", f"encoder={encoder}") == 0
    for name in ("model.safetensors", "metrics.json"):
        assert (tmp_path / "out/care" / name).read_bytes() == (run / "care" / name).read_bytes()


def test_logs_are_drawn(run: Path, tmp_path: Path) -> None:
    assert main(["train", "plot", str(run), "--out", str(tmp_path / "plot.svg")]) == 0
    assert ">explained</text>" in (tmp_path / "plot.svg").read_text()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--recipe", "toy"], 2, "needs --data encoder=PATH"),
        (["--recipe", "toy", "--data", "encodr=x"], 2, "no data 'encodr': there are encoder, care"),
        (["--recipe", "toy", "--audio", "nowhere", "--data", "encoder=x"], 1, "is nowhere what was transcribed?"),
        (["--recipe", "toy", "--corpus", "nowhere", "--data", "encoder=x"], 1, "no turns of 0.3 s or more with words"),
        (["--recipe", "toy", "--data", "encoder=nowhere"], 1, "missing from the text encoder's folder"),
    ],
)
def test_what_is_missing_is_said(
    corpus: Path,
    audio: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    said: str,
) -> None:
    assert command(corpus, audio, tmp_path / "out", "toy", *words) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_nobody_is_on_both_sides(corpus: Path, audio: Path, tmp_path: Path) -> None:
    found = read_utterances(corpus, audio, shortest_s=0.3, share=0.3)
    assert not {each.group for each in found.train} & {each.group for each in found.held_out}
    assert len(found.train) + len(found.held_out) == 6 * len(SENTENCES)
    assert found == read_utterances(corpus, audio, shortest_s=0.3, share=0.3)
    assert len(read_utterances(corpus, audio, 0.3, share=1.0).train) == len(SENTENCES)  # one at least learns
    with pytest.raises(TrainError, match="all utterances are of one speaker or recording"):
        read_utterances(write_turns(tmp_path / "one", turns_of(1)), audio, 0.3, 0.3)
    same: list[Row] = [(source, start, end, speaker, "yes") for source, start, end, speaker, _ in turns_of(2)]
    with pytest.raises(TrainError, match="held out say the same"):
        read_utterances(write_turns(tmp_path / "same", same), audio, 0.3, 0.3)


def toy_recipe() -> Recipe:
    return load_recipe("toy")


@pytest.fixture(scope="module")
def utterances(corpus: Path, audio: Path) -> Utterances:
    return read_utterances(corpus, audio, shortest_s=0.3, share=0.3)


def encoders() -> list[Care]:
    torch.manual_seed(0)
    toy = cast("ActedSpeechRecipe", toy_recipe().speech)
    return [small_care(toy.encoder), PublishedCare(PublishedCareConfig(SMALL))]


@pytest.fixture(params=["small", "published"])
def task(request: pytest.FixtureRequest, utterances: Utterances, encoder: Path, tmp_path: Path) -> CareTask:
    options = cast("CareRecipe", cast("ActedSpeechRecipe", toy_recipe().speech).pretraining)
    targets = meanings(utterances.texts, toy_recipe(), {"encoder": encoder}, tmp_path)
    model = CareDistillation(encoders()[request.param == "published"], targets.shape[1], len(NAMES)).eval()
    return CareTask(model, utterances, targets, options)


def trained_by(model: CareDistillation, loss: Tensor) -> set[str]:
    model.zero_grad()
    loss.backward()
    return {
        ".".join(name.split(".")[: 2 if name.startswith("encoder") else 1])
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.grad.any()
    }


def test_only_meaning_trains_the_common_encoder(task: CareTask) -> None:
    waveforms = [torch.from_numpy(tone(number, 0.3, number)) for number in (1, 3)]
    _, heard, sounds = task._predict(waveforms)
    acoustic = trained_by(task.model, nn.functional.mse_loss(heard, sounds))
    assert acoustic == {"encoder.acoustic", "sound"}
    meant, _, _ = task._predict(waveforms)
    semantic = trained_by(task.model, meant.square().mean())
    assert {"encoder.common", "encoder.semantic"} <= semantic
    assert not semantic & (acoustic | {"encoder.attention"})


def test_padding_changes_nothing(task: CareTask) -> None:
    short, long = torch.from_numpy(tone(1, 0.3, 1)), torch.from_numpy(tone(3, 0.9, 2))
    with torch.inference_mode():
        alone = [task._predict([waveform]) for waveform in (short, long)]
        together = task._predict([short, long])
    for one, other in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(one, torch.cat(other), atol=1e-4, rtol=1e-4)


def test_the_loss_is_meaning_plus_lambda_times_sound(task: CareTask) -> None:
    losses = []
    for weight in (0.0, 1.0, 2.0):
        task.recipe = replace(task.recipe, acoustic=weight)
        batch = task.batches(torch.Generator().manual_seed(0))[0]
        losses.append(float(task.loss(batch).detach()))
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-4)
    assert losses[1] > losses[0] > 0


def test_crops_are_drawn_from_the_whole_utterance(task: CareTask) -> None:
    drawn = [each for seed in range(9) for batch in task.batches(torch.Generator().manual_seed(seed)) for each in batch]
    assert len(drawn) == 9 * len(task.data.train)
    for each in drawn:
        utterance = task.data.train[each.index]
        assert each.seconds == task.recipe.crop_s == 0.5
        assert utterance.start_s <= each.start_s <= utterance.start_s + utterance.seconds - 0.5
    places = [each.start_s % 1.0 for each in drawn]
    assert min(places) < 0.1
    assert max(places) > 0.4
    batches = task.batches(torch.Generator().manual_seed(0))
    first = task._read
    assert [len(next(first)) for _ in batches[0]] == [RATE // 2] * len(batches[0])


def test_an_encoder_to_which_everything_means_the_same_has_collapsed(task: CareTask) -> None:
    assert dev_scores(task.model, task).collapsed is None
    task.model.meaning = nn.Linear(task.model.encoder.frame_width, task.targets.shape[1])
    nn.init.zeros_(task.model.meaning.weight)
    found = dev_scores(task.model, task)
    assert found.collapsed == "every held-out utterance means the same"
    assert found.retrieval == pytest.approx(1 / found.texts)


def test_reading_ahead_keeps_order_and_is_bounded() -> None:
    begun: list[int] = []

    def read(item: int) -> int:
        begun.append(item)
        return 2 * item

    found = read_ahead(read, range(100), ahead=5)
    assert [next(found) for _ in range(3)] == [0, 2, 4]
    assert len(begun) <= 3 + 5 + 1
    assert list(found) == [2 * item for item in range(3, 100)]


def test_a_saved_care_is_read_again_and_an_altered_one_refused(tmp_path: Path) -> None:
    configs: tuple[Any, ...] = (
        cast("ActedSpeechRecipe", toy_recipe().speech).encoder,
        PublishedCareConfig(SMALL, "somewhere"),
    )
    for number, (encoder, config) in enumerate(zip(encoders(), configs, strict=True)):
        folder = tmp_path / str(number)
        save_care(encoder, config, folder, {}, "# card\n")
        again, found = load_care(folder)
        assert found == config
        for name, value in encoder.state_dict().items():
            torch.testing.assert_close(again.state_dict()[name], value, atol=1e-3, rtol=1e-3)
    shutil.copy(tmp_path / "0/model.safetensors", tmp_path / "1/model.safetensors")
    with pytest.raises(TrainError, match="SHA-256 differs"):
        load_care(tmp_path / "1")
    (tmp_path / "1/config.json").write_text('{"format": 1, "care": {"wide": 3}, "sha256": ""}')
    with pytest.raises(TrainError, match=r"config\.json: "):
        load_care(tmp_path / "1")
    with pytest.raises(TrainError, match="no pre-trained CARE there"):
        care_address(tmp_path)


def test_a_small_voice_begins_with_it(run: Path, tmp_path: Path) -> None:
    toy = cast("ActedSpeechRecipe", toy_recipe().speech)
    encoder = pretrained_care(toy.encoder, {"care": run / "care"})
    assert encoder is not None
    kept = load_file(run / "care/model.safetensors")
    assert all(torch.equal(value.half(), kept[name]) for name, value in encoder.state_dict().items())
    assert pretrained_care(toy.encoder, {}) is None
    with pytest.raises(TrainError, match="is another CARE than the recipe's"):
        pretrained_care(replace(toy.encoder, width=32), {"care": run / "care"})


@pytest.fixture(scope="module")
def published(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A WavLM and a RoBERTa of random weights, as the hub has them."""
    folder = tmp_path_factory.mktemp("hub")
    configs: dict[str, transformers.PretrainedConfig] = {
        "wavlm": transformers.WavLMConfig(**SHAPE, **CONVOLUTIONS, num_buckets=20, max_bucket_distance=40),
        "roberta": transformers.RobertaConfig(**SHAPE, vocab_size=120, max_position_embeddings=40, pad_token_id=0),
    }
    for name, config in configs.items():
        torch.manual_seed(0)
        transformers.AutoModel.from_config(config).save_pretrained(folder / name)
    words = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]").save_pretrained(folder / "roberta")
    return str(folder / "wavlm"), str(folder / "roberta")


PRETRAINING = """
[speech.pretraining]
loop = { epochs = 2, learning_rate = 1e-2, batch = 8, schedule = "constant", warmup = 0.0, betas = [0.9, 0.99] }
crop_s = 0.5
shortest_s = 0.3
held_out = 0.3
"""


def test_the_published_care_is_trained_and_stage_one_begins_with_it(
    published: tuple[str, str], corpus: Path, audio: Path, whole_iemocap: Path, tmp_path: Path
) -> None:
    made_of = f'care = ["{published[0]}", "{published[1]}"]'
    recipe_text = RECIPE.format(text=published[1], speech=made_of) + PRETRAINING
    (tmp_path / "tiny.toml").write_text(recipe_text)
    recipe = load_recipe(str(tmp_path / "tiny.toml"))
    before = PublishedCare.from_hub(*published).state_dict()
    assert command(corpus, audio, tmp_path / "care", str(tmp_path / "tiny.toml")) == 0
    kept = load_file(tmp_path / "care/care/model.safetensors")
    changed = {name.partition(".")[0] for name, value in before.items() if not torch.equal(value.half(), kept[name])}
    assert changed == {"position", "common", "semantic", "acoustic"}
    roberta = {name for name in before if "roberta" in name}
    assert roberta
    assert all(torch.equal(before[name].half(), kept[name]) for name in roberta)

    data = {"iemocap": whole_iemocap, "care": tmp_path / "care/care"}
    assert run_stage_one(recipe, data, tmp_path / "out", 0) == tmp_path / "out/stage1"
    bundle = load_file(tmp_path / "out/stage1/model.safetensors")
    assert all(torch.equal(value, bundle[f"speech_encoder.{name}"]) for name, value in kept.items())
    assert "trained as CARE" in (tmp_path / "out/stage1/config.json").read_text()
    with pytest.raises(TrainError, match="another recipe or seed"):  # its features are those of the other CARE
        run_stage_one(recipe, {"iemocap": whole_iemocap}, tmp_path / "out", 0)


def test_a_voice_that_is_no_care_is_said_so(run: Path, published: tuple[str, str]) -> None:
    small = {"care": run / "care"}
    speech = cast("FrozenSpeechRecipe", load_recipe("merits-l").speech)
    with pytest.raises(TrainError, match="is a small CARE"):
        frozen_encoder(speech, small)
    hub = replace(speech, care=None, encoder=published[0])
    with pytest.raises(TrainError, match="the recipe's voice is no CARE"):
        frozen_encoder(hub, small)
