"""Correlation of novelty and error: distances from a training set and errors of the potential trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.selection.farthest_point import UnitRows

LEAST_POINTS = 4
"""Fisher's interval divides by the number of points minus three."""


@dataclass(frozen=True)
class Coefficient:
    """A correlation coefficient, from -1 to 1, with the limits of its confidence interval."""

    value: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class NoveltyCorrelation:
    """Correlation of distance and error over the frames of one round.

    n_frames: number of frames that have both, finite and above zero.
    rank: Spearman's coefficient, of the ranks; None where ``reason`` is set.
    logarithmic: Pearson's coefficient, of the logarithms; likewise.
    reason: why there is no coefficient.
    """

    n_frames: int
    rank: Coefficient | None = None
    logarithmic: Coefficient | None = None
    reason: str | None = None


def novelty_correlation(
    distance: Sequence[float] | np.ndarray, error: Sequence[float] | np.ndarray, confidence: float = 0.95
) -> NoveltyCorrelation:
    """Return the correlation of the distances and the errors of F frames of one round.

    Rounds are not combined: both distances and errors decrease from round to round, which correlates them in any case.
    Intervals are Fisher's (Metron 1, 3 (1921)), for ranks with the variance of Bonett and Wright (Psychometrika 65, 23
    (2000)). They assume independent frames. For ranks in perfect order, whose interval would have zero width, the limit
    nearer to zero is that of the order with two neighbours exchanged.

    :param distance: distances from the training set, (F,); infinite where there was none.
    :param error: force errors, (F,) in eV/A; NaN for frames without a label.
    :raises InputError: when the numbers of distances and errors differ, or the confidence is not between 0 and 1.
    """
    distances, errors = np.asarray(distance, dtype=float), np.asarray(error, dtype=float)
    if distances.shape != errors.shape or distances.ndim != 1:
        raise InputError(
            f"There are {distances.size} distances and {errors.size} errors: give one of each for every frame."
        )
    if not 0 < confidence < 1:
        raise InputError(f"`confidence` is {confidence}: give a number between 0 and 1.")
    if len(distances) and np.isinf(distances).all():
        return NoveltyCorrelation(0, reason="there was no training set to be distant from")
    # Zero has no logarithm: such frames repeat a configuration of the training set.
    usable = np.isfinite(distances) & np.isfinite(errors) & (distances > 0) & (errors > 0)
    count = int(usable.sum())
    if count < LEAST_POINTS:
        return NoveltyCorrelation(
            count, reason=f"{count} frames have a distance and an error, and at least {LEAST_POINTS} are needed"
        )
    x, y = distances[usable], errors[usable]
    for what, values in (("distances", x), ("errors", y)):
        if np.ptp(np.log(values)) < 1e-9:
            return NoveltyCorrelation(count, reason=f"all {what} are equal")
    rank = _pearson(rankdata(x), rankdata(y))
    # Two neighbours exchanged: of all imperfect orders the nearest to a perfect one.
    next_to_perfect = 1 - 12 / (count * (count**2 - 1))
    return NoveltyCorrelation(
        count,
        rank=_with_interval(rank, count, 1 + min(abs(rank), next_to_perfect) ** 2 / 2, next_to_perfect, confidence),
        logarithmic=_with_interval(_pearson(np.log(x), np.log(y)), count, 1.0, 1 - 1e-12, confidence),
    )


def place_on_map(descriptors: np.ndarray, mean: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return the coordinates (F, 2) of frames on the map of a round's descriptors.

    :param descriptors: rows of unit length, (F, D).
    :param mean: (D,), as in
        :class:`~aiida_sicmlip.science.selection.candidates_file.Candidates`.
    :param axes: (2, D), likewise.
    :raises InputError: when rows are not of unit length.
    """
    return (UnitRows("descriptors", descriptors)[:] - mean) @ axes.T


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Return Pearson's coefficient, clipped to [-1, 1] against rounding."""
    return float(np.clip(np.corrcoef(x, y)[0, 1], -1.0, 1.0))


def _with_interval(value: float, count: int, variance: float, largest: float, confidence: float) -> Coefficient:
    """Return a coefficient with the interval that is symmetric in its inverse hyperbolic tangent.

    :param variance: of that, times the number of points minus three.
    :param largest: what coefficients beyond it count
        as for the interval.
    """
    centre = np.arctanh(np.clip(value, -largest, largest))
    half = norm.ppf((1 + confidence) / 2) * np.sqrt(variance / (count - 3))
    lowest, highest = (float(np.tanh(end)) for end in (centre - half, centre + half))
    # The coefficient itself always lies inside.
    return Coefficient(value, min(lowest, value), max(highest, value))
