"""The line from disagreement to error: recovered where it is known, and not led astray by failures."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.evaluation.calibration import CalibrationSettings, calibrate, message_of_calibration

SETTINGS = CalibrationSettings()
WITHOUT_MEDIAN = CalibrationSettings(multiple_of_median=0.0)


def labels(count: int, slope: float, seed: int, scatter: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Disagreements, and errors that are a multiple of them but for a factor whose median is 1."""
    rng = np.random.default_rng(seed)
    disagreement = rng.uniform(0.1, 2.0, count)
    return disagreement, slope * disagreement * np.exp(rng.normal(0.0, scatter, count))


def test_exact_line() -> None:
    found = calibrate(np.linspace(0.1, 2.0, 20), 4.0 * np.linspace(0.1, 2.0, 20), WITHOUT_MEDIAN)
    assert found["slope"] == pytest.approx(4.0) and found["slope_interval"] == pytest.approx([4.0, 4.0])
    assert found["max_disagreement"] == pytest.approx(15.0 / 4.0) and found["bound"] is None
    assert found["rank_correlation"] == pytest.approx(1.0)


def test_interval_holds_the_slope_in_two_thirds_of_all_cases() -> None:
    inside = []
    for seed in range(600):
        low, high = calibrate(*labels(24, 3.0, seed), SETTINGS)["slope_interval"]
        inside.append(low <= 3.0 <= high)
    # The standard deviation of this share is 0.02.
    assert np.mean(inside) == pytest.approx(0.68, abs=0.06)


def test_interval_narrows_with_the_number_of_labels() -> None:
    few, many = (calibrate(*labels(count, 3.0, 1), SETTINGS)["slope_interval"] for count in (20, 2000))
    assert many[1] - many[0] < 0.3 * (few[1] - few[0])
    assert many == pytest.approx([3.0, 3.0], rel=0.03)


def test_failures_do_not_move_the_line() -> None:
    """Three collapsed configurations of thirty shift the least-squares line by much, and this one by little."""
    disagreement, error = labels(30, 3.0, 5, scatter=0.1)
    spoilt = error.copy()
    spoilt[:3] *= 100.0
    slopes = [calibrate(disagreement, values, SETTINGS)["slope"] for values in (error, spoilt)]
    assert slopes[1] == pytest.approx(slopes[0], rel=0.05)
    assert (disagreement @ spoilt) / (disagreement @ disagreement) > 2.0 * slopes[0]


def test_units_and_order_of_the_labels_do_not_matter() -> None:
    disagreement, error = labels(25, 3.0, 2)
    order = np.random.default_rng(3).permutation(25)
    assert calibrate(disagreement[order], error[order], SETTINGS) == calibrate(disagreement, error, SETTINGS)
    doubled = calibrate(2.0 * disagreement, 2.0 * error, SETTINGS)
    assert doubled["slope"] == pytest.approx(calibrate(disagreement, error, SETTINGS)["slope"])


@pytest.mark.parametrize(("slope", "bound", "expected"), [(100.0, "smallest", 0.5), (0.1, "largest", 4.5)])
def test_bounds_of_the_disagreement(slope: float, bound: str, expected: float) -> None:
    found = calibrate(*labels(30, slope, 4), WITHOUT_MEDIAN)
    assert (found["bound"], found["max_disagreement"]) == (bound, expected)
    low, high = found["max_disagreement_interval"]
    assert low < 15.0 / found["slope"] < high
    assert f"(`exploration.calibration.{bound}`)" in message_of_calibration(found)


def test_walkers_can_leave_what_is_labelled() -> None:
    """A weak potential is wrong by the accepted error everywhere; its bound is beyond its usual disagreement."""
    disagreement = np.linspace(2.0, 4.0, 21)
    found = calibrate(disagreement, 4.0 * disagreement, SETTINGS)
    assert (found["bound"], found["max_disagreement"]) == ("multiple_of_median", pytest.approx(6.0))
    held = calibrate(disagreement, 4.0 * disagreement, WITHOUT_MEDIAN)
    assert (held["bound"], held["max_disagreement"]) == (None, pytest.approx(3.75))


def test_few_labels_calibrate_nothing() -> None:
    found = calibrate(*labels(4, 3.0, 1), SETTINGS)
    assert (found["n_labels"], found["slope"], found["max_disagreement"]) == (4, None, None)
    message = message_of_calibration(found)
    assert message.startswith("4 labels do not suffice to calibrate the disagreement of the committee: ")
    assert "`max_disagreement` of walkers and selection hold" in message
    # Members that agree everywhere say nothing of the error.
    assert calibrate(np.zeros(30), np.ones(30), SETTINGS)["slope"] is None


def test_wrong_input() -> None:
    with pytest.raises(InputError, match="3 disagreements and 2 errors"):
        calibrate([1.0, 2.0, 3.0], [1.0, 2.0], SETTINGS)
    with pytest.raises(InputError, match="finite"):
        calibrate([1.0, np.nan], [1.0, 2.0], SETTINGS)
    with pytest.raises(InputError, match="less than `smallest`"):
        CalibrationSettings(smallest=2.0, largest=1.0)
