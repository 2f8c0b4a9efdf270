from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from emotrack.models.labels import EMOTIONS
from emotrack.train.corpora import read_text_corpus
from emotrack.train.corpora.acted_corpora import SPEAKERS, read_clips, read_conversations, split_of
from emotrack.train.data.audio import read_audio
from emotrack.train.data.dialogues import as_turn, converse, hear, read_dialogues
from emotrack.train.errors import TrainError
from tests.train.conftest import RATE, tone, write_audio


def test_meld(meld: Path) -> None:
    corpus = read_text_corpus("meld", meld, "train")
    assert len(corpus.utterances) == 12 * len(EMOTIONS)
    assert corpus.labels == EMOTIONS
    assert corpus.utterances[1].labels == ("joy",)
    assert corpus.utterances[1].speaker == "Rachel"
    assert corpus.utterances[7].dialogue == "1"


def test_emorynlp(emorynlp: Path) -> None:
    corpus = read_text_corpus("emorynlp", emorynlp, "dev")
    assert tuple(utterance.labels[0] for utterance in corpus.utterances) == corpus.labels
    assert corpus.utterances[0].speaker == "Monica Geller"
    assert {utterance.dialogue for utterance in corpus.utterances} == {"1-2-1", "1-2-2"}


def test_goemotions(goemotions: Path) -> None:
    corpus = read_text_corpus("goemotions", goemotions, "dev")
    assert corpus.utterances[-1].labels == ("anger", "joy")


def test_a_missing_split_is_named(meld: Path, emorynlp: Path, goemotions: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"emorynlp_test_final\.csv: No such file"):
        read_text_corpus("emorynlp", emorynlp, "test")
    with pytest.raises(TrainError, match=r"labels\.txt: No such file"):
        read_text_corpus("goemotions", tmp_path, "dev")
    with pytest.raises(TrainError, match="no text corpus 'friends'"):
        read_text_corpus("friends", meld, "dev")


def test_a_malformed_corpus_is_explained(meld: Path, goemotions: Path, tmp_path: Path) -> None:
    (tmp_path / "dev_sent_emo.csv").write_text("Utterance,Speaker\nhello,Ross\n")
    with pytest.raises(TrainError, match="no column 'Emotion'"):
        read_text_corpus("meld", tmp_path, "dev")
    table = (meld / "dev_sent_emo.csv").read_text().replace("joy", "glee")
    (tmp_path / "dev_sent_emo.csv").write_text(table)
    with pytest.raises(TrainError, match="unknown label 'glee'"):
        read_text_corpus("meld", tmp_path, "dev")
    shutil.copy(goemotions / "labels.txt", tmp_path)
    (tmp_path / "dev.tsv").write_text("fine\t4\tid\nbroken\n")
    with pytest.raises(TrainError, match="line 2"):
        read_text_corpus("goemotions", tmp_path, "dev")


def test_no_speaker_is_in_two_splits() -> None:
    assert not SPEAKERS["train"] & SPEAKERS["dev"]
    assert [split_of(speaker) for speaker in ("ravdess-16", "ravdess-17", "ravdess-21", "nemo-XX", "somebody")] == [
        "train",
        "dev",
        "test",
        "test",
        "test",
    ]


def test_clips(ravdess: Path) -> None:
    clips = read_clips(ravdess)
    assert {clip.emotion for clip in clips} == set(EMOTIONS)
    assert sum(clip.emotion == "neutral" for clip in clips) == 2 * 5  # neutral and calm


@pytest.mark.parametrize(("name", "codec"), [("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.ogg", "libopus")])
def test_audio_of_any_container(tmp_path: Path, name: str, codec: str) -> None:
    write_audio(tmp_path / name, tone(2, 1.0, 0), codec)
    samples = read_audio(tmp_path / name)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(1.4 * RATE, abs=RATE // 20)
    assert 0.2 < np.abs(samples).max() < 0.4


def test_audio_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="No such file"):
        read_audio(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("not audio")
    with pytest.raises(TrainError, match="cannot be decoded"):
        read_audio(tmp_path / "text.wav")


def test_conversations_are_cut_at_their_turns_and_scored_by_split(conversations: Path) -> None:
    (dialogue,) = read_dialogues("acted", conversations, "dev", "both")
    assert [turn.emotion for turn in dialogue] == ["joy", None, "neutral", None]
    assert all(turn.waveform is not None and len(turn.waveform) == RATE for turn in dialogue)
    (words,) = read_dialogues("acted", conversations, "train", "text")
    assert [turn.emotion for turn in words] == [None, "anger", None, "fear"]
    assert all(turn.waveform is None for turn in words)
    with pytest.raises(TrainError, match="no turns of a test speaker"):
        list(read_dialogues("acted", conversations, "test", "both"))


def test_audio_that_ends_before_a_turn_is_named(conversations: Path, tmp_path: Path) -> None:
    (tmp_path / "acted-0.json").write_text((conversations / "acted-0.json").read_text())
    write_audio(tmp_path / "acted-0.flac", tone(0, 0.6, 0), "flac")
    with pytest.raises(TrainError, match=r"acted-0\.flac: lasts \d\.\d\d s"):
        list(read_dialogues("acted", tmp_path, "dev", "both"))


def test_a_turn_that_is_too_short_to_be_heard_is_named(conversations: Path, tmp_path: Path) -> None:
    document = json.loads((conversations / "acted-0.json").read_text())
    document["turns"][0] |= {"start": 0.5, "end": 0.52}
    (tmp_path / "acted-0.json").write_text(json.dumps(document))
    (tmp_path / "acted-0.flac").write_bytes((conversations / "acted-0.flac").read_bytes())
    with pytest.raises(TrainError, match=r"acted-0\.flac: a turn of 0\.02 s, less than 0\.1 s"):
        list(read_dialogues("acted", tmp_path, "dev", "both"))


def test_audio_that_is_much_shorter_than_its_turn_is_named(conversations: Path, tmp_path: Path) -> None:
    document = json.loads((conversations / "acted-0.json").read_text())
    document["turns"][0]["end"] = 400.0
    (tmp_path / "acted-0.json").write_text(json.dumps(document))
    (tmp_path / "acted-0.flac").write_bytes((conversations / "acted-0.flac").read_bytes())
    with pytest.raises(TrainError, match=r"acted-0\.flac: lasts \d+\.\d\d s, and a turn ends at 400\.00 s"):
        list(read_dialogues("acted", tmp_path, "dev", "both"))


@pytest.mark.parametrize("change", [{"audio": ""}, {"audio": "sub/a.flac"}, {"start": float("nan")}, {"end": math.inf}])
def test_a_conversation_that_cannot_be_meant_is_named(
    conversations: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    document = json.loads((conversations / "acted-0.json").read_text())
    (document if "audio" in change else document["turns"][0]).update(change)
    (tmp_path / "acted-0.json").write_text(json.dumps(document))
    with pytest.raises(TrainError, match=r"acted-0\.json: not an acted conversation"):
        read_conversations(tmp_path)


def test_a_table_that_is_no_csv_is_named(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text(f"file,speaker,emotion\n{'a' * 200_000},ravdess-17,joy\n")
    with pytest.raises(TrainError, match=r"index\.csv: not a CSV"):
        read_clips(tmp_path)


def test_a_malformed_conversation_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"no acted-\*.json"):
        read_conversations(tmp_path)
    (tmp_path / "acted-0.json").write_text('{"audio": "a.flac", "turns": [{"speaker": "x"}]}')
    with pytest.raises(TrainError, match=r"acted-0\.json: not an acted conversation"):
        read_conversations(tmp_path)


def test_modalities_that_a_corpus_does_not_have(meld: Path, ravdess: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="meld has no speech"):
        list(read_dialogues("meld", meld, "dev", "speech"))
    with pytest.raises(TrainError, match="acted has no words in"):
        list(read_dialogues("acted", ravdess, "dev", "text"))
    with pytest.raises(TrainError, match=r"neither an index.csv nor acted-\*.json"):
        list(read_dialogues("acted", tmp_path, "dev", "both"))


def test_clips_put_together_take_turns(ravdess: Path) -> None:
    import torch

    turns = [as_turn(clip) for clip in read_clips(ravdess) if split_of(clip.speaker) == "dev"]
    (conversation,) = converse(turns, torch.Generator().manual_seed(0))
    assert [turn.speaker for turn in conversation.turns[:4]] == ["ravdess-17", "ravdess-18"] * 2
    assert len(conversation.turns) == 16
    heard = [hear(turn).waveform for turn in conversation.turns]
    assert all(waveform is not None and len(waveform) < 0.7 * RATE for waveform in heard)
