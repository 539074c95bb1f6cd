"""Quantiles of a quantity in bins of another one, such as errors by distance from a defect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aiida_sicmlip.common.exceptions import InputError

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class BinnedQuantiles:
    """Quantiles of a quantity in bins of another one.

    edges: of the bins, ascending, (B + 1,).
    counts: number of values in each bin, (B,).
    levels: (Q,), each from 0 to 1.
    quantiles: (Q, B), NaN where a bin is empty.
    left_out: number of values in no bin.
    """

    edges: np.ndarray
    counts: np.ndarray
    levels: tuple[float, ...]
    quantiles: np.ndarray
    left_out: int

    def at(self, level: float) -> np.ndarray:
        """Return one quantile by bin, (B,)."""
        return np.asarray(self.quantiles[self.levels.index(level)])


def quantiles_by_bin(
    places: np.ndarray, values: np.ndarray, edges: np.ndarray, levels: Sequence[float] = LEVELS
) -> BinnedQuantiles:
    """Return the quantiles of values (N,) in bins of their positions (N,) along another quantity.

    A bin includes its lower edge and not its upper one, the last bin both. NaN positions are in no bin.

    :param edges: ascending, two at least.
    :raises InputError: when the lengths differ or edges do not ascend.
    """
    places, values, edges = (np.asarray(array, dtype=float) for array in (places, values, edges))
    if places.shape != values.shape:
        raise InputError(f"There are {len(places)} positions and {len(values)} values: give as many.")
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise InputError(f"The edges of the bins are {edges.tolist()}: give two or more, ascending.")
    bins = np.searchsorted(edges, places, side="right") - 1
    bins[places == edges[-1]] = len(edges) - 2
    inside = (bins >= 0) & (bins < len(edges) - 1) & np.isfinite(places)
    quantiles = np.full((len(levels), len(edges) - 1), np.nan)
    counts = np.bincount(bins[inside], minlength=len(edges) - 1)
    for number in np.flatnonzero(counts):
        quantiles[:, number] = np.quantile(values[inside & (bins == number)], levels)
    return BinnedQuantiles(edges, counts, tuple(levels), quantiles, int(len(places) - inside.sum()))
