"""From the disagreement of a committee to the error of its forces, on configurations that it was not trained on.

The largest error of a force in a configuration is taken as proportional to the largest disagreement in it: a committee
of few members is wrong by a multiple of its disagreement (G. Imbalzano et al., J. Chem. Phys. 154, 074102 (2021)). The
slope is the median of the ratios of labelled configurations, which a few failures do not shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.evaluation.committee import summarise_disagreement
from aiida_sicmlip.science.settings import Settings, integer, number


@dataclass(frozen=True)
class CalibrationSettings(Settings):
    """How the disagreement that stops walkers follows from the errors of a committee.

    The line from disagreement to error is fitted on the new labels of the round before, with the committee that
    explored it; where that had none, on the validation set, with the new committee.
    """

    PREFIX = "exploration.calibration."

    max_error: float = number(
        15.0,
        "walkers are stopped where the error of the force on an atom is expected to be larger; half of what the "
        "filters take for unphysical, as less kept young potentials from all that was new to them",
        unit="eV/A",
        above=0,
    )
    minimum_labels: int = integer(
        5, "with fewer labels, `max_disagreement` of the parameters is kept", unit="labels", at_least=3
    )
    smallest: float = number(0.5, "lower bound of the disagreement that stops walkers", unit="eV/A", above=0)
    largest: float = number(4.5, "upper bound of the disagreement that stops walkers", unit="eV/A", above=0)
    multiple_of_median: float = number(
        2.0,
        "walkers are stopped at no less than this multiple of the median disagreement on the labels, whatever the "
        "other bounds, so that they can leave what is labelled",
        at_least=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.largest < self.smallest:
            raise InputError(
                f"`{self.PREFIX}largest` is {self.largest}, less than `smallest`, {self.smallest}: exchange them."
            )


def calibrate(
    disagreement: Sequence[float] | np.ndarray, error: Sequence[float] | np.ndarray, settings: CalibrationSettings
) -> dict[str, Any]:
    """Return the line from disagreement to error, and the disagreement at which the accepted error is reached.

    Keys: `n_labels`; `slope` of the line through the origin, the median of error / disagreement, and `slope_interval`,
    between the ratios that enclose it with a probability of two thirds (of the order statistics of a median);
    `rank_correlation` of both; `max_error` (eV/A); `max_disagreement` (eV/A), within the bounds of the settings, its
    `max_disagreement_interval` without them, and `bound`, the setting that applies instead. With fewer labels than
    required the slope and what follows from it are None.

    :param disagreement: largest on the forces of each labelled configuration, (F,) eV/A.
    :param error: largest of the force on an atom of each configuration, (F,) eV/A.
    :raises InputError: when the lengths differ, or a value is negative or not finite.
    """
    disagreement, error = np.asarray(disagreement, dtype=float), np.asarray(error, dtype=float)
    if disagreement.shape != error.shape or disagreement.ndim != 1:
        raise InputError(
            f"There are {disagreement.size} disagreements and {error.size} errors: give one of each for every label."
        )
    if not (np.isfinite(disagreement) & np.isfinite(error) & (disagreement >= 0) & (error >= 0)).all():
        raise InputError("Disagreements and errors must be finite and not negative.")
    known = disagreement > 0
    ratios = np.sort(error[known] / disagreement[known])
    result: dict[str, Any] = {
        "n_labels": len(disagreement),
        "slope": None,
        "slope_interval": None,
        "rank_correlation": None,
        "max_error": settings.max_error,
        "max_disagreement": None,
        "max_disagreement_interval": None,
        "bound": None,
    }
    if len(ratios) < settings.minimum_labels or not np.median(ratios) > 0:
        return result
    slope = float(np.median(ratios))
    low, high = _interval_of_median(ratios)
    expected = settings.max_error / slope
    bounds = {
        "smallest": max(expected, settings.smallest),
        "largest": min(expected, settings.largest),
        "multiple_of_median": settings.multiple_of_median * float(np.median(disagreement)),
    }
    bound = next((name for name in ("smallest", "largest") if bounds[name] != expected), None)
    limited = expected if bound is None else bounds[bound]
    if bounds["multiple_of_median"] > limited:
        bound, limited = "multiple_of_median", bounds["multiple_of_median"]
    return result | {
        "slope": slope,
        "slope_interval": [low, high],
        "rank_correlation": summarise_disagreement(disagreement, error).rank_correlation,
        "max_disagreement": limited,
        "max_disagreement_interval": [settings.max_error / high, settings.max_error / low if low > 0 else None],
        "bound": bound,
    }


def _interval_of_median(ordered: np.ndarray) -> tuple[float, float]:
    """Return the values that enclose the median of the distribution with a probability of about two thirds.

    The number of n values below it has a binomial distribution of the standard deviation sqrt(n) / 2.
    """
    skipped = int((len(ordered) - np.sqrt(len(ordered))) / 2.0)
    return float(ordered[skipped]), float(ordered[-1 - skipped])


def message_of_calibration(calibration: dict[str, Any]) -> str:
    """Return a message with the slope, its uncertainty and the disagreement that stops walkers."""
    n_labels = calibration["n_labels"]
    if calibration["slope"] is None:
        return (
            f"{n_labels} labels do not suffice to calibrate the disagreement of the committee: the settings "
            "`max_disagreement` of walkers and selection hold"
        )
    low, high = calibration["slope_interval"]
    bound = f" (`{CalibrationSettings.PREFIX}{calibration['bound']}`)" if calibration["bound"] else ""
    return (
        f"the largest error of a force is {calibration['slope']:.3g} ({low:.3g} to {high:.3g}) times the largest "
        f"disagreement of the committee in {n_labels} labels; walkers are stopped at a disagreement of "
        f"{calibration['max_disagreement']:.3g} eV/A{bound}, for an error of {calibration['max_error']:g} eV/A"
    )
