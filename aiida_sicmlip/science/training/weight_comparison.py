"""Comparison of the weights of two models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class WeightComparison:
    """Differences of the weights of two models.

    count: number of weights in tensors that have the same name and shape in both models.
    different: number of those that are not bitwise equal.
    largest: largest absolute difference.
    relative: root mean square difference divided by the root mean square of the first model's weights.
    where: name of the tensor with the largest difference; None if all are equal.
    unmatched: names of tensors that only one model has, or whose shapes differ.
    """

    count: int
    different: int
    largest: float
    relative: float
    where: str | None
    unmatched: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether both models have the same tensors, bitwise equal."""
        return not self.different and not self.unmatched


def compare_weights(first: Mapping[str, ArrayLike], second: Mapping[str, ArrayLike]) -> WeightComparison:
    """Compare the tensors of two models by name; not-a-number equals itself."""
    unmatched, largest, where = set(first) ^ set(second), 0.0, None
    count = different = 0
    squares = norm = 0.0
    for name in sorted(set(first) & set(second)):
        one, other = np.asarray(first[name]), np.asarray(second[name])
        if one.shape != other.shape:
            unmatched.add(name)
            continue
        one, other = one.astype(float), other.astype(float)
        changed = ~((one == other) | (np.isnan(one) & np.isnan(other)))
        count += one.size
        different += int(changed.sum())
        squares += float(((one - other)[changed] ** 2).sum())
        norm += float((one[~np.isnan(one)] ** 2).sum())
        furthest = float(np.abs(one - other)[changed].max(initial=0.0))
        if changed.any() and (where is None or furthest > largest):
            largest, where = furthest, name
    relative = float(np.sqrt(squares / norm)) if norm else 0.0
    return WeightComparison(count, different, largest, relative, where, tuple(sorted(unmatched)))
