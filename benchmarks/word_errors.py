"""How many words recognisers get wrong, in recordings of your own.

    python -m benchmarks.word_errors FOLDER|FILE.wav ...

A folder holds ``transcripts.csv`` (``file|text``) and the recordings that it names; beside a recording lies its
transcript in NIST's format, ``FILE.stm``. Prints the rate of wrong words (put in, left out or exchanged, in hundredths
of what was said) with Moonshine tiny and Whisper tiny.en and base, over all recordings of an argument. They hear the
turns that the tracker cuts, and what its gates reject counts as left out.
"""

from __future__ import annotations

import argparse
import csv
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.speech import mono
from benchmarks.whisper import SIZES, whisper
from emotrack.tracker.hearing.listener import Listener
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.understanding.recognisers import Recogniser
from emotrack.tracker.understanding.recognisers.faster_whisper import FasterWhisper
from emotrack.tracker.understanding.recognisers.moonshine import Moonshine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="+", type=Path, metavar="FOLDER|FILE.wav")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as workspace:
        known = dict(recognisers(Path(workspace)))
        print(f"| | words | {' | '.join(known)} |\n|---|---|{'---|' * len(known)}")
        for path in arguments.recordings:
            said = list(transcripts(path))
            spoken = sum(len(words(text)) for _, text in said)
            wrong = [
                sum(errors(words(text), words(heard(recogniser, recording))) for recording, text in said)
                for recogniser in known.values()
            ]
            rates = " | ".join(f"{count / spoken:.3f} ({count})" for count in wrong)
            print(f"| {path.name} | {spoken} | {rates} |", flush=True)


def recognisers(workspace: Path) -> Iterator[tuple[str, Recogniser]]:
    """Those whose real weights are here."""
    yield "Moonshine tiny", Moonshine(1)
    for size in SIZES:
        model = whisper(size, workspace)
        if model.is_real:
            yield f"Whisper {size}", FasterWhisper(str(model.folder), "cpu", 1, "en")


def transcripts(path: Path) -> Iterator[tuple[Path, str]]:
    """Each recording with what is said in it."""
    if path.is_dir():
        with (path / "transcripts.csv").open(encoding="utf-8", newline="") as table:
            for row in csv.DictReader(table, delimiter="|", quoting=csv.QUOTE_NONE):
                yield path / row["file"], row["text"]
    else:
        lines = path.with_suffix(".stm").read_text(encoding="utf-8").splitlines()
        # file, channel, speaker, start, end, words; ;; begins a comment
        yield path, " ".join(line.split(maxsplit=5)[5] for line in lines if line.strip() and not line.startswith(";;"))


def heard(recogniser: Recogniser, recording: Path) -> str:
    """The words of all turns of a recording."""
    listener = Listener(0, SegmenterOptions())
    turns = listener.push(mono(recording), 0) + listener.flush()
    return " ".join(recogniser.transcribe(turn).text or "" for turn in turns)


def words(text: str) -> list[str]:
    """What counts of a text: its words, without case and punctuation."""
    return re.findall(r"[\w']+", text.casefold())


def errors(said: Sequence[str], found: Sequence[str]) -> int:
    """The fewest words to put in, leave out or exchange that make ``found`` of what was ``said``."""
    row = list(range(len(found) + 1))
    for place, word in enumerate(said, start=1):
        above = row
        row = [place]
        for column, other in enumerate(found, start=1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (word != other)))
    return row[-1]


if __name__ == "__main__":
    main()
