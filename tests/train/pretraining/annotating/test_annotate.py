"""The command, from turns or sentences on disk to tables of labels, with VADER and with a real server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from emotrack.command_line import main
from emotrack.train.pretraining.annotating.vader import Vader
from emotrack.train.pretraining.corpus.rows import LabelRow, TurnRow
from emotrack.train.pretraining.corpus.sentences import ROWS, read_stretches
from emotrack.train.pretraining.corpus.table import Answer, Table
from tests.train.pretraining.llm_server import LlmServer

WORDS = ("good", "bad", "plain")


def annotate(*words: str) -> int:
    return main(["train", "annotate", *words])


def corpus_of(folder: Path, *shards: list[str | None]) -> Path:
    """What transcribe would have made of speech with these words."""
    table: Table[TurnRow] = Table(folder / "turns", TurnRow, "a recogniser")
    for number, texts in enumerate(shards):
        rows = [
            TurnRow(f"{number}-{row}", "a.flac", "0" * 64, row, row + 1.0, None, text, 0.9, "en", None)
            for row, text in enumerate(texts)
        ]
        table.write([Answer(f"file {number}", rows)])
    return folder


def labels_in(folder: Path) -> dict[str, str | None]:
    """turn_id -> label, or why there is none."""
    rows = list(Table(folder, LabelRow).rows())
    assert len({row.turn_id for row in rows}) == len(rows)
    assert all((row.label is None) != (row.set_aside is None) for row in rows)
    return {row.turn_id: row.label or row.set_aside for row in rows}


def test_turns_by_vader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = corpus_of(tmp_path / "corpus", ["I love this!", None, "I hate this."], ["  ", "It is a table."])
    out = tmp_path / "labels"
    assert annotate("--corpus", str(corpus), "--llm", "vader", "--out", str(out)) == 0
    assert labels_in(out / "vader") == {"0-0": "positive", "0-2": "negative", "1-1": "neutral"}
    assert {row.annotator for row in Table(out / "vader", LabelRow).rows()} == {"vader"}
    printed = capsys.readouterr()
    assert "| vader | 3 | 1 (33.3%) | 1 (33.3%) | 1 (33.3%) | 0 |" in printed.out
    assert "vader: 5 of 5 rows to do" in printed.err
    assert not (out / "answers.sqlite").exists()


def test_what_is_done_is_not_done_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = corpus_of(tmp_path / "corpus", ["I love this!"])
    command = ["--corpus", str(corpus), "--llm", "vader", "--out", str(tmp_path / "labels")]
    assert annotate(*command) == 0
    corpus_of(corpus, ["I love this!"], ["I hate this."])  # more speech has come
    judged: list[str] = []
    really = Vader.judge
    monkeypatch.setattr(Vader, "judge", lambda self, texts: judged.extend(texts) or really(self, texts))
    assert annotate(*command) == 0
    assert judged == ["I hate this."]
    assert labels_in(tmp_path / "labels/vader") == {"0-0": "positive", "1-0": "negative"}
    assert "vader: 1 of 2 rows to do" in capsys.readouterr().err


def test_a_large_shard_is_read_in_stretches(tmp_path: Path) -> None:
    texts: list[str | None] = [None if row % 7 == 0 else f"sentence {row}" for row in range(2 * ROWS + 10)]
    stretches = list(read_stretches([str(corpus_of(tmp_path, texts))]))
    assert [stretch.size for stretch in stretches] == [ROWS, ROWS, 10]
    found = [sentence for stretch in stretches for sentence in stretch.read()]
    assert [(sentence.turn_id, sentence.text) for sentence in found] == [
        (f"0-{row}", text) for row, text in enumerate(texts) if text is not None
    ]
    assert len({stretch.key for stretch in stretches}) == 3


def test_turns_that_were_made_otherwise_are_others(tmp_path: Path) -> None:
    one = corpus_of(tmp_path / "one", ["hello"])
    row = TurnRow("0-0", "a.flac", "0" * 64, 0.0, 1.0, None, "yellow", 0.9, "en", None)
    Table(tmp_path / "other/turns", TurnRow, "another recogniser").write([Answer("file 0", [row])])
    keys = [stretch.key for corpus in (one, tmp_path / "other") for stretch in read_stretches([str(corpus)])]
    assert len(set(keys)) == 2


def test_text_corpora_with_their_labels_hidden(goemotions: Path, meld: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels"
    corpora = ["--corpus", f"goemotions={goemotions}", "--corpus", f"meld={meld}"]
    assert annotate(*corpora, "--llm", "vader", "--out", str(out)) == 0
    rows = list(Table(out / "vader", LabelRow).rows())
    assert len({row.turn_id for row in rows}) == len(rows) == 43 + 84  # a sentence counts as often as it is said
    assert Counter(row.label for row in rows if row.text == "i am so happy") == {"positive": 18}


def test_several_annotators(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = corpus_of(tmp_path / "corpus", ["good", "bad", "plain", "refused", "a bad joke, good fun"])
    out = tmp_path / "labels"
    with LlmServer() as server:
        models = [f"{server.url}#lab/model-a", f"{server.url}#lab/model-b"]
        command = ["--corpus", str(corpus), *(word for model in models for word in ("--llm", model)), "--llm", "vader"]
        assert annotate(*command, "--out", str(out)) == 0
        assert len(server.requests) == 10  # neither takes the other's answers
        assert annotate(*command, "--out", str(out)) == 0
        assert len(server.requests) == 10
    one, other, vader, vote = (
        labels_in(out / name) for name in ("lab-model-a", "lab-model-b", "vader", "vote-lab-model-a+lab-model-b+vader")
    )
    assert (
        one
        == other
        == {
            "0-0": "positive",
            "0-1": "negative",
            "0-2": "neutral",
            "0-3": "refused",
            "0-4": "positive",
        }
    )
    assert vote == one | {"0-3": vader["0-3"]}
    found = json.loads((out / "vote-lab-model-a+lab-model-b+vader/agreement.json").read_text())
    assert found["all"]["sentences"] == 4
    assert found["pairs"][0] == {"annotators": ["lab/model-a", "lab/model-b"], "sentences": 4, "cohen_kappa": 1.0}
    printed = capsys.readouterr().out
    assert "| lab/model-a, lab/model-b | 4 | Cohen's | 1.000 |" in printed
    assert "| lab/model-a | 5 | 2 (40.0%) | 1 (20.0%) | 1 (20.0%) | 1 refused |" in printed


def test_an_estimate_asks_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts: list[str | None] = [f"sentence {row}" for row in range(96)]
    corpus = corpus_of(tmp_path / "corpus", [*texts, "sentence 1", None])
    prices = ["--price-in", "10", "--price-out", "100"]
    with LlmServer() as server:
        command = ["--corpus", str(corpus), "--llm", f"{server.url}#toy", "--out", str(tmp_path / "labels"), *prices]
        assert annotate(*command, "--estimate") == 0
        assert not server.requests
        assert not (tmp_path / "labels").exists()
        said = capsys.readouterr().err
        assert "toy: 98 of 98 rows to do, 96 questions (no text twice)" in said
        sent = (96 * 183 + 10 * 10 + 86 * 11) // 4  # characters of the prompt, and of the sentences
        assert f"about {sent:,} tokens sent and 960 received, ${(sent * 10 + 960 * 100) / 1e6:.2f}" in said
        assert "toy: about 6 s, if an answer takes 1 s, 16 at a time" in said
        assert annotate(*command) == 0
        assert re.search(r"about \d+ s, as the first answers took [\d.]+ s, 16 at a time", capsys.readouterr().err)
        assert set(server.asked.values()) == {1}
        assert annotate(*command, "--estimate") == 0
        assert "toy: 0 of 98 rows to do\n" in capsys.readouterr().err


def test_killed_and_given_again(tmp_path: Path) -> None:
    """No row is lost, and no question asked twice, save those that were under way."""
    concurrency = 3
    texts: list[str | None] = [f"number {row} is {WORDS[row % 3]}" for row in range(200)]
    corpus, out = corpus_of(tmp_path / "corpus", texts), tmp_path / "labels"
    with LlmServer(delay_s=0.002) as server:
        words = ["train", "annotate", "--corpus", corpus, "--llm", f"{server.url}#toy", "--out", out]
        command = [sys.executable, "-m", "emotrack.command_line", *map(str, words), "--concurrency", str(concurrency)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while len(server.requests) < 60:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not list(out.glob("toy/*.parquet"))
        assert len(server.asked) < len(texts)
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        asked = server.asked
        assert len(asked) == len(texts)
        assert asked.total() - len(texts) <= concurrency
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        assert asked.total() - len(texts) <= concurrency
    expected = [("positive", "negative", "neutral")[row % 3] for row in range(len(texts))]
    assert labels_in(out / "toy") == {f"0-{row}": label for row, label in enumerate(expected)}


def test_a_server_that_cannot_be_reached_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = corpus_of(tmp_path / "corpus", ["good"])
    with LlmServer() as server:
        url = server.url
    assert annotate("--corpus", str(corpus), "--llm", f"{url}#toy", "--out", str(tmp_path / "labels")) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"emotrack train annotate: toy at {url}: stopped: cannot be reached"
    assert not (tmp_path / "labels/toy").exists()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["gpt-4o"], "'gpt-4o' is neither vader nor URL#MODEL"),
        (["http://localhost:8000/v1"], "is neither vader nor URL#MODEL"),
        (["http://localhost:8000/v1#.."], "is neither vader nor URL#MODEL"),
        (["ftp://localhost/v1#toy"], "is neither vader nor URL#MODEL"),
        (["http://localhost:99999/v1#toy"], "Port out of range"),
        (["vader", "vader"], "--llm names vader twice"),
        (["http://localhost/v1#a/b", "http://localhost/v1#a-b"], "--llm names a-b twice"),
    ],
)
def test_an_annotator_that_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str], message: str
) -> None:
    words = [word for name in names for word in ("--llm", name)]
    assert annotate("--corpus", str(tmp_path), *words, "--out", str(tmp_path / "labels")) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--price-in", "-1"), ("--price-out", "x"), ("--concurrency", "0")])
def test_an_option_that_is_none(tmp_path: Path, option: tuple[str, str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        annotate("--corpus", str(tmp_path), "--llm", "vader", "--out", str(tmp_path), *option)


def test_corpora_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--llm", "vader", "--out", str(tmp_path / "labels")]
    assert annotate("--corpus", str(tmp_path / "nowhere"), *command) == 1
    assert "nowhere/turns: no turns there; `emotrack train transcribe" in capsys.readouterr().err
    assert annotate("--corpus", f"goemotions={tmp_path}", *command) == 1
    assert "labels.txt: No such file" in capsys.readouterr().err
    corpus = corpus_of(tmp_path / "corpus", ["I love this!"] * 1000)
    (shard,) = (corpus / "turns").iterdir()
    shard.write_bytes(b"PAR1" + b"\0" * 40 + shard.read_bytes()[44:])  # the footer is whole, the rows are not
    assert annotate("--corpus", str(corpus), *command) == 1
    assert f"{shard} cannot be read, remove it to make it anew" in capsys.readouterr().err


def test_labels_of_another_annotator_of_the_same_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, out = corpus_of(tmp_path / "corpus", ["good"]), tmp_path / "labels"
    Table(out / "vader", LabelRow, "vader 1.0").write([Answer("key", [])])
    assert annotate("--corpus", str(corpus), "--llm", "vader", "--out", str(out)) == 1
    assert "its rows were made by vader 1.0, not vader 3" in capsys.readouterr().err


def test_nothing_heavy_is_loaded_for_vader(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "corpus", ["good"])
    words = ["train", "annotate", "--corpus", str(corpus), "--llm", "vader", "--out", str(tmp_path / "labels")]
    program = f"import sys; from emotrack.command_line import main; main({words}); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=os.environ)
    assert not {"torch", "openai", "transformers"} & set(done.stdout.split())


def test_a_run_without_one_label_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, out = corpus_of(tmp_path / "corpus", ["chatty", "torn", "chatty too"]), tmp_path / "labels"
    with LlmServer() as server:
        asked = ("--corpus", str(corpus), "--llm", f"{server.url}#toy", "--out", str(out))
        for _ in range(2):  # also where there is nothing left to do
            assert annotate(*asked) == 1
            printed = capsys.readouterr()
            reasons = "2 no label in the answer, 1 several labels in the answer"
            line = f"emotrack train annotate: toy: not one label ({reasons}); to ask again, remove {out / 'toy'}"
            assert printed.err.splitlines()[-1] == line
            assert str(out / "toy") in printed.out
        assert annotate(*asked, "--llm", "vader") == 1  # not hidden by another's labels
    assert labels_in(out / "vader")
    nothing = corpus_of(tmp_path / "nothing", [None])
    assert annotate("--corpus", str(nothing), "--llm", "vader", "--out", str(tmp_path / "none")) == 1
    assert "vader: not one label (there is no sentence)" in capsys.readouterr().err
