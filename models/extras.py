"""Packages that only some commands need, the extras: one that is missing is one line, wherever it is imported."""

from __future__ import annotations

from typing import Final

EXTRAS: Final = {
    "openai": "pretrain",
    "pandas": "ray",
    "prometheus_client": "metrics",
    "pyarrow": "pretrain",
    "ray": "ray",
    "starlette": "web",
    "tenacity": "pretrain",
    "tensorboard": "tensorboard",
    "transformers": "full",
    "uvicorn": "web",
    "vaderSentiment": "pretrain",
    "websockets": "web",
    "wyoming": "wyoming",
}
"""Package -> the extra that brings it."""


def missing_extra(error: ImportError) -> str | None:
    """The line that says which extra an import was in want of; None where that was another fault."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS or not isinstance(error, ModuleNotFoundError):
        return None
    return f"{package} is not installed: pip install '.[{EXTRAS[package]}]' in emotrack's checkout"
