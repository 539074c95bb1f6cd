"""Force errors in rare events: magnitude and direction on migrating atoms, their surroundings and elsewhere.

The error of the magnitude is delta_F = | |F_predicted| - |F_reference| |, that of the direction, delta_theta, the angle
between the two. NAC is the normalised area under the cumulative distribution of an error, from 0 to 1 eV/A or 90
degrees in 20 bins; the score P is the product of both, 1 for a perfect model. From Y. Liu, X. He and Y. Mo, npj Comput.
Mater. 9, 174 (2023). Means over all atoms hide errors on the few that migrate; models selected by P describe diffusion
better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from aiida_sicmlip.common.exceptions import InputError

MAGNITUDE_RANGE = 1.0
"""eV/A; larger errors of the magnitude add nothing to the area."""
ANGLE_RANGE = 90.0
"""Degrees; larger errors of the direction add nothing to the area."""
BINS = 20

NO_DIRECTION = 1e-6
"""A force shorter than this, in eV/A, counts as zero: its direction is noise."""


@dataclass(frozen=True)
class ErrorDistribution:
    """Distribution of the errors of n atoms.

    mean: of all errors, including those beyond the range; None where n is 0.
    nac: :func:`normalised_area` of the errors; None where n is 0.
    edges: of the bins, one more than there are bins; eV/A or degrees.
    counts: errors in each bin, a bin's upper edge included, and in the first bin its lower one.
    beyond: errors above the last edge; with the counts they make n.
    """

    n: int
    mean: float | None
    nac: float | None
    edges: list[float]
    counts: list[int]
    beyond: int


@dataclass(frozen=True)
class ForceScore:
    """Errors of the forces on a set of atoms.

    force_mae: mean absolute error of the Cartesian components, eV/A; None without atoms.
    force_rmse: root mean square error of the same, eV/A.
    n_without_direction: atoms whose reference force is of zero length; they have no delta_theta.
    delta_f: errors of the magnitude, eV/A.
    delta_theta: errors of the direction, degrees.
    score: P, the product of both areas; None where one is missing.
    reason: why there is no score, else None.
    """

    n_atoms: int
    force_mae: float | None
    force_rmse: float | None
    n_without_direction: int
    delta_f: ErrorDistribution
    delta_theta: ErrorDistribution
    score: float | None
    reason: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def magnitude_errors(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return delta_F (N,) of forces (N, 3), in their unit."""
    return np.asarray(np.abs(np.linalg.norm(predicted, axis=-1) - np.linalg.norm(reference, axis=-1)))


def direction_errors(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return delta_theta (N,) in degrees, 0 to 180, of forces (N, 3) in eV/A.

    NaN where the reference is of zero length (:data:`NO_DIRECTION`). Where only the prediction is of zero length, 90:
    the mean for random directions.
    """
    reference, predicted = np.asarray(reference, dtype=float), np.asarray(predicted, dtype=float)
    crossed = np.linalg.norm(np.cross(predicted, reference), axis=-1)
    # Unlike the arc cosine, this is accurate at small angles.
    angles = np.degrees(np.arctan2(crossed, (predicted * reference).sum(axis=-1)))
    angles[np.linalg.norm(predicted, axis=-1) < NO_DIRECTION] = 90.0
    angles[np.linalg.norm(reference, axis=-1) < NO_DIRECTION] = np.nan
    return np.asarray(angles)


def error_distribution(errors: np.ndarray, upper: float, bins: int = BINS) -> ErrorDistribution:
    """Return the distribution of errors (N,) in bins of equal width from 0 to `upper`.

    :raises InputError: when there is no bin.
    """
    edges, below = _cumulative(errors, upper, bins)
    n = len(errors)
    return ErrorDistribution(
        n=n,
        mean=float(np.mean(errors)) if n else None,
        nac=normalised_area(errors, upper, bins) if n else None,
        edges=[float(edge) for edge in edges],
        counts=[int(count) for count in np.diff(below, prepend=0)],
        beyond=int(n - below[-1]),
    )


def normalised_area(errors: np.ndarray, upper: float, bins: int = BINS) -> float:
    """Return NAC: the area under the cumulative distribution of errors (N,) from 0 to `upper`, over the whole area.

    The area is that of bars as high as the share of errors up to the upper edge of their bin, so that it is 1 where all
    errors are in the first bin, and 0 where all are beyond the range. Those beyond count in the total. In the limit of
    many bins it becomes 1 - mean(min(error, upper)) / upper; bars are larger than that by 1 / bins at most, half of it
    for errors spread evenly. A difference within one bin is therefore not seen.

    :raises InputError: when there is no error or no bin.
    """
    if not len(errors):
        raise InputError("There are no errors, and so no distribution of them: give those of one atom or more.")
    _, below = _cumulative(errors, upper, bins)
    return float(below.mean() / len(errors))


def score_forces(predicted: np.ndarray, reference: np.ndarray, bins: int = BINS) -> ForceScore:
    """Compare predicted forces (N, 3) with reference forces (N, 3) of the same atoms, both in eV/A.

    :raises InputError: when the shapes differ or there is no bin.
    """
    predicted, reference = np.asarray(predicted, dtype=float), np.asarray(reference, dtype=float)
    if predicted.shape != reference.shape or reference.ndim != 2 or reference.shape[1] != 3:
        raise InputError(
            f"Predicted forces have the shape {predicted.shape}, reference forces {reference.shape}: give (N, 3) both."
        )
    angles = direction_errors(predicted, reference)
    has_direction = ~np.isnan(angles)
    magnitude = error_distribution(magnitude_errors(predicted, reference), MAGNITUDE_RANGE, bins)
    direction = error_distribution(angles[has_direction], ANGLE_RANGE, bins)
    difference = predicted - reference
    n = len(reference)
    score, reason = None, None
    if magnitude.nac is not None and direction.nac is not None:
        score = magnitude.nac * direction.nac
    elif n:
        reason = "All reference forces are of zero length, so that no direction can be compared."
    else:
        reason = "There are no such atoms."
    return ForceScore(
        n_atoms=n,
        force_mae=float(np.abs(difference).mean()) if n else None,
        force_rmse=float(np.sqrt((difference**2).mean())) if n else None,
        n_without_direction=int(n - has_direction.sum()),
        delta_f=magnitude,
        delta_theta=direction,
        score=score,
        reason=reason,
    )


def score_regions(
    predicted: np.ndarray, reference: np.ndarray, regions: Mapping[str, np.ndarray], bins: int = BINS
) -> dict[str, ForceScore]:
    """Compare forces (A, 3) in eV/A, those of all frames together, on the atoms of each region and on all.

    :param regions: the atoms of each region, (A,) bool, such as
        :attr:`~aiida_sicmlip.science.defects.migrating_atoms.FrameDefects.regions` gives for each frame.
    :return: scores by region, and last that of `all`.
    :raises InputError: as :func:`score_forces`.
    """
    scores = {name: score_forces(predicted[atoms], reference[atoms], bins) for name, atoms in regions.items()}
    return scores | {"all": score_forces(predicted, reference, bins)}


def _cumulative(errors: np.ndarray, upper: float, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges of the bins, and how many errors are not above the upper edge of each."""
    if bins < 1:
        raise InputError(f"The number of bins is {bins}: give a whole number from 1.")
    edges = np.linspace(0.0, upper, bins + 1)
    return edges, np.searchsorted(np.sort(errors), edges[1:], side="right")
