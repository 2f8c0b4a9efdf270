"""The paper's tables for any recipes: every stage and modality, online and offline, over seeds.

    words, stage I       an utterance by itself
    words, stage II      among its neighbours
    voice, stage I, II   the same
    stage III            voice and words together, or what of them the corpus has
    words (ASR)          the same where a recogniser's words are read in the place of the corpus's

A recipe's runs lie where Figure 4 has them, so both share what is trained. Beside a run lie its scores and the
predictions of every turn, which ``emotrack train significance`` compares; both are made anew when its bundle or its
corpus has changed.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from emotrack.models.bundle import load_bundle
from emotrack.models.files import whole_file, write_files
from emotrack.models.network import EmotionNetwork
from emotrack.tracker.messages.output import say, show
from emotrack.train.corpora import Corpus
from emotrack.train.data.given import read_with_given
from emotrack.train.data.transcripts import recognise, with_transcripts
from emotrack.train.errors import DivergedError, TrainError
from emotrack.train.evaluation.evaluate import EncodedTurn, Mode, encode_corpus, modalities_of, reread, scored
from emotrack.train.evaluation.missing import MissingScore, sweep
from emotrack.train.evaluation.predictions import write_predictions
from emotrack.train.evaluation.sentiment import SENTIMENT_METRICS
from emotrack.train.figures.missing_chart import write_missing
from emotrack.train.figures.runs import HEARD, STAGED, STAGES, finish_side_by_side, finished, run_folder
from emotrack.train.figures.table_text import TableCell, TableOptions, Transcripts, latex, markdown
from emotrack.train.recipes.recipe import Recipe
from emotrack.train.running.files import write_json
from emotrack.train.running.provenance import addresses
from emotrack.train.running.ranks import rank, training_device, wait
from emotrack.train.running.results import METRICS, collapses

FOLDERS = {"I": "stage1", "II": "stage2", "III": "bundle"}
MODES: tuple[Mode, ...] = ("online", "offline")

Encoded = Sequence[Sequence[EncodedTurn]]


def cells(recipes: Sequence[Recipe], data: dict[str, Path], out: Path, options: TableOptions) -> Iterator[TableCell]:
    """Train what is not trained yet, score what is not scored yet, and tell what came of it.

    A training that diverges is said, and lacks in the table; one that collapses counts. With several jobs, all is
    trained before anything is scored, and what fails otherwise is raised after all else.

    Raises:
        TrainError: data that cannot be used, or a training that went wrong.
        HubError: an encoder that cannot be had.
        RecogniserError: the recogniser cannot be had.
    """
    runs = [(recipe, seed) for recipe in recipes for seed in options.seeds]
    failed = finish_side_by_side(runs, STAGES, data, out, STAGED, options.jobs) if options.jobs > 1 else {}
    for recipe, seed in runs:
        if (recipe.name, seed) in failed:
            continue
        folder = run_folder(out, recipe, STAGED, seed)
        try:
            measured = finished(STAGES, recipe, data, folder, seed)
        except DivergedError as error:
            say(error, str(folder))
            continue
        collapsed = "; ".join(collapses(measured))
        for split in options.splits:
            if rank() == 0:
                _score(recipe, data, split, (folder, seed), options.transcripts(recipe.corpus, out), options)
            wait()
            for what in json.loads((folder / f"scores-{split}.json").read_text())["scores"]:
                yield TableCell(recipe.name, recipe.corpus, split, **what, seed=seed, collapsed=collapsed)
    for (name, seed), failure in failed.items():
        if not isinstance(failure, DivergedError):
            raise TrainError(f"{name}, seed {seed}: {failure}; the table lacks it")


def _score(
    recipe: Recipe,
    data: dict[str, Path],
    split: str,
    run: tuple[Path, int],
    transcripts: Transcripts | None,
    options: TableOptions,
) -> None:
    """Write ``scores-SPLIT.json`` and ``predictions/`` of a finished run, unless they are of what is there now."""
    folder, seed = run
    networks = {stage: load_bundle(folder / name, str(training_device())) for stage, name in FOLDERS.items()}
    scored_on = {name: data[name] for name in (recipe.corpus, "features") if name in data}
    corpus = read_with_given(recipe.corpus, data, split, {})  # which the bundle reads in its own labels
    if transcripts:
        transcripts.path.parent.mkdir(exist_ok=True)
        recognise(corpus, split, transcripts.path, transcripts.asr, transcripts.language)
        scored_on["transcripts"] = transcripts.path
    of: dict[str, Any] = {stage: network.fingerprint for stage, network in networks.items()} | addresses(scored_on)
    of["figures"] = [*METRICS, *SENTIMENT_METRICS]
    path = folder / f"scores-{split}.json"
    kept = json.loads(path.read_text()) if path.is_file() else {}
    if kept.get("of") == of and (kept["missing"] is not None or not options.missing):
        return
    encoded = _by_stage(networks, recipe, lambda network, _: encode_corpus(network, corpus))
    (folder / "predictions").mkdir(exist_ok=True)
    scores = _scored_stages(networks, corpus, encoded, split, folder)
    if transcripts:
        read = with_transcripts(corpus, split, transcripts.path)
        anew = _by_stage(networks, recipe, lambda network, stage: reread(network, read, encoded[stage]))
        scores += _scored_stages(networks, read, anew, split, folder)
    missing: list[dict[str, Any]] | None = [] if options.missing else None
    if options.missing and "both" in modalities_of(corpus):
        missing = [asdict(each) for mode in MODES for each in sweep(networks["III"], encoded["III"], mode, seed=seed)]
    write_json({"of": of, "scores": scores, "missing": missing}, path)


def _by_stage(
    networks: Mapping[str, EmotionNetwork], recipe: Recipe, encode: Callable[[EmotionNetwork, str], Encoded]
) -> dict[str, Encoded]:
    """What the encoders of every stage make of a corpus: once, as they are frozen, and what comes last once more."""
    found = dict.fromkeys(networks, encode(networks["I"], "I"))
    if recipe.tuning or networks["III"].second_opinion:
        found["III"] = encode(networks["III"], "III")
    return found


def _scored_stages(
    networks: Mapping[str, EmotionNetwork],
    corpus: Corpus,
    encoded: Mapping[str, Encoded],
    split: str,
    folder: Path,
) -> list[dict[str, Any]]:
    """Every stage's scores, and its predictions as files; of recognised words, only what these have a part in."""
    present = modalities_of(corpus)
    scores = []
    for stage, network in networks.items():
        heard = present[:1] if stage == "III" else [each for each in present if each != "both"]
        heard = [each for each in heard if not (corpus.words and each == "speech")]
        for mode in MODES:
            found = scored(network, corpus, encoded[stage], heard, mode)
            write_predictions(
                found.predictions.items(),
                {"corpus": corpus.name, "split": split, "mode": mode, "words": corpus.words or "corpus"},
                folder / f"predictions/{split}-{mode}-stage-{stage}{'-recognised' if corpus.words else ''}.csv",
            )
            for modality, each in found.scores.items():
                values = {name: getattr(each, name) for name in ("count", *METRICS)}
                if modality in found.sentiment:
                    values |= {name: getattr(found.sentiment[modality], name) for name in SENTIMENT_METRICS}
                named = {"mode": mode, "stage": stage, "heard": HEARD[modality], "words": corpus.words}
                scores.append({**named, **values})
    return scores


def write_table(found: Iterable[TableCell], out: Path, options: TableOptions) -> list[Path]:
    """Write ``out/table.csv`` (every run), ``.md`` and ``.tex`` (means), anew after every run. Returns them."""
    files = [out / f"table{ending}" for ending in (".csv", ".md", ".tex")]
    so_far: list[TableCell] = []
    for cell in found:
        so_far.append(cell)
        if rank() == 0:
            heard = f"{cell.called}, {cell.mode}"
            show(f"{cell.recipe}, {cell.split}, {heard}, seed {cell.seed}: {cell.weighted_f1:.4f}")
            _write_rows(so_far, files[0])
            write_files({files[1]: markdown(so_far, options), files[2]: latex(so_far, options)})
    return files


def write_missing_tables(recipes: Sequence[Recipe], out: Path, options: TableOptions) -> list[Path]:
    """Write ``out/missing/RECIPE-SPLIT-MODE.csv``, ``.md`` and ``.svg`` over all seeds. Returns them."""
    files: list[Path] = []
    if not options.missing:
        return files
    for recipe, split in ((recipe, split) for recipe in recipes for split in options.splits):
        runs = (run_folder(out, recipe, STAGED, seed) / f"scores-{split}.json" for seed in options.seeds)
        scored = [json.loads(run.read_text())["missing"] or [] for run in runs if run.is_file()]
        found = [MissingScore(**each) for points in scored for each in points]
        for mode in MODES:
            if own := [each for each in found if each.mode == mode]:
                title = f"{recipe.name}, {split}, {mode}"
                files += write_missing(title, own, out / "missing", f"{recipe.name}-{split}-{mode}")
    return files


def _write_rows(found: Sequence[TableCell], path: Path) -> None:
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(TableCell)])
        writer.writeheader()
        writer.writerows(asdict(cell) for cell in found)
