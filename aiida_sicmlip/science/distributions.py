"""How numbers are spread, in the few words that a report has room for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def distribution(values: Sequence[float | None] | np.ndarray) -> dict[str, float] | None:
    """Return smallest value, median, 90 % quantile and largest value of those that are finite; None where none is.

    Quantiles are interpolated between the two nearest values.
    """
    numbers = np.array([np.nan if value is None else value for value in values], dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return None
    return {
        "smallest": float(numbers.min()),
        "median": float(np.median(numbers)),
        "quantile_90": float(np.quantile(numbers, 0.9)),
        "largest": float(numbers.max()),
    }


def fraction_above(values: Sequence[float] | np.ndarray, threshold: float) -> float | None:
    """Return which part of the values is not below a threshold, as a number from 0 to 1; None where there are none."""
    numbers = np.asarray(values, dtype=float)
    if not len(numbers):
        return None
    # Written so that what is not a number counts as above.
    return float(1.0 - np.mean(numbers < threshold))
