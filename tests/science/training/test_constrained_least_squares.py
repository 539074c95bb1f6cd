"""Least squares with inequalities, against other solvers and the conditions of a minimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import lsq_linear, minimize

from aiida_sicmlip.science.training.constrained_least_squares import solve_constrained


@pytest.mark.parametrize("seed", range(6))
def test_bounds_give_what_scipy_finds(seed: int) -> None:
    generator = np.random.default_rng(seed)
    matrix, targets = generator.normal(size=(30, 5)) * 10.0 ** generator.integers(-4, 5, 5), generator.normal(size=30)
    expected = lsq_linear(matrix, targets, bounds=(0, np.inf), method="bvls", tol=1e-14).x
    found = solve_constrained(matrix, targets, np.eye(5), np.zeros(5))
    assert np.any(expected == 0)
    scale = np.linalg.norm(matrix, axis=0)
    np.testing.assert_allclose(found * scale, expected * scale, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_inequalities_give_the_least_value(seed: int) -> None:
    generator = np.random.default_rng(seed)
    matrix, targets = generator.normal(size=(20, 4)), generator.normal(size=20)
    constraints, limits = generator.normal(size=(3, 4)), generator.uniform(0.0, 1.0, 3)

    def value(x: np.ndarray) -> float:
        return float(np.sum((matrix @ x - targets) ** 2))

    found = solve_constrained(matrix, targets, constraints, limits)
    assert np.all(constraints @ found >= limits - 1e-10)
    inequality = {"type": "ineq", "fun": lambda x: constraints @ x - limits}
    other = minimize(value, np.zeros(4), constraints=inequality, options={"ftol": 1e-15, "maxiter": 500})
    assert value(found) <= other.fun + 1e-9
    np.testing.assert_allclose(found, other.x, atol=1e-5)


def test_a_free_minimum_within_the_constraints_is_kept() -> None:
    generator = np.random.default_rng(5)
    matrix, exact = generator.normal(size=(30, 4)), np.array([1.0, 2.0, 3.0, 4.0])
    found = solve_constrained(matrix, matrix @ exact, np.eye(4), np.zeros(4))
    np.testing.assert_allclose(found, exact, rtol=1e-12)


def test_what_the_equations_leave_open_is_small() -> None:
    matrix = np.array([[1.0, 1.0, 0.0]])
    found = solve_constrained(matrix, np.array([2.0]), np.eye(3), np.array([0.0, 0.0, 0.5]))
    np.testing.assert_allclose(found, [1.0, 1.0, 0.5], atol=1e-7)


def test_constraints_that_exclude_each_other_are_noticed() -> None:
    with pytest.raises(ValueError, match="no values"):
        solve_constrained(np.eye(1), np.zeros(1), np.array([[1.0], [-1.0]]), np.array([1.0, 0.0]))
