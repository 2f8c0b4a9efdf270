"""The commands of pre-training: what ``emotrack train`` says of them and what it asks.

Importing this module imports nothing heavy, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from emotrack.errors import EmotrackError, UsageError
from emotrack.tracker.command_line.option_groups import add_options, read_options
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.messages.output import say, show
from emotrack.tracker.messages.plain import unicode
from emotrack.tracker.options import PORTS, Bounds
from emotrack.train.command_line.arguments import (
    EXIT_FAILURE,
    EXIT_USAGE,
    SEED,
    Command,
    add_collapse,
    add_data_and_seeds,
    add_recipe,
    data_of,
    named_path,
    seeds_of,
    weights_path,
)

if TYPE_CHECKING:
    from emotrack.train.pretraining.corpus.work import Engine

PRICE = Bounds(0.0, 1e6)

TRANSCRIBE_EPILOG = """\
audio:
  DIR     every audio file in it, however deep: all that FFmpeg decodes. LibriSpeech and MSP-PODCAST are recognised by
          their layout, which tells the speakers; transcripts that come with a corpus are not read
  LIST    a text file, one path a line, relative to where the list lies

what is written:
  OUT/turns/   a table in Parquet, one row a turn: turn_id, source, source_sha256, start_s, end_s, speaker, text,
               confidence, language, rejected (why words are not believed: then there is no text)

A file is known by its contents, so copies are done once. A run that was killed goes on when the same command is given
again; it loses one batch at most. A file that cannot be decoded, or breaks off, is set aside with its reason and the
run goes on. Turns made with another recogniser, language or cutting are never mixed: they want another --out.

examples:
  emotrack train transcribe --audio LibriSpeech/train-clean-100 --asr large-v3 --language en --out corpus
  emotrack train transcribe --audio talks --asr ./whisper-large-v3-ct2 --out corpus --batch 512
  emotrack train transcribe --audio talks.txt --asr moonshine --out corpus        English, no download
"""


def add_transcribe_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``emotrack train transcribe``."""
    parser.epilog = TRANSCRIBE_EPILOG
    parser.add_argument("--audio", required=True, type=Path, metavar="DIR|LIST", help="what to transcribe")
    parser.add_argument(
        "--asr",
        default="large-v3",
        metavar="NAME|DIR|moonshine|pocketsphinx",
        help="a faster-whisper size (tiny.en, base, large-v3 ...), hub id or CTranslate2 folder (default large-v3)",
    )
    parser.add_argument("--language", metavar="CODE", help="the language spoken (en, de ...); detected when not given")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the corpus")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU if there is one")
    parser.add_argument(
        "--batch",
        type=Bounds(1, 10_000),
        default=64,
        metavar="N",
        help="files in a shard, or as many megabytes if that is fewer: what a killed run loses at most (default 64)",
    )
    add_options(parser.add_argument_group("turns"), SegmenterOptions)
    _add_engine(parser)


def run_transcribe(args: argparse.Namespace) -> int:
    """Run ``emotrack train transcribe`` -> exit code."""
    from emotrack.train.errors import TrainError
    from emotrack.train.pretraining.corpus.transcribe import Manner, transcribe

    try:
        manner = Manner(args.asr, args.language, read_options(args, SegmenterOptions))
        with _engine(args) as run:
            transcribe(args.audio, args.out, manner, args.device, args.batch, run)
    except (TrainError, EmotrackError) as error:
        say(error, "emotrack train transcribe")
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILURE
    return 0


ANNOTATE_EPILOG = """\
what is written:
  OUT/NAME/          the labels of one annotator, a table in Parquet; NAME is the model's, or vader
  OUT/vote-A+B/      of several: what most of them say, ties set aside; how far they agree (agreement.md, .json)
  OUT/answers.sqlite what models have answered, word for word: no question is asked twice

What is done is not done again, so a run that was killed goes on when the same command is given again. A sentence
without a label stays in its table with the reason. To ask again what a server failed to answer, remove OUT/NAME.
The key of a server that wants one is read from OPENAI_API_KEY. Sentences are sent to the servers that --llm names and
nowhere else.

examples:
  emotrack train annotate --corpus corpus --llm http://localhost:8000/v1#meta-llama/Llama-3.1-8B-Instruct --out labels
  emotrack train annotate --corpus corpus --llm https://api.openai.com/v1#gpt-4o-mini --out labels \\
      --price-in 0.15 --price-out 0.60 --estimate
  emotrack train annotate --corpus goemotions=text/goemotions --llm vader --out labels
"""


def add_annotate_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``emotrack train annotate``."""
    parser.epilog = ANNOTATE_EPILOG
    parser.add_argument(
        "--corpus",
        required=True,
        action="append",
        metavar="DIR|NAME=DIR",
        help="what transcribe made, or a text corpus's training sentences without their labels; repeat",
    )
    parser.add_argument(
        "--llm",
        required=True,
        type=unicode,
        action="append",
        metavar="URL#MODEL|vader",
        help="who labels: a model behind an OpenAI-compatible address, or VADER's lexicon; repeat to compare several",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="labels go here")
    parser.add_argument(
        "--concurrency", type=Bounds(1, 1000), default=16, metavar="N", help="requests under way at a time (default 16)"
    )
    parser.add_argument("--price-in", type=PRICE, default=0.0, metavar="USD", help="per million tokens sent")
    parser.add_argument("--price-out", type=PRICE, default=0.0, metavar="USD", help="per million tokens received")
    parser.add_argument("--estimate", action="store_true", help="only say what that costs and how long it takes")
    _add_engine(parser)


def run_annotate(args: argparse.Namespace) -> int:
    """Run ``emotrack train annotate`` -> exit code."""
    from emotrack.train.errors import TrainError
    from emotrack.train.pretraining.annotating.annotate import annotate
    from emotrack.train.pretraining.annotating.estimate import Prices
    from emotrack.train.pretraining.annotating.makers import makers_of

    try:
        makers = makers_of(args.llm, args.out, args.concurrency)
    except ValueError as error:
        say(error, "emotrack train annotate")
        return EXIT_USAGE
    try:
        with _engine(args) as run:
            annotate(args.corpus, makers, args.out, Prices(args.price_in, args.price_out), args.estimate, run)
    except (TrainError, UsageError, OSError) as error:
        say(error, "emotrack train annotate")
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILURE
    return 0


PRETRAIN_EPILOG = """\
what is written:
  OUT/encoder/     the text encoder, its scores on held-out labels and a card; Stage I begins with it:
                   emotrack train all --recipe RECIPE --data encoder=OUT/encoder ...
  OUT/*.jsonl      a line an epoch; emotrack train plot draws them

A recipe with a small BERT (mini) needs --data encoder=DIR, the weights to begin with. One that names an encoder of the
hub (merits-l) begins with that, or with --data encoder=DIR in its place. A run that was killed goes on where it was
when the same command is given again. With several seeds, each run lies in OUT/seed-N.

examples:
  emotrack train pretrain --corpus labels/vader --recipe mini --data encoder=all-MiniLM-L6-v2 --out pretrained
  torchrun --nproc-per-node 4 --local-ranks-filter 0 --no-python \\
      emotrack train pretrain --corpus labels/gpt-4o-mini --recipe merits-l --out pretrained
"""


def add_pretrain_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``emotrack train pretrain``."""
    parser.epilog = PRETRAIN_EPILOG
    parser.add_argument("--corpus", required=True, type=Path, metavar="DIR", help="one annotator's labels")
    add_recipe(parser)
    add_data_and_seeds(parser)
    add_collapse(parser)


def run_pretrain(args: argparse.Namespace) -> int:
    """Run ``emotrack train pretrain`` -> exit code."""
    from emotrack.models.hub import HubError
    from emotrack.train.errors import TrainError
    from emotrack.train.learning.collapse import collapse_accepted
    from emotrack.train.learning.seeds import train_with
    from emotrack.train.pretraining.encoders.text import run_pretraining
    from emotrack.train.recipes.recipe import load_recipe, misnamed
    from emotrack.train.running.ranks import joined, rank, wait

    try:
        recipe, data = load_recipe(args.recipe, args.set), data_of(args)
        if complaint := misnamed(data, recipe, recipe.needs_for_encoder):
            say(complaint, "emotrack train pretrain")
            return EXIT_USAGE

        def pretrain(out: Path, seed: int) -> Path:
            made = run_pretraining(recipe, args.corpus, data, out, seed)
            wait()  # for rank 0 to have written it
            if rank() == 0:
                show(f"pretrain: {made}")
            return made

        with joined(), collapse_accepted(accept=args.accept_collapse):
            whole = train_with(seeds_of(args), args.out, pretrain, "emotrack train pretrain")
    except (TrainError, HubError, OSError) as error:
        say(error, "emotrack train pretrain")
        return EXIT_FAILURE
    return 0 if whole else EXIT_FAILURE


CARE_EPILOG = """\
The recipe's CARE (arXiv 2409.05566) learns from 5-s stretches of turns what their words mean, as a frozen text encoder
puts it, and how their frames sound. Speakers, or recordings where nobody knows who speaks, are held out as a whole; the
epoch that predicts most of them is kept.

data:
  encoder    folder of a small BERT in the Hugging Face layout, where the recipe does not name a RoBERTa

what is written:
  OUT/care/                 what stage 1 begins with: emotrack train stage1 --data care=OUT/care ...
  OUT/care.jsonl            a line an epoch; `emotrack train plot OUT` draws it
  OUT/meanings.safetensors  what the text encoder makes of every text

A run that was killed goes on where it was when the same command is given again.

examples:
  emotrack train care --corpus corpus --audio podcasts --recipe merits-l --out runs/care
  emotrack train care --corpus corpus --audio podcasts --recipe mini-care --data encoder=all-MiniLM-L6-v2 --out care
  torchrun --nproc-per-node 4 --local-ranks-filter 0 --no-python \\
      emotrack train care --corpus corpus --audio podcasts --recipe merits-l --out runs/care
"""


def add_care_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``emotrack train care``."""
    parser.epilog = CARE_EPILOG
    parser.add_argument("--corpus", required=True, type=Path, metavar="DIR", help="what transcribe made")
    parser.add_argument("--audio", required=True, type=Path, metavar="DIR|LIST", help="what was transcribed")
    add_recipe(parser)
    parser.add_argument("--seed", type=SEED, default=0, metavar="N", help="of everything random (default 0)")
    add_collapse(parser)
    parser.add_argument(
        "--data", action="append", default=[], type=named_path, metavar="NAME=PATH", help="the text encoder; see below"
    )
    parser.add_argument("--out", required=True, type=weights_path, metavar="DIR", help="what is made goes here")


def run_care(args: argparse.Namespace) -> int:
    """Run ``emotrack train care`` -> exit code."""
    from emotrack.models.hub import HubError
    from emotrack.train.errors import TrainError
    from emotrack.train.learning.collapse import collapse_accepted
    from emotrack.train.pretraining.encoders.care import train_care
    from emotrack.train.recipes.recipe import ActedSpeechRecipe, load_recipe, misnamed
    from emotrack.train.running.ranks import joined, rank

    try:
        recipe, data = load_recipe(args.recipe, args.set), data_of(args)
        if complaint := misnamed(data, recipe, ["encoder"] if isinstance(recipe.speech, ActedSpeechRecipe) else []):
            say(complaint, "emotrack train care")
            return EXIT_USAGE
        with joined(), collapse_accepted(accept=args.accept_collapse):
            made = train_care(recipe, args.corpus, args.audio, data, args.out, args.seed)
            if rank() == 0:
                show(f"care: {made}")
    except (TrainError, HubError, OSError) as error:
        say(error, "emotrack train care")
        return EXIT_FAILURE
    return 0


def _add_engine(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("many machines")
    group.add_argument(
        "--engine",
        choices=("plain", "ray"),
        default="plain",
        help="plain: one batch after the other (default); ray: many at a time, whose workers find the data by its path",
    )
    group.add_argument(
        "--address", type=_host_and_port, metavar="HOST:PORT", help="a Ray cluster (default: one on this machine)"
    )


@contextmanager
def _engine(args: argparse.Namespace) -> Iterator[Engine]:
    """What does the work. Raises ``TrainError``, ``UsageError``."""
    if args.engine == "plain":
        from emotrack.train.pretraining.corpus.work import run_plainly

        if args.address:
            raise UsageError("--address goes with --engine ray")
        yield run_plainly
    else:
        from emotrack.train.pretraining.corpus.on_ray import connected, run_on_ray

        with connected(args.address):
            yield run_on_ray


def _host_and_port(argument: str) -> str:
    host, _, port = argument.rpartition(":")
    if not host:
        raise argparse.ArgumentTypeError(f"{argument!r} is not HOST:PORT")
    PORTS(port)
    return argument


COMMANDS: dict[str, Command] = {
    "transcribe": Command(
        "cut speech into turns and recognise their words -> OUT",
        add_transcribe_arguments,
        run_transcribe,
    ),
    "annotate": Command(
        "label sentences positive, negative or neutral, by language models or a lexicon -> OUT",
        add_annotate_arguments,
        run_annotate,
    ),
    "pretrain": Command(
        "train a recipe's text encoder on silver labels, for Stage I to begin with -> OUT/encoder",
        add_pretrain_arguments,
        run_pretrain,
    ),
    "care": Command(
        "train a recipe's CARE on speech and its transcripts, for Stage I to begin with -> OUT/care",
        add_care_arguments,
        run_care,
    ),
}
