"""Errors of predicted energies and forces against reference labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.io.labelled_frames import label_of_frame

# Positions that differ by less (A) are the same, written by a program with fewer digits.
_SAME_POSITION = 1e-4


@dataclass(frozen=True)
class ErrorMetrics:
    """Errors over F frames with A atoms in all of them together; d is prediction minus reference.

    force_mae: mean of |d| over all 3 A Cartesian components, eV/A.
    force_rmse: root of the mean of d squared over the same components, eV/A.
    force_max: greatest |d| of a component, eV/A.
    energy_mae: mean over frames of |d| of the total energy divided by the frame's number of atoms, eV/atom.
    energy_rmse: root of the mean of the squares of the same, eV/atom.
    force_mae_per_frame: mean of |d| over the components of each frame, eV/A, F values.
    energy_error_per_frame: d of the total energy over the number of atoms, with its sign, eV/atom, F values.
    force_mae_per_species: mean of |d| over the components of the atoms of each species, eV/A.
    energy_offsets: what was added to the predicted energies for each atom of a species, eV; empty without a fit.
    """

    n_frames: int
    n_atoms: int
    force_mae: float
    force_rmse: float
    force_max: float
    energy_mae: float
    energy_rmse: float
    force_mae_per_frame: list[float]
    energy_error_per_frame: list[float]
    force_mae_per_species: dict[str, float]
    energy_offsets: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def error_metrics(
    reference: Sequence[Atoms], predicted: Sequence[Atoms], *, fit_energy_offset: bool = False
) -> ErrorMetrics:
    """Compare labelled frames with predictions for the same configurations in the same order.

    :param reference: frames with energy (eV) and forces (eV/A).
    :param predicted: the same configurations with predicted energy and forces.
    :param fit_energy_offset: add to the predictions an energy for each species that fits the reference best
        (:func:`fit_energy_offsets`), for potentials whose zero of energy is another one.
    :raises InputError: when there are no frames, their numbers or atoms differ, or a label is missing.
    """
    if not len(reference):
        raise InputError("There are no frames to compare: give at least one.")
    if len(reference) != len(predicted):
        raise InputError(
            f"There are {len(reference)} reference frames, but {len(predicted)} predictions: give as many."
        )
    for index, (frame, other) in enumerate(zip(reference, predicted, strict=True)):
        if not np.array_equal(frame.numbers, other.numbers):
            raise InputError(
                f"Frame {index} is {frame.get_chemical_formula()} in the reference and {other.get_chemical_formula()} "
                "in the prediction, or its atoms stand in another order: give predictions for the same configurations."
            )
        if np.abs(frame.positions - other.positions).max() > _SAME_POSITION:
            raise InputError(
                f"Frame {index} has other positions in the prediction than in the reference: give predictions for the "
                "same configurations in the same order."
            )
    labels = [label_of_frame(frame, index) for index, frame in enumerate(reference)]
    predictions = [label_of_frame(frame, index) for index, frame in enumerate(predicted)]
    sizes = np.array([len(frame) for frame in reference])
    numbers = np.concatenate([frame.numbers for frame in reference])
    energies = np.array([energy for energy, _ in predictions]) - np.array([energy for energy, _ in labels])
    offsets: dict[str, float] = {}
    if fit_energy_offset:
        elements = np.unique(numbers)
        counts = np.array([[np.count_nonzero(frame.numbers == z) for z in elements] for frame in reference])
        values = fit_energy_offsets(counts, -energies)
        energies = energies + counts @ values
        offsets = {chemical_symbols[z]: float(value) for z, value in zip(elements, values, strict=True)}
    forces = np.concatenate(
        [force - other for (_, force), (_, other) in zip(predictions, labels, strict=True)]
    )  # (A, 3)
    magnitudes = np.abs(forces)
    per_atom = energies / sizes
    ends = np.cumsum(sizes)
    return ErrorMetrics(
        n_frames=len(reference),
        n_atoms=len(numbers),
        force_mae=float(magnitudes.mean()),
        force_rmse=float(np.sqrt((forces**2).mean())),
        force_max=float(magnitudes.max()),
        energy_mae=float(np.abs(per_atom).mean()),
        energy_rmse=float(np.sqrt((per_atom**2).mean())),
        force_mae_per_frame=[float(magnitudes[end - size : end].mean()) for end, size in zip(ends, sizes, strict=True)],
        energy_error_per_frame=[float(value) for value in per_atom],
        force_mae_per_species={chemical_symbols[z]: float(magnitudes[numbers == z].mean()) for z in np.unique(numbers)},
        energy_offsets=offsets,
    )


def fit_energy_offsets(counts: np.ndarray, energy_differences: np.ndarray) -> np.ndarray:
    """Return energies e per species that bring `counts @ e` nearest to the differences, per atom, by least squares.

    Minimised is the sum over frames of ((difference - counts @ e) / number of atoms) squared. Where compositions do
    not determine the energies (as when all frames have one composition), the solution of least norm is taken.

    :param counts: (F, S) number of atoms of each species in each frame.
    :param energy_differences: (F,) reference minus predicted total energies, eV.
    :return: (S,) eV for each atom.
    """
    sizes = counts.sum(axis=1)
    solution, *_ = np.linalg.lstsq(counts / sizes[:, None], energy_differences / sizes, rcond=None)
    return np.asarray(solution)
