"""Disagreement of the members of a committee of potentials on the same configurations.

With M members, including the evaluated potential, the disagreement on the force on an atom is the root mean square
distance of their forces from the mean force, sqrt(1/M sum_m |F_m - <F>|^2), in eV/A (Y. Zhang et al., Comput. Phys.
Commun. 253, 107206 (2020)). The disagreement on the energy of a frame of N atoms is the standard deviation of their
energies over N, sqrt(1/M sum_m (E_m - <E>)^2) / N, in eV/atom. Both are 0 where all agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from aiida_sicmlip.common.exceptions import InputError

LEAST_POINTS = 3
"""Two points are always perfectly correlated."""


@dataclass(frozen=True)
class DisagreementSummary:
    """Disagreement on the forces on atoms or on the energies of frames, and its correlation with the errors.

    mean: of all atoms or frames, eV/A or eV/atom.
    maximum: of all atoms or frames.
    rank_correlation: Spearman's coefficient of disagreement and error, from -1 to 1; 1 where the order of the
        disagreements is that of the errors. None for too few or equal values.
    """

    mean: float
    maximum: float
    rank_correlation: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def force_disagreement(forces: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Return the disagreement (A,) on the forces on A atoms, in eV/A.

    :param forces: (M, A, 3) of all members, eV/A.
    :raises InputError: when there are fewer than two members, or their shapes differ.
    """
    stacked = _of_members("forces", forces)
    return np.asarray(np.sqrt(stacked.var(axis=0).sum(axis=-1)))


def energy_disagreement(energies: Sequence[np.ndarray] | np.ndarray, n_atoms: np.ndarray) -> np.ndarray:
    """Return the disagreement (F,) on the energies of F frames, in eV/atom.

    :param energies: total energies (M, F) of all members, eV; with a common zero of energy.
    :param n_atoms: of each frame, (F,).
    :raises InputError: when there are fewer than two members, or their shapes differ.
    """
    return np.asarray(_of_members("energies", energies).std(axis=0) / n_atoms)


def summarise_disagreement(disagreement: np.ndarray, error: np.ndarray) -> DisagreementSummary:
    """Return mean and maximum of the disagreements of n atoms or frames, and their correlation with the errors.

    :param disagreement: (n,).
    :param error: (n,), such as the length of the difference of predicted and reference
        force, or the absolute error of the energy per atom.
    :raises InputError: when the shapes differ or there is nothing.
    """
    disagreement, error = np.asarray(disagreement, dtype=float), np.asarray(error, dtype=float)
    if disagreement.shape != error.shape or not len(error):
        raise InputError(
            f"There are {disagreement.size} disagreements and {error.size} errors: give one of each for every atom or "
            "frame."
        )
    correlation = None
    if len(error) >= LEAST_POINTS and np.ptp(disagreement) > 0 and np.ptp(error) > 0:
        correlation = float(np.clip(np.corrcoef(rankdata(disagreement), rankdata(error))[0, 1], -1.0, 1.0))
    return DisagreementSummary(float(disagreement.mean()), float(disagreement.max()), correlation)


def _of_members(what: str, values: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Return the values of all members as one array.

    :raises InputError: when there are fewer than two, or their shapes differ.
    """
    if len(values) < 2:
        raise InputError(f"There are {what} of {len(values)} member(s) of a committee: it takes at least two.")
    shapes = {np.shape(value) for value in values}
    if len(shapes) > 1:
        raise InputError(f"The members of a committee give {what} of different shapes ({shapes}): give the same atoms.")
    return np.array(values, dtype=float)
