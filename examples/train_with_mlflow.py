"""`emotrack train`, with every epoch's loss and scores in MLflow (pip install mlflow), where MLFLOW_TRACKING_URI says.

MLflow would tell its makers how it is used; here it is told not to, unless MLFLOW_DISABLE_TELEMETRY says otherwise.

python examples/train_with_mlflow.py all --recipe mini --out runs/mini ...
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when it is imported

import mlflow

from emotrack.command_line import main
from emotrack.train.learning.listening import listening, numbers_in


def log(training: str, folder: Path, record: Mapping[str, Any]) -> None:
    numbers = {f"{folder.name}/{training}/{name}": value for name, value in numbers_in(record).items()}
    mlflow.log_metrics(numbers, step=record["epoch"])


if __name__ == "__main__":
    with mlflow.start_run(), listening(log):
        code = main(["train", *sys.argv[1:]])
    sys.exit(code)
