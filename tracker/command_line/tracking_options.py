"""The options that every command has which tracks: voices, words, the network, and what is told."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from emotrack.models.bounds import MAX_CONTEXT
from emotrack.tracker.messages.plain import unicode
from emotrack.tracker.options import SPEAKERS, Bounds

_Options = argparse._ActionsContainer  # noqa: SLF001 - a parser, or a group of its options


def let_threads_sleep() -> None:
    """Let OpenMP's threads sleep while they wait; call it before models load.

    They would spin while they wait for one that another program keeps from its core. It is read when torch and
    CTranslate2 are imported; for a program that imports emotrack it is not ours to say.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def speaker_count(argument: str) -> int | None:
    """How many speakers there are at most: 0 for "auto", None for "off"."""
    if argument in ("auto", "off"):
        return 0 if argument == "auto" else None
    try:
        return int(SPEAKERS(argument))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{argument!r} is neither auto nor off nor {SPEAKERS}") from None


def add_speaker_options(options: _Options) -> None:
    """Add ``--speakers``, ``--known`` and ``--speaker-model``."""
    options.add_argument(
        "--speakers",
        type=speaker_count,
        default="auto",
        metavar="auto|N|off",
        help="tell voices apart: auto (default), at most N people, or off; channels and captions that name speakers "
        "are believed instead",
    )
    options.add_argument(
        "--known",
        action="append",
        default=[],
        metavar="NAMES",
        help="know these voices from their first turn, of those that emotrack voices keeps: names with commas between "
        "them, or all; may be repeated (default: nobody's)",
    )
    options.add_argument(
        "--speaker-model",
        type=unicode,
        metavar="MODEL",
        help="another speaker embedding: an ONNX file of WeSpeaker's or pyannote's kind, or a hub id "
        "(default: the one that is installed)",
    )


def add_recogniser_options(options: _Options) -> None:
    """Add ``--asr`` and ``--language``."""
    options.add_argument(
        "--asr",
        metavar="auto|moonshine|NAME_OR_PATH|pocketsphinx|none",
        help="the recogniser: moonshine (English, installed, quick), or a faster-whisper size (tiny.en, base, large-v3 "
        "...), hub id or CTranslate2 folder, downloaded if need be; auto (default) downloads nothing: a faster-whisper "
        "model of the local cache where there is a GPU or --language is not en, else moonshine; none: voice only",
    )
    options.add_argument("--language", metavar="CODE", help="the language spoken (en, de ...); detected when not given")


def add_network_options(options: _Options) -> None:
    """Add ``--bundle``, ``--context``, ``--no-speculation`` and ``--device``."""
    options.add_argument(
        "--bundle", default="mini", metavar="mini|DIR", help="the trained network: the packaged one, or a folder"
    )
    options.add_argument(
        "--context", type=Bounds(1, MAX_CONTEXT), metavar="TURNS", help="turns remembered (default: the bundle's)"
    )
    options.add_argument(
        "--no-speculation",
        action="store_true",
        help="begin with a turn when it has ended, not at the pause before: somewhat less work, later answers",
    )
    options.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the network runs")


def add_saving_options(options: _Options) -> None:
    """Add ``--save``, ``--keep-audio`` and ``--no-text``."""
    options.add_argument(
        "--save", type=Path, metavar="FILE.jsonl", help="append every event to a file; nothing is kept otherwise"
    )
    options.add_argument(
        "--keep-audio", action="store_true", help="with --save: keep the voice of every turn too, in FILE.audio/"
    )
    options.add_argument("--no-text", action="store_true", help="use the words, but let no event carry them")


def add_topics_option(options: _Options) -> None:
    """Add ``--topics``."""
    options.add_argument(
        "--topics",
        choices=("minimal", "full"),
        default="full",
        help="what is published; minimal leaves out voice activity and metrics (default: full)",
    )


def add_notice_option(options: _Options) -> None:
    """Add ``--notice-given``."""
    options.add_argument(
        "--notice-given",
        action="store_true",
        help="note that everybody who can be heard was told (emotrack notice prints what to tell them)",
    )
