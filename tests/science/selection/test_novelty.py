"""Correlations of distance and error that are known: by construction, by hand, or from another program."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.selection.novelty import novelty_correlation, place_on_map


def correlated(count: int, correlation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-normal distances and errors whose logarithms have this correlation."""
    generator = np.random.default_rng(seed)
    x, noise = generator.normal(size=(2, count))
    y = correlation * x + np.sqrt(1 - correlation**2) * noise
    return 1e-3 * np.exp(2 * x), 0.3 * np.exp(0.4 * y)


@pytest.mark.parametrize("correlation", [-0.6, 0.0, 0.85])
def test_agrees_with_scipy(correlation):
    """Both coefficients, and Fisher's interval of Pearson's."""
    distance, error = correlated(60, correlation, 3)
    found = novelty_correlation(distance, error)
    assert found.n_frames == 60
    assert found.reason is None
    assert found.rank.value == pytest.approx(spearmanr(distance, error).statistic, abs=1e-12)
    expected = pearsonr(np.log(distance), np.log(error))
    assert found.logarithmic.value == pytest.approx(expected.statistic, abs=1e-12)
    interval = expected.confidence_interval(0.95)
    assert (found.logarithmic.lowest, found.logarithmic.highest) == pytest.approx(tuple(interval), abs=1e-9)


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_intervals_cover_the_truth(correlation):
    """Of 600 samples about 95 % have the true coefficient in their interval, three standard deviations either way."""
    # Of a bivariate normal distribution: Pearson, Proc. R. Soc. Lond. (1907).
    true_rank = 6 / np.pi * np.arcsin(correlation / 2)
    found = [novelty_correlation(*correlated(25, correlation, seed)) for seed in range(600)]
    for inside in (
        [entry.rank.lowest <= true_rank <= entry.rank.highest for entry in found],
        [entry.logarithmic.lowest <= correlation <= entry.logarithmic.highest for entry in found],
    ):
        assert 0.92 < np.mean(inside) < 0.98


def test_units_and_powers_change_no_rank():
    distance, error = correlated(30, 0.5, 1)
    first, second = novelty_correlation(distance, error), novelty_correlation(40 * distance**2, error / 7)
    assert second.rank == first.rank
    # Powers and factors are linear in the logarithms, too.
    assert second.logarithmic.value == pytest.approx(first.logarithmic.value, abs=1e-12)
    turned = novelty_correlation(distance, 1 / error)
    assert turned.rank.value == pytest.approx(-first.rank.value)
    assert turned.rank.lowest == pytest.approx(-first.rank.highest)


def test_perfect_order_of_few_frames_is_no_certainty():
    """One of 24 orders of four frames is perfect by chance: the interval has to hold zero."""
    found = novelty_correlation([1e-4, 2e-4, 3e-4, 4e-4], [0.1, 0.2, 0.25, 0.9])
    assert found.rank.value == 1
    assert found.rank.lowest < 0
    assert found.rank.highest == 1
    many = novelty_correlation(np.arange(1, 101), np.arange(1, 101) ** 3)
    assert many.rank.value == pytest.approx(1)
    assert many.rank.lowest > 0.99
    assert many.logarithmic.value == pytest.approx(1)


def test_higher_confidence_widens():
    narrow, wide = (novelty_correlation(*correlated(20, 0.4, 2), confidence=level).rank for level in (0.5, 0.99))
    assert wide.lowest < narrow.lowest < narrow.value < narrow.highest < wide.highest


def test_frames_without_label_or_distance_do_not_count():
    distance, error = correlated(20, 0.6, 5)
    more = np.concatenate([distance, [0.1, 0.0, np.inf]]), np.concatenate([error, [np.nan, 5.0, 7.0]])
    assert novelty_correlation(*more) == novelty_correlation(distance, error)


@pytest.mark.parametrize(
    ("distance", "error", "reason"),
    [
        ([np.inf] * 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "no training set"),
        ([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], "3 frames have a distance and an error, and at least 4"),
        ([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, np.nan], "3 frames"),
        ([], [], "0 frames"),
        ([0.2] * 5, [0.1, 0.2, 0.3, 0.4, 0.5], "all distances are equal"),
        ([0.1, 0.2, 0.3, 0.4], [0.3] * 4, "all errors are equal"),
    ],
)
def test_no_correlation_says_why(distance, error, reason):
    found = novelty_correlation(distance, error)
    assert (found.rank, found.logarithmic) == (None, None)
    assert reason in found.reason


def test_wrong_input():
    with pytest.raises(InputError, match="3 distances and 2 errors"):
        novelty_correlation([1, 2, 3], [1, 2])
    with pytest.raises(InputError, match="`confidence` is 95"):
        novelty_correlation([1, 2, 3, 4], [1, 2, 3, 4], confidence=95)


def test_map_is_the_projection():
    """Frames along the axes of the map, at their distances from the mean; single precision is enough."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(5, 4))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    mean, axes = np.full(4, 0.1), np.eye(4)[[2, 0]]
    np.testing.assert_allclose(place_on_map(rows, mean, axes), rows[:, [2, 0]] - 0.1, atol=1e-6)
    assert place_on_map(rows[:0], mean, axes).shape == (0, 2)
