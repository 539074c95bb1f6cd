"""Errors of predicted energies and forces against reference labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.labels.labelled_frames import label_of_frame

# Positions that differ by less (A) are equal up to the digits of a file.
_SAME_POSITION = 1e-4

N_WORST = 10
"""Number of listed frames with the largest errors."""


@dataclass(frozen=True)
class ForceErrors:
    """Errors of the forces on n atoms; d is prediction minus reference. None where there are no atoms.

    force_mae: mean of |d| over all 3 n Cartesian components, eV/A.
    force_rmse: root of the mean of d squared over the same components, eV/A.
    force_r2: coefficient of determination of the components (:func:`determination`).
    """

    n_atoms: int
    force_mae: float | None
    force_rmse: float | None
    force_r2: float | None


@dataclass(frozen=True)
class EnergyErrors:
    """Errors of the energies of n frames, divided by their numbers of atoms; d is prediction minus reference.

    energy_mae: mean of |d|, eV/atom; None where there are no frames.
    energy_rmse: root of the mean of d squared, eV/atom; None where there are no frames.
    energy_r2: coefficient of determination of the energies per atom (:func:`determination`).
    """

    n_frames: int
    energy_mae: float | None
    energy_rmse: float | None
    energy_r2: float | None


@dataclass(frozen=True)
class WorstFrame:
    """A frame with a large error.

    place: index in the data set.
    force_mae: mean of |d| over the components of the frame, eV/A.
    force_max: largest |d| of a component, eV/A.
    energy_error: d of the total energy over the number of atoms, with its sign, eV/atom.
    """

    place: int
    force_mae: float
    force_max: float
    energy_error: float


@dataclass(frozen=True)
class ErrorMetrics:
    """Errors over F frames with A atoms in all of them together; d is prediction minus reference.

    force_mae: mean of |d| over all 3 A Cartesian components, eV/A.
    force_rmse: root of the mean of d squared over the same components, eV/A.
    force_max: largest |d| of a component, eV/A.
    energy_mae: mean over frames of |d| of the total energy divided by the frame's number of atoms, eV/atom.
    energy_rmse: root of the mean of the squares of the same, eV/atom.
    force_r2: coefficient of determination of the force components (:func:`determination`).
    energy_r2: coefficient of determination of the energies per atom.
    force_mae_per_frame: mean of |d| over the components of each frame, eV/A, F values.
    energy_error_per_frame: d of the total energy over the number of atoms, with its sign, eV/atom, F values.
    force_mae_per_species: mean of |d| over the components of the atoms of each species, eV/A.
    by_species: all errors of the forces on the atoms of each species.
    worst_frames: the frames with the largest force MAE, the worst first, at most :data:`N_WORST`.
    energy_offsets: what was added to the predicted energies for each atom of a species, eV; empty without a fit.
    """

    n_frames: int
    n_atoms: int
    force_mae: float
    force_rmse: float
    force_max: float
    energy_mae: float
    energy_rmse: float
    force_r2: float | None
    energy_r2: float | None
    force_mae_per_frame: list[float]
    energy_error_per_frame: list[float]
    force_mae_per_species: dict[str, float]
    by_species: dict[str, ForceErrors]
    worst_frames: list[WorstFrame]
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
        (:func:`fit_energy_offsets`), for potentials with another zero of energy.
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
    reference_forces = np.concatenate([force for _, force in labels])
    predicted_forces = np.concatenate([force for _, force in predictions])
    magnitudes = np.abs(predicted_forces - reference_forces)  # (A, 3)
    of_forces = force_errors(predicted_forces, reference_forces)
    reference_per_atom = np.array([energy for energy, _ in labels]) / sizes
    per_atom = energies / sizes
    starts = np.cumsum(sizes) - sizes
    mae_per_frame = np.add.reduceat(magnitudes.mean(axis=1), starts) / sizes
    max_per_frame = np.maximum.reduceat(magnitudes.max(axis=1), starts)
    worst = np.argsort(-mae_per_frame, kind="stable")[:N_WORST]
    by_species = {
        chemical_symbols[z]: force_errors(predicted_forces[numbers == z], reference_forces[numbers == z])
        for z in np.unique(numbers)
    }
    return ErrorMetrics(
        n_frames=len(reference),
        n_atoms=len(numbers),
        force_mae=float(magnitudes.mean()),
        force_rmse=float(np.sqrt((magnitudes**2).mean())),
        force_max=float(magnitudes.max()),
        energy_mae=float(np.abs(per_atom).mean()),
        energy_rmse=float(np.sqrt((per_atom**2).mean())),
        force_r2=of_forces.force_r2,
        energy_r2=determination(reference_per_atom + per_atom, reference_per_atom),
        force_mae_per_frame=[float(value) for value in mae_per_frame],
        energy_error_per_frame=[float(value) for value in per_atom],
        force_mae_per_species={chemical_symbols[z]: float(magnitudes[numbers == z].mean()) for z in np.unique(numbers)},
        by_species=by_species,
        worst_frames=[
            WorstFrame(int(place), float(mae_per_frame[place]), float(max_per_frame[place]), float(per_atom[place]))
            for place in worst
        ],
        energy_offsets=offsets,
    )


def force_errors(predicted: np.ndarray, reference: np.ndarray) -> ForceErrors:
    """Return the errors of predicted forces (N, 3) against reference forces (N, 3), both in eV/A.

    :raises InputError: when the shapes differ.
    """
    predicted, reference = _same_shape("forces", predicted, reference)
    if not len(reference):
        return ForceErrors(0, None, None, None)
    difference = predicted - reference
    return ForceErrors(
        n_atoms=len(reference),
        force_mae=float(np.abs(difference).mean()),
        force_rmse=float(np.sqrt((difference**2).mean())),
        force_r2=determination(predicted, reference),
    )


def energy_errors(predicted: np.ndarray, reference: np.ndarray) -> EnergyErrors:
    """Return the errors of predicted energies (F,) against reference energies (F,), both in eV/atom.

    :raises InputError: when the shapes differ.
    """
    predicted, reference = _same_shape("energies", predicted, reference)
    if not len(reference):
        return EnergyErrors(0, None, None, None)
    difference = predicted - reference
    return EnergyErrors(
        n_frames=len(reference),
        energy_mae=float(np.abs(difference).mean()),
        energy_rmse=float(np.sqrt((difference**2).mean())),
        energy_r2=determination(predicted, reference),
    )


def determination(predicted: np.ndarray, reference: np.ndarray) -> float | None:
    """Return the coefficient of determination R2 of predicted values against reference values of the same shape.

    1 - sum (predicted - reference)^2 / sum (reference - mean of the references)^2 over all values: 1 for a perfect
    model, 0 for one that always predicts the mean, negative for a worse one. None where all references are equal.
    """
    predicted, reference = _same_shape("values", predicted, reference)
    if reference.size < 2 or np.ptp(reference) == 0.0:
        return None
    return float(1.0 - ((predicted - reference) ** 2).sum() / ((reference - reference.mean()) ** 2).sum())


def _same_shape(what: str, predicted: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    predicted, reference = np.asarray(predicted, dtype=float), np.asarray(reference, dtype=float)
    if predicted.shape != reference.shape:
        raise InputError(
            f"Predicted {what} have the shape {predicted.shape}, reference {what} {reference.shape}: give as many."
        )
    return predicted, reference


def fit_energy_offsets(counts: np.ndarray, energy_differences: np.ndarray) -> np.ndarray:
    """Return energies e per species that bring `counts @ e` nearest to the differences, per atom, by least squares.

    Minimised is the sum over frames of ((difference - counts @ e) / number of atoms) squared. Where compositions do not
    determine the energies (as when all frames have one composition), the minimum-norm solution is taken.

    :param counts: (F, S) number of atoms of each species in each frame.
    :param energy_differences: (F,) reference minus predicted total energies, eV.
    :return: (S,) eV for each atom.
    """
    sizes = counts.sum(axis=1)
    solution, *_ = np.linalg.lstsq(counts / sizes[:, None], energy_differences / sizes, rcond=None)
    return np.asarray(solution)
