"""Errors of magnitude and direction, areas under their distributions, and scores, against what follows by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.evaluation.rare_events import (
    NO_DIRECTION,
    direction_errors,
    error_distribution,
    magnitude_errors,
    normalised_area,
    score_forces,
    score_regions,
)


def random_forces(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 1.0, (count, 3))


def turned(forces: np.ndarray, degrees: np.ndarray | float, seed: int) -> np.ndarray:
    """Forces turned by angles about axes at right angles to them (Rodrigues)."""
    axes = np.cross(forces, random_forces(len(forces), seed))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    angles = np.radians(np.broadcast_to(degrees, len(forces)))[:, None]
    return forces * np.cos(angles) + np.cross(axes, forces) * np.sin(angles)


@pytest.mark.parametrize("degrees", [0.0, 1e-5, 0.3, 12.0, 45.0, 90.0, 137.0, 179.9])
def test_a_rotated_force_gives_its_angle(degrees: float) -> None:
    reference = random_forces(50, 1)
    predicted = turned(reference, degrees, 2)
    assert direction_errors(predicted, reference) == pytest.approx(degrees, rel=1e-7, abs=1e-9)
    assert magnitude_errors(predicted, reference) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("factor", [0.2, 0.999, 1.5, 4.0])
def test_a_scaled_force_gives_its_difference(factor: float) -> None:
    reference = random_forces(50, 3)
    lengths = np.linalg.norm(reference, axis=1)
    assert magnitude_errors(factor * reference, reference) == pytest.approx(abs(factor - 1) * lengths)
    assert direction_errors(factor * reference, reference) == pytest.approx(0.0, abs=1e-6)
    assert magnitude_errors(-factor * reference, reference) == pytest.approx(abs(factor - 1) * lengths)
    assert direction_errors(-factor * reference, reference) == pytest.approx(180.0)


def test_errors_do_not_change_when_all_is_turned_or_exchanged() -> None:
    reference, predicted = random_forces(40, 4), random_forces(40, 5)
    rotation, _ = np.linalg.qr(np.random.default_rng(6).normal(size=(3, 3)))
    for errors in (magnitude_errors, direction_errors):
        assert errors(predicted @ rotation, reference @ rotation) == pytest.approx(errors(predicted, reference))
        assert errors(reference, predicted) == pytest.approx(errors(predicted, reference))


def test_a_perfect_model_has_the_score_one() -> None:
    found = score_forces(random_forces(30, 7), random_forces(30, 7))
    assert found.score == found.delta_f.nac == found.delta_theta.nac == 1.0
    assert found.force_mae == found.force_rmse == found.delta_f.mean == 0.0
    assert found.delta_theta.mean == pytest.approx(0.0, abs=1e-12)
    assert found.reason is None


def test_forces_without_direction() -> None:
    reference = np.array([[0, 0, 0], [0, 0, NO_DIRECTION / 2], [0, 2.0, 0], [0, 0, 3.0]])
    predicted = np.array([[1.0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 3.0]])
    assert direction_errors(predicted, reference) == pytest.approx([np.nan, np.nan, 90, 0], nan_ok=True)
    found = score_forces(predicted, reference)
    assert found.n_without_direction == 2
    assert found.delta_theta.n == 2
    assert found.delta_f.n == found.n_atoms == 4
    # Their magnitudes count: 1, 0, 2, 0.
    assert found.delta_f.mean == pytest.approx(0.75)
    nothing = score_forces(random_forces(5, 8), np.zeros((5, 3)))
    assert nothing.score is None
    assert nothing.reason is not None and "zero length" in nothing.reason
    assert nothing.delta_f.nac is not None


def test_no_atoms_give_no_number_but_a_reason() -> None:
    found = score_forces(np.empty((0, 3)), np.empty((0, 3)))
    assert (found.n_atoms, found.score, found.force_mae, found.delta_f.nac, found.delta_theta.mean) == (0, *[None] * 4)
    assert found.reason == "There are no such atoms."
    assert found.delta_f.counts == [0] * 20
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == found.to_dict()


def bars(errors: np.ndarray, upper: float, bins: int) -> float:
    """The area of the bars of a cumulative histogram, one after the other."""
    width = upper / bins
    area = 0.0
    for number in range(bins):
        height = sum(error <= upper * (number + 1) / bins for error in errors) / len(errors)
        area += height * width
    return area / upper


@pytest.mark.parametrize(("upper", "bins"), [(1.0, 20), (90.0, 20), (90.0, 7), (1.0, 1)])
def test_area_against_a_sum_over_bars_and_the_integral(upper: float, bins: int) -> None:
    errors = np.random.default_rng(9).exponential(0.4 * upper, 300)
    area = normalised_area(errors, upper, bins)
    assert area == pytest.approx(bars(errors, upper, bins))
    # The integral of a step function, point by point, and in closed form.
    points = (np.arange(20_000) + 0.5) * upper / 20_000
    integral = np.mean([(errors <= point).mean() for point in points])
    assert integral == pytest.approx(1 - np.minimum(errors, upper).mean() / upper, abs=1e-4)
    assert integral <= area <= integral + 1 / bins
    assert normalised_area(errors, upper, 100_000) == pytest.approx(integral, abs=1e-4)


@pytest.mark.parametrize(("upper", "bins"), [(1.0, 20), (90.0, 20), (90.0, 45)])
def test_uniform_errors_give_the_analytic_area(upper: float, bins: int) -> None:
    """The distribution is a ramp of area 1/2; its bars stand half a bin above it."""
    errors = (np.arange(bins * 50) + 0.5) / (bins * 50) * upper
    assert normalised_area(errors, upper, bins) == pytest.approx(0.5 + 0.5 / bins)
    # Up to twice the range: a ramp that ends at 1/2.
    assert normalised_area(2 * errors, upper, bins) == pytest.approx((0.5 + 0.5 / bins) / 2)
    half = (np.arange(bins * 500) + 0.5) / (bins * 500) * upper / 2
    # Up to half the range: a ramp of area 1/2 over one half, 1 over the other.
    assert normalised_area(half, upper, 1000) == pytest.approx(0.75, abs=1e-3)


def test_errors_beyond_the_range_stay_in_the_denominator() -> None:
    found = error_distribution(np.array([0.0, 0.0, 1.0, 1.0001, 7.0]), 1.0)
    assert found.beyond == 2
    assert (found.counts[0], found.counts[-1], sum(found.counts)) == (2, 1, 3)
    assert found.nac == pytest.approx((2 + 1 / 20) / 5)
    assert found.mean == pytest.approx(9.0001 / 5)
    assert normalised_area(np.array([5.0, 1.5]), 1.0) == 0.0


def test_counts_are_those_of_numpy_histogram() -> None:
    errors = np.random.default_rng(10).exponential(30.0, 500)
    found = error_distribution(errors, 90.0)
    counts, edges = np.histogram(errors, bins=20, range=(0, 90))
    assert found.counts == counts.tolist()
    assert found.edges == pytest.approx(edges)
    assert sum(found.counts) + found.beyond == found.n == 500


def test_the_score_is_the_product_of_areas_that_follow_by_hand() -> None:
    """All magnitudes off by 0.32 eV/A: in the 7th of 20 bins; all directions by 40 degrees: in the 9th."""
    reference = random_forces(80, 11)
    lengths = np.linalg.norm(reference, axis=1, keepdims=True)
    predicted = turned(reference * (1 + 0.32 / lengths), 40.0, 12)
    found = score_forces(predicted, reference)
    assert found.delta_f.nac == pytest.approx(14 / 20)
    assert found.delta_theta.nac == pytest.approx(12 / 20)
    assert found.score == pytest.approx(0.42)
    assert found.delta_f.mean == pytest.approx(0.32)
    assert found.delta_theta.mean == pytest.approx(40.0)
    difference = predicted - reference
    assert found.force_mae == pytest.approx(np.abs(difference).sum() / 240)
    assert found.force_rmse == pytest.approx(np.sqrt((difference**2).sum() / 240))


def test_errors_on_few_atoms_show_where_means_hide_them() -> None:
    reference = random_forces(1000, 13)
    migrating = np.arange(1000) < 10
    around = (np.arange(1000) >= 10) & (np.arange(1000) < 60)
    predicted = reference.copy()
    predicted[migrating] = turned(2 * reference[migrating], 60.0, 14)
    regions = {"migrating": migrating, "surroundings": around, "elsewhere": ~(migrating | around)}
    scores = score_regions(predicted, reference, regions)
    assert list(scores) == [*regions, "all"]
    assert scores["all"].force_mae is not None and scores["all"].force_mae < 0.02
    assert scores["all"].score is not None and scores["all"].score > 0.97
    assert scores["migrating"].score is not None and scores["migrating"].score < 0.3
    assert scores["surroundings"].score == scores["elsewhere"].score == 1.0
    parts = [scores[name] for name in regions]
    assert sum(part.n_atoms for part in parts) == scores["all"].n_atoms == 1000
    added = np.sum([part.delta_theta.counts for part in parts], axis=0)
    assert added.tolist() == scores["all"].delta_theta.counts


def test_wrong_input() -> None:
    with pytest.raises(InputError, match=r"shape \(4, 3\), reference forces \(5, 3\)"):
        score_forces(np.zeros((4, 3)), np.zeros((5, 3)))
    with pytest.raises(InputError, match="number of bins is 0"):
        score_forces(np.zeros((4, 3)), np.zeros((4, 3)), bins=0)
    with pytest.raises(InputError, match="no errors"):
        normalised_area(np.empty(0), 1.0)
