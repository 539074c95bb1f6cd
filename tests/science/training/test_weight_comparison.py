"""Differences between the weights of two models."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_sicmlip.science.training.weight_comparison import compare_weights


def test_same_weights() -> None:
    weights = {"a": np.arange(4.0), "b": np.array([np.nan, 1.0])}
    found = compare_weights(weights, {name: array.copy() for name, array in weights.items()})
    assert found.identical
    assert (found.count, found.different, found.largest, found.relative, found.where) == (6, 0, 0.0, 0.0, None)


def test_one_bit_is_a_difference() -> None:
    """The smallest change that a number can have is seen, with its size."""
    changed = np.array([1.0, np.nextafter(2.0, 3.0)])
    found = compare_weights({"a": np.array([1.0, 2.0])}, {"a": changed})
    assert not found.identical
    assert (found.different, found.where) == (1, "a")
    assert found.largest == changed[1] - 2.0


def test_size_of_differences() -> None:
    first = {"a": np.array([3.0, 4.0]), "b": np.zeros((2, 2))}
    second = {"a": np.array([3.0, 4.5]), "b": np.full((2, 2), 0.1)}
    found = compare_weights(first, second)
    assert (found.count, found.different, found.where) == (6, 5, "a")
    assert found.largest == pytest.approx(0.5)
    assert found.relative == pytest.approx(np.sqrt((0.25 + 4 * 0.01) / 25.0))


def test_other_tensors() -> None:
    found = compare_weights({"a": np.zeros(2), "b": np.zeros(2)}, {"a": np.zeros(3), "c": np.zeros(2)})
    assert not found.identical
    assert found.unmatched == ("a", "b", "c")
    assert found.count == 0


def test_not_a_number_is_no_number() -> None:
    found = compare_weights({"a": np.array([np.nan])}, {"a": np.array([1.0])})
    assert not found.identical and found.where == "a"
