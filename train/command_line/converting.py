"""The command ``emotrack train convert``.

Importing this module imports nothing heavy, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse

from emotrack.errors import UsageError
from emotrack.tracker.messages.output import say, show
from emotrack.train.command_line.arguments import EXIT_FAILURE, EXIT_USAGE, Command, weights_path

CONVERT_EPILOG = """\
Weights are read from safetensors alone, since a pickle may run any program when it is read. Where the hub has nothing
else, this makes safetensors of it. Without --sha256 it says the file's hash and does nothing; compare it with the one
that the hub shows beside the file. It is then read with torch's weights_only, which builds nothing but weights.

examples:
  emotrack train convert microsoft/wavlm-base@efa81aae7ff777e464159e0f877d54eac5b84f81 --out wavlm-base
  emotrack train all --recipe merits-l --set speech.care.0=wavlm-base --data iemocap=IEMOCAP --out runs/merits-l
"""


def add_convert_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``emotrack train convert``."""
    parser.epilog = CONVERT_EPILOG
    parser.add_argument("name", metavar="ID|DIR", help="an encoder whose weights are a pytorch_model.bin")
    parser.add_argument("--sha256", metavar="HEX", help="of that file, which you trust")
    parser.add_argument("--out", required=True, type=weights_path, metavar="DIR", help="what is made goes here")


def run_convert(args: argparse.Namespace) -> int:
    """Run ``emotrack train convert`` -> exit code."""
    from emotrack.models.hub import HubError
    from emotrack.train.errors import TrainError
    from emotrack.train.running.pickled import convert

    try:
        show(convert(args.name, args.out, args.sha256))
    except (TrainError, HubError, UsageError, OSError) as error:
        say(error, "emotrack train convert")
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILURE
    return 0


CONVERTING: dict[str, Command] = {
    "convert": Command(
        "make safetensors of weights that are a pickle, once you trust that file -> OUT",
        add_convert_arguments,
        run_convert,
    ),
}
