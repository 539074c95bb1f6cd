"""Quantiles by bin against numpy's of each bin."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.evaluation.binned_quantiles import LEVELS, quantiles_by_bin

EDGES = np.array([0.0, 1.0, 2.5, 4.0])


def test_quantiles_are_those_of_the_values_in_each_bin():
    generator = np.random.default_rng(3)
    places, values = generator.uniform(-1, 5, 400), generator.exponential(size=400)
    places[:7] = np.nan
    found = quantiles_by_bin(places, values, EDGES)
    for number, (lower, upper) in enumerate(pairwise(EDGES)):
        inside = values[(places >= lower) & (places < upper)]
        assert found.counts[number] == len(inside) > 20
        np.testing.assert_allclose(found.quantiles[:, number], np.quantile(inside, LEVELS))
        assert found.at(0.5)[number] == np.median(inside)
    assert found.left_out == 400 - found.counts.sum() > 100


def test_edges_belong_to_the_bin_above_and_the_last_to_the_last_bin():
    found = quantiles_by_bin(np.array([0.0, 1.0, 2.5, 4.0]), np.array([1.0, 2.0, 3.0, 4.0]), EDGES, [0.0, 1.0])
    np.testing.assert_array_equal(found.counts, [1, 1, 2])
    np.testing.assert_array_equal(found.quantiles, [[1, 2, 3], [1, 2, 4]])


def test_bins_without_values_have_no_quantiles():
    found = quantiles_by_bin(np.array([0.5, np.nan]), np.array([7.0, 8.0]), EDGES)
    np.testing.assert_array_equal(found.counts, [1, 0, 0])
    assert (found.quantiles[:, 0] == 7.0).all()
    assert np.isnan(found.quantiles[:, 1:]).all()
    assert quantiles_by_bin(np.zeros(0), np.zeros(0), EDGES).counts.sum() == 0


@pytest.mark.parametrize(
    ("places", "edges", "said"),
    [
        (np.zeros(2), EDGES, "2 positions and 3 values"),
        (np.zeros(3), np.array([1.0]), r"\[1.0\]: give two or more"),
        (np.zeros(3), np.array([0.0, 2.0, 2.0]), "ascending"),
    ],
)
def test_what_does_not_fit_is_refused(places, edges, said):
    with pytest.raises(InputError, match=said):
        quantiles_by_bin(places, np.ones(3), edges)
