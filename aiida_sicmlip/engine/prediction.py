"""Errors of predicted energies and forces with respect to labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

from aiida_sicmlip.science.evaluation.metrics import error_metrics

#: Energy, eV, and forces (N, 3), eV/A, of one frame.
Prediction = tuple[float, NDArray[np.float64]]


def prediction_errors(
    frames: Sequence[Atoms], predictions: Sequence[Prediction], *, fit_energy_offset: bool = False
) -> dict[str, Any]:
    """Return the errors of ``predictions`` for labelled ``frames``: forces in eV/A, energies in eV/atom.

    Keys are those of :class:`~aiida_sicmlip.science.evaluation.metrics.ErrorMetrics`, and ``energy_offset_fitted``.

    :param fit_energy_offset: whether to fit an energy offset of each element before the comparison.
    """
    predicted = []
    for frame, (energy, forces) in zip(frames, predictions, strict=True):
        copy = Atoms(numbers=frame.numbers, positions=frame.positions, cell=frame.cell, pbc=frame.pbc)
        copy.calc = SinglePointCalculator(copy, energy=energy, forces=forces)
        predicted.append(copy)
    metrics = error_metrics(frames, predicted, fit_energy_offset=fit_energy_offset)
    return {**metrics.to_dict(), "energy_offset_fitted": fit_energy_offset}
