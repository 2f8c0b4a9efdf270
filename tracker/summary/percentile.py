"""One way to compute percentiles, for events, the dashboard and reports."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def percentile(values: Iterable[float], percent: float) -> float | None:
    """The value below which ``percent`` of all values lie, interpolated between neighbours; None without values."""
    found = np.fromiter(values, dtype=np.float64)
    return float(np.percentile(found, percent)) if len(found) else None
