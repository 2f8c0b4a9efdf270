"""Tiny corpora in their official layouts, a tiny BERT and a tiny teacher, all made here."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from emotrack.command_line import main
from emotrack.train.pretraining.corpus.rows import LabelRow
from emotrack.train.pretraining.corpus.table import Answer, Table

RATE = 16_000
SENTENCES = {
    "neutral": "see you at five",
    "joy": "i am so happy",
    "surprise": "oh my god",
    "anger": "i hate you",
    "sadness": "i miss him",
    "disgust": "that is gross",
    "fear": "i am scared",
}
SENTIMENTS = {
    "joy": "positive",
    "surprise": "positive",
    "neutral": "neutral",
    "fear": "neutral",
    "anger": "negative",
    "sadness": "negative",
}
RAVDESS_NAMES = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")


def write_audio(path: Path, samples: NDArray[np.float32], codec: str = "pcm_s16le") -> None:
    """Write mono 16 kHz audio in the container that the file's ending names."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=RATE, layout="mono")
        if codec == "aac":  # takes floats alone
            frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        else:
            frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def tone(emotion: int, seconds: float, seed: int) -> NDArray[np.float32]:
    """A voice of sorts: its pitch tells the emotion, between two silences."""
    noise = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    wave = 0.3 * np.sin(2 * np.pi * 150 * (emotion + 1) * time * noise.uniform(0.98, 1.02))
    silence = np.zeros(RATE // 5)
    sound = np.concatenate([silence, wave, silence])
    return (sound + noise.normal(0, 0.001, len(sound))).astype(np.float32)


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="session")
def meld(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("meld")
    for split, dialogues in (("train", 12), ("dev", 4), ("test", 2)):
        rows: list[dict[str, object]] = [
            {
                "Sr No.": number,
                "Utterance": text.replace("'", "\u2019"),
                "Speaker": ("Ross", "Rachel")[turn % 2],
                "Emotion": emotion,
                "Sentiment": "neutral",
                "Dialogue_ID": dialogue,
                "Utterance_ID": turn,
            }
            for dialogue in range(dialogues)
            for turn, (number, (emotion, text)) in enumerate(enumerate(SENTENCES.items()))
        ]
        write_rows(folder / f"{split}_sent_emo.csv", rows)
    return folder


@pytest.fixture(scope="session")
def emorynlp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("emorynlp")
    labels = ("Neutral", "Joyful", "Peaceful", "Powerful", "Scared", "Mad", "Sad")
    rows: list[dict[str, object]] = [
        {
            "Utterance": f"line {number}",
            "Speaker": "['Monica Geller']",
            "Emotion": label,
            "Scene_ID": 1 + number // 4,
            "Utterance_ID": number,
            "Season": 1,
            "Episode": 2,
        }
        for number, label in enumerate(labels)
    ]
    write_rows(folder / "emorynlp_dev_final.csv", rows)
    return folder


@pytest.fixture(scope="session")
def goemotions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("goemotions")
    labels = sorted(SENTENCES)
    (folder / "labels.txt").write_text("\n".join(labels))
    lines = [f"{text}\t{labels.index(emotion)}\tid{emotion}" for emotion, text in SENTENCES.items()]
    for split, repeats in (("train", 6), ("dev", 2)):
        (folder / f"{split}.tsv").write_text("\n".join([*lines * repeats, "both at once\t0,3\tid9"]))
    return folder


@pytest.fixture(scope="session")
def ravdess(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ravdess")
    rows: list[dict[str, object]] = []
    for actor in (1, 2, 17, 18, 21):
        for number, emotion in enumerate(RAVDESS_NAMES):
            name = f"{actor}-{emotion}.wav"
            write_audio(folder / name, tone(number, 0.6, actor * 100 + number))
            rows.append(
                {"file": name, "speaker": f"ravdess-{actor:02}", "emotion": emotion, "text": "kids are talking"}
            )
    write_rows(folder / "index.csv", rows)
    return folder


@pytest.fixture(scope="session")
def conversations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conversations")
    turns = [
        {"speaker": speaker, "start": start, "end": start + 1.0, "text": "kids are talking", "emotion": emotion}
        for start, (speaker, emotion) in enumerate(
            [("actor17", "joy"), ("actor01", "anger"), ("actor17", "calm"), ("actor01", "fear")]
        )
    ]
    write_audio(folder / "acted-0.flac", np.concatenate([tone(turn, 0.6, turn) for turn in range(4)]), "flac")
    (folder / "acted-0.json").write_text(json.dumps({"audio": "acted-0.flac", "seconds": 4.0, "turns": turns}))
    return folder


IEMOCAP_TURNS = (  # in another order than they were spoken, as in the release
    ("F001", 9.0, "fru", "I told you."),
    ("F000", 1.25, "neu", "Excuse me."),
    ("M000", 4.5, "exc", "Yes!"),
    ("M001", 11.0, "xxx", "Hm."),
    ("F002", 13.0, "hap", "So good."),
    ("M002", 15.0, "ang", "Out."),
)


def write_iemocap_session(folder: Path, number: int) -> None:
    """A dialogue as the release has them, littered as some copies are; one recording is missing."""
    session, dialogue = folder / f"Session{number}", f"Ses0{number}F_impro01"
    recordings = session / "sentences/wav" / dialogue
    for part in (session / "dialog/EmoEvaluation", session / "dialog/transcriptions", recordings):
        part.mkdir(parents=True)
    evaluation = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    transcription = []
    for turn, start, label, text in IEMOCAP_TURNS:
        name = f"{dialogue}_{turn}"
        evaluation += [
            f"[{start:.4f} - {start + 1.5:.4f}]\t{name}\t{label}\t[2.5000, 2.5000, 2.5000]",
            "C-E2:\tNeutral;\t()",
            "A-E3:\tval 3; act 2; dom  2;\t()",
            "",
        ]
        transcription.append(f"{name} [{start:08.4f}-{start + 1.5:08.4f}]: {text}")
        if turn != "M002":
            write_audio(recordings / f"{name}.wav", tone(("neu", "fru", "xxx", "exc", "hap").index(label), 0.6, number))
    (session / f"dialog/EmoEvaluation/{dialogue}.txt").write_text("\n".join(evaluation))
    (session / f"dialog/EmoEvaluation/._{dialogue}.txt").write_bytes(b"\x00\x05\x16\x07 of a file system")
    (session / f"dialog/transcriptions/{dialogue}.txt").write_text("\n".join([*transcription, "M: [laughs]"]))


@pytest.fixture(scope="session")
def iemocap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Session 1 (dev) and 5 (test)."""
    folder = tmp_path_factory.mktemp("iemocap")
    for number in (1, 5):
        write_iemocap_session(folder, number)
    return folder


@pytest.fixture(scope="session")
def whole_iemocap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All five sessions."""
    folder = tmp_path_factory.mktemp("whole-iemocap")
    for number in range(1, 6):
        write_iemocap_session(folder, number)
    return folder


@pytest.fixture(scope="session")
def mosi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of every split; opinions out of order, as in the release."""
    folder = tmp_path_factory.mktemp("mosi")
    raw = folder / "Raw"
    for part in ("Labels", "Transcript/Segmented", "Audio/WAV_16000/Segmented"):
        (raw / part).mkdir(parents=True)
    rows = []
    for video in ("zhpQhgha_KU", "2iD-tVS8NPw", "_dI--eQ6qVU"):
        for number, score in ((10, "-0.2"), (1, "2.4"), (2, "0")):
            rows.append(f"{number}.3,{number}.9,{video},{number},{score}")
            write_audio(raw / f"Audio/WAV_16000/Segmented/{video}_{number}.wav", tone(number % 7, 0.6, number))
        lines = [f"{number}_DELIM_OPINION {number} OF {video}" for number in (1, 2, 10)]
        (raw / f"Transcript/Segmented/{video}.annotprocessed").write_text("\n".join(lines) + "\n")
    (raw / "Labels/OpinionLevelSentiment.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT in the Hugging Face layout: 16 wide, 2 layers, random."""
    folder = tmp_path_factory.mktemp("encoder")
    words = sorted({word for sentence in SENTENCES.values() for word in sentence.split()} | {"never", "used"})
    letters = [prefix + letter for letter in "abcdefghijklmnopqrstuvwxyz0123456789'.!?" for prefix in ("", "##")]
    pieces = ["[PAD]", "unused", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(w for w in words if len(w) > 1)]
    tokenizer = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 3), ("[SEP]", 4)])
    tokenizer.save(str(folder / "tokenizer.json"))
    dimensions = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    (folder / "config.json").write_text(json.dumps(dimensions))
    noise = torch.Generator().manual_seed(0)
    shapes = {
        "embeddings.word_embeddings.weight": (len(pieces), 16),
        "embeddings.position_embeddings.weight": (64, 16),
        "embeddings.token_type_embeddings.weight": (2, 16),
        "embeddings.LayerNorm.weight": (16,),
        "embeddings.LayerNorm.bias": (16,),
    }
    for layer in range(2):
        prefix = f"encoder.layer.{layer}."
        for name, out, inner in (
            ("attention.self.query", 16, 16),
            ("attention.self.key", 16, 16),
            ("attention.self.value", 16, 16),
            ("attention.output.dense", 16, 16),
            ("intermediate.dense", 32, 16),
            ("output.dense", 16, 32),
        ):
            shapes[f"{prefix}{name}.weight"] = (out, inner)
            shapes[f"{prefix}{name}.bias"] = (out,)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"{prefix}{name}.weight"] = shapes[f"{prefix}{name}.bias"] = (16,)
    weights = {
        name: torch.ones(shape) if name.endswith("LayerNorm.weight") else torch.randn(shape, generator=noise) * 0.2
        for name, shape in shapes.items()
    }
    save_file(weights, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the layout of a Whisper encoder, 64 wide."""
    noise = torch.Generator().manual_seed(0)
    shapes = {
        "conv1.weight": (64, 80, 3),
        "conv1.bias": (64,),
        "conv2.weight": (64, 64, 3),
        "conv2.bias": (64,),
        "embed_positions.weight": (1500, 64),
    }
    for layer in range(4):
        for name, shape in (
            ("self_attn.q_proj", (64, 64)),
            ("self_attn.k_proj", (64, 64)),
            ("self_attn.v_proj", (64, 64)),
            ("self_attn.out_proj", (64, 64)),
            ("self_attn_layer_norm", (64,)),
            ("fc1", (24, 64)),
            ("fc2", (64, 24)),
            ("final_layer_norm", (64,)),
        ):
            shapes[f"layers.{layer}.{name}.weight"] = shape
            if name != "self_attn.k_proj":
                shapes[f"layers.{layer}.{name}.bias"] = (shape[0],)
    path = tmp_path_factory.mktemp("teacher") / "encoder.safetensors"
    save_file({name: torch.randn(shape, generator=noise) * 0.1 for name, shape in shapes.items()}, path)
    return path


def write_labels(folder: Path, labels: Iterable[tuple[str, str | None]], annotator: str = "somebody") -> Path:
    rows = [
        LabelRow(str(number), text, annotator, label, None if label else "prose")
        for number, (text, label) in enumerate(labels)
    ]
    Table(folder, LabelRow, f"{annotator}/1").write([Answer(f"{annotator} of {len(rows)}", rows)])
    return folder


@pytest.fixture(scope="session")
def silver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is said in MELD, again and again with another ending, and one sentence without a label."""
    return write_labels(
        tmp_path_factory.mktemp("labels") / "somebody",
        [
            (f"{SENTENCES[emotion]} {number}", sentiment)
            for number in range(12)
            for emotion, sentiment in SENTIMENTS.items()
        ]
        + [("hm", None)],
    )


@pytest.fixture(scope="session")
def toy_data(encoder: Path, teacher: Path, meld: Path, goemotions: Path, ravdess: Path) -> list[str]:
    paths = {"encoder": encoder, "teacher": teacher, "meld": meld, "goemotions": goemotions, "ravdess": ravdess}
    return [word for name, path in paths.items() for word in ("--data", f"{name}={path}")]


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory, toy_data: list[str]) -> Path:
    out = tmp_path_factory.mktemp("toy")
    assert main(["train", "all", "--recipe", "toy", "--out", str(out), *toy_data]) == 0
    return out


def save_hub_encoder(config: Any, folder: Path, seed: int, vocabulary: Path | None = None) -> None:
    """Write an encoder of random weights as the hub has them, with the vocabulary of a folder if that is given."""
    torch.manual_seed(seed)
    model = transformers.AutoModel.from_config(config)
    for parameter in model.parameters():
        if parameter.ndim > 1:  # as made, everything reads and sounds nearly the same to it
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    if vocabulary is not None:
        words = transformers.PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer.from_file(str(vocabulary / "tokenizer.json")), pad_token="[PAD]"
        )
        words.save_pretrained(folder)
