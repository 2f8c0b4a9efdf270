"""The command ``emotrack evaluate``.

Importing this module imports nothing heavy, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from emotrack.errors import UsageError
from emotrack.tracker.messages.output import say, show
from emotrack.train.command_line.arguments import EXIT_FAILURE, EXIT_USAGE, add_seeds, seeds_of
from emotrack.train.command_line.evaluation_tables import MODALITIES, document, show_evaluation, titles

if TYPE_CHECKING:
    from emotrack.models.network import EmotionNetwork
    from emotrack.train.corpora import Corpus
    from emotrack.train.evaluation.evaluate import Evaluation

EVALUATE_EPILOG = """\
corpora, in their official layouts:
  meld         words; voice too where the folders with its clips lie beside the tables
  iemocap      voice and words, 4 labels; iemocap-6: 6 labels; session 5 is test, 1 dev
  iemocap-fold-N, iemocap-6-fold-N   the same, of which session N is test (1 to 5) and the next one dev
  mosi         voice and words; negative or positive, so for a bundle that was trained on it; mosi-7: -3 to 3
  emorynlp, goemotions   words
  acted        a folder with index.csv: clips, by voice; or a folder of several such;
               or a folder with acted-*.json: conversations, voice and captions
  Acted speakers are split by name, never by clip:
    train      ravdess-01 to -16, tess-OAF -YAF, nemo-EB0 -IC0 -KD0 -KS0 -MK0 -SM0, emodb-03 -08 -09 -11 -12 -13 -14
    dev        ravdess-17 to -20, nemo-MP0, emodb-10; of URDU's talk shows (natural speech, none of it for training)
               urdu-SF3 -SF5 -SF6 -SF7 -SM1 -SM2 -SM5 -SM6 -SM17 -SM18 -SM19 -SM25 -SM26 -SM27
    test       everybody else
A label that the bundle calls otherwise is translated; one that it has no counterpart of is left out, and that is said.
With --labels joy=excitement anger=anger,frustration turns with these labels of the corpus count as the bundle's; labels
that are not named count as they do without it.
Where turns of several corpora, genders or languages are known (columns gender and language of index.csv), there are
scores of each.

On mosi and mosi-7 there are the figures of papers on CMU-MOSI, too. The sentiment of a turn is the mean of -3 to 3 by
the bundle's probabilities. Two labels tell the direction alone, so for them there is neither MAE nor Acc-7. Acc-2 and
its weighted F1 are given with the turns that are 0, which count as positive, and without them.

recognised words (--transcripts FILE.csv, with the columns split, dialogue, turn, text and recogniser):
  What FILE says is read in the place of the corpus's own words; a turn that it lacks has none. With --asr, turns with a
  voice that FILE lacks are recognised first and added to it, so that none is recognised twice; words that would not be
  believed live are left out. Words alone are scored on the turns that have any, so compare voice and words.

missing words and voices (--missing DIR):
  Of the turns that have both, a share from 0 to 100 % lacks its words, then its voice. Which turns, --seed draws,
  five times (0 to 4) by default. DIR/missing.csv has every draw, missing.md mean and spread, missing.svg a drawing.
  Every share is an evaluation of its own: on thousands of turns it takes an hour online, minutes offline.

sessions of clips (--session): clips in an order drawn by --seed, scored as live, each from what came before it.
  clip       each by itself
  speaker    the clips of each speaker are a session of one known speaker
  corpus     the clips of each folder are a session whose speakers are not known
Clips that follow one another by chance are no conversation, and the context network would take them for one: so none of
them is in the window of another, which would cost `mini` 3 points of UAR on RAVDESS. What a session keeps of a voice
beyond the window goes on from clip to clip.

examples:
  emotrack evaluate --bundle mini --corpus meld --data text/meld --split dev
  emotrack evaluate --bundle mini --corpus meld --data text/meld --mode offline --json
  emotrack evaluate --bundle runs/mini/bundle --corpus acted --data conversations --modalities speech
  emotrack evaluate --corpus acted --data speech --session speaker --seed 0 1 2
  emotrack evaluate --corpus meld --data text/meld --split test --predictions mini.csv   (emotrack train significance)
  emotrack evaluate --corpus iemocap-6 --data IEMOCAP --labels anger=anger,frustration
  emotrack evaluate --corpus iemocap --data IEMOCAP --mode offline --missing without
  emotrack evaluate --corpus iemocap --data IEMOCAP --asr moonshine --transcripts moonshine.csv
"""

FOLDS = tuple(f"{name}-fold-{number}" for name in ("iemocap", "iemocap-6") for number in range(1, 6))
CORPORA = ("meld", "iemocap", "iemocap-6", "mosi", "mosi-7", "emorynlp", "goemotions", *FOLDS, "acted")


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``emotrack evaluate``."""
    parser.epilog = EVALUATE_EPILOG
    parser.add_argument("--bundle", default="mini", metavar="NAME|DIR", help="what to evaluate (default mini)")
    parser.add_argument("--corpus", required=True, choices=CORPORA, metavar="NAME", help="one of those below")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="where the corpus lies")
    parser.add_argument(
        "--features", type=Path, metavar="DIR", help="embeddings of its turns, for a bundle that was trained on such"
    )
    parser.add_argument(
        "--transcripts", type=Path, metavar="FILE.csv", help="words that are read in the place of the corpus's own"
    )
    parser.add_argument(
        "--asr",
        metavar="moonshine|NAME_OR_PATH|pocketsphinx",
        help="recognise the turns that --transcripts lacks: moonshine (English, installed), or a faster-whisper size, "
        "hub id or CTranslate2 folder",
    )
    parser.add_argument("--language", metavar="CODE", help="that --asr hears (en, de ...); detected when not given")
    parser.add_argument("--split", choices=("train", "dev", "test"), default="dev")
    parser.add_argument(
        "--labels",
        nargs="+",
        action="extend",
        default=[],
        type=label_and_sources,
        metavar="LABEL=OTHER[,OTHER...]",
        help="a label of the bundle, and those of the corpus that count as it",
    )
    parser.add_argument(
        "--mode",
        choices=("online", "offline"),
        default="online",
        help="online: each turn from the past alone (default); offline: each turn sees the whole dialogue",
    )
    parser.add_argument(
        "--modalities", choices=tuple(MODALITIES), help="score only this (default: all that the corpus has)"
    )
    parser.add_argument(
        "--session",
        choices=("clip", "speaker", "corpus"),
        default="clip",
        help="which clips of acted speech are one session (default clip: each by itself)",
    )
    add_seeds(parser)
    parser.add_argument(
        "--predictions",
        type=Path,
        metavar="FILE",
        help="also write every turn's truth and probabilities, as CSV or Parquet by its ending (.csv, .parquet)",
    )
    parser.add_argument(
        "--drawings",
        type=Path,
        metavar="DIR",
        help="also draw, for each modality, its confusions and how reliable its confidence is (SVG)",
    )
    parser.add_argument(
        "--missing",
        type=Path,
        metavar="DIR",
        help="also score it with ever more turns that lack their words or their voice, and write table and drawing",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")


def label_and_sources(argument: str) -> tuple[str, tuple[str, ...]]:
    """``LABEL=OTHER[,OTHER...]``, of an argument."""
    label, separator, sources = argument.partition("=")
    if not (label and separator and all(sources.split(","))):
        raise argparse.ArgumentTypeError(f"{argument!r} is not LABEL=OTHER[,OTHER...]")
    return label, tuple(sources.split(","))


def run_evaluate(args: argparse.Namespace) -> int:
    """Run ``emotrack evaluate`` -> exit code."""
    import torch

    from emotrack.models.bundle import BundleError, load_bundle
    from emotrack.tracker.errors import RecogniserError
    from emotrack.train.errors import TrainError
    from emotrack.train.evaluation.drawn_sessions import evaluate_drawn_sessions
    from emotrack.train.evaluation.evaluate import standing_for
    from emotrack.train.evaluation.predictions import check_place
    from emotrack.train.running.ranks import training_device

    if complaint := _complaint(args):
        say(complaint, "emotrack evaluate")
        return EXIT_USAGE
    torch.set_num_threads(1)  # a turn at a time: more threads only wait for each other
    try:
        if args.predictions:
            check_place(args.predictions)
        network = load_bundle(args.bundle, str(training_device()))
        network.store_in_half()  # as it is tracked with
        corpus = _corpus(args)
        if args.labels:
            network.config = standing_for(network.config, corpus, dict(args.labels))
        if args.session == "clip":
            found = {0: _evaluate(network, corpus, args)}
        else:
            found = evaluate_drawn_sessions(network, corpus, args.session, seeds_of(args), args.modalities)
    except (TrainError, BundleError, RecogniserError, UsageError, OSError) as error:
        say(error, "emotrack evaluate")
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILURE
    asked = {
        "bundle": network.name,
        "fingerprint": network.fingerprint,
        "corpus": args.corpus,
        "split": args.split,
        "mode": args.mode,
    }
    if corpus.words:
        asked |= {"words": corpus.words}
    if args.labels:
        asked |= {"counted": ", ".join(f"{' and '.join(sources)} as {label}" for label, sources in args.labels)}
    if args.session != "clip":
        asked |= {"session": args.session, "seed": ", ".join(map(str, found))}
    if args.json:
        show(json.dumps(asked | document(found)))
    else:
        show_evaluation(asked, list(found.values()), titles(corpus.words))
    return 0


def _corpus(args: argparse.Namespace) -> Corpus:
    """What is scored, with the embeddings and the words that were asked for. Raises as its parts do."""
    from emotrack.train.data.dialogues import read_corpus
    from emotrack.train.data.given import with_given
    from emotrack.train.data.transcripts import recognise, with_transcripts

    corpus = read_corpus(args.corpus, args.data, args.split)
    if args.features:
        corpus = with_given(corpus, args.features, args.split)
    if args.asr:
        recognise(corpus, args.split, args.transcripts, args.asr, args.language)
    return with_transcripts(corpus, args.split, args.transcripts) if args.transcripts else corpus


def _evaluate(network: EmotionNetwork, corpus: Corpus, args: argparse.Namespace) -> Evaluation:
    """Score a corpus as it is, and write what was asked for. Raises as its parts do."""
    from emotrack.train.evaluation.evaluate import encode_corpus, modalities_of, scored
    from emotrack.train.evaluation.missing import DRAWS, sweep
    from emotrack.train.evaluation.predictions import write_predictions
    from emotrack.train.figures.missing_chart import write_missing

    present = modalities_of(corpus, args.modalities)
    if args.missing and "both" not in present:
        raise UsageError(f"--missing: of {corpus.name} there is nothing with voice and words that could lack either")
    encoded = encode_corpus(network, corpus, args.modalities)
    found = scored(network, corpus, encoded, present, args.mode)
    title = f"{network.name}, {args.corpus}, {args.split}, {args.mode}"
    if args.predictions:
        of = {"corpus": args.corpus, "split": args.split, "mode": args.mode, "words": corpus.words or "corpus"}
        write_predictions(found.predictions.items(), of, args.predictions)
    if args.drawings:
        _draw(found, titles(corpus.words), title, args.drawings)
    if args.missing:
        draws = seeds_of(args) if args.seed else range(DRAWS)
        write_missing(title, list(sweep(network, encoded, args.mode, draws)), args.missing)
    return found


def _draw(found: Evaluation, titles: Mapping[str, str], title: str, folder: Path) -> None:
    from emotrack.train.figures.drawings import draw_confusions, draw_reliability

    folder.mkdir(parents=True, exist_ok=True)
    for modality, scores in found.scores.items():
        name = f"{title}, {titles[modality]}"
        draw_confusions(name, scores, folder / f"confusions-{modality}.svg")
        draw_reliability(name, found.predictions[modality], scores.ece, folder / f"reliability-{modality}.svg")


def _complaint(args: argparse.Namespace) -> str | None:
    """What does not go together in the command line, or cannot be written to."""
    for option, folder in (("--drawings", args.drawings), ("--missing", args.missing)):
        if folder and folder.exists() and not folder.is_dir():
            return f"{option} {folder}: is no folder"
    if complaint := _complaint_of_words(args):
        return complaint
    if args.session == "clip":
        drawn = args.missing or not args.seed
        return None if drawn else "--seed is for --missing, and --session speaker and corpus, which are drawn"
    if args.predictions or args.drawings or args.missing:
        return f"--predictions, --drawings and --missing are for --session clip, not {args.session}"
    if args.corpus != "acted":
        return f"--session {args.session} is for --corpus acted"
    return f"--session {args.session} is scored online" if args.mode == "offline" else None


def _complaint_of_words(args: argparse.Namespace) -> str | None:
    if args.asr and not args.transcripts:
        return "--asr wants --transcripts FILE.csv, where what it recognises is kept"
    if args.language and not args.asr:
        return "--language is of what --asr hears"
    if args.transcripts and not args.transcripts.resolve().parent.is_dir():
        return f"--transcripts {args.transcripts}: its folder is not there"
    return None
