"""`emotrack train`, with every epoch's loss and scores in Weights & Biases (pip install wandb).

They go to its servers, or with WANDB_MODE=offline to a folder:

python examples/train_with_wandb.py all --recipe mini --out runs/mini ...
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

from emotrack.command_line import main
from emotrack.train.learning.listening import listening, numbers_in


def log(training: str, folder: Path, record: Mapping[str, Any]) -> None:
    numbers = {"epoch": record["epoch"], **numbers_in(record)}  # trainings follow one another, so no epoch is a step
    wandb.log({f"{folder.name}/{training}/{name}": value for name, value in numbers.items()})


if __name__ == "__main__":
    with wandb.init(project="emotrack"), listening(log):
        code = main(["train", *sys.argv[1:]])
    sys.exit(code)
