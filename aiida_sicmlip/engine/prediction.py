"""Predicted energies and forces against labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_sicmlip.science.metrics import error_metrics

#: Energy, eV, and forces (N, 3), eV/A, of one frame.
Prediction = tuple[float, NDArray[np.float64]]


def prediction_errors(
    frames: Sequence[Atoms], predictions: Sequence[Prediction], *, fit_energy_offset: bool = False
) -> dict[str, Any]:
    """Return the errors of ``predictions`` on labelled ``frames``: forces in eV/A, energies in eV/atom."""
    return error_metrics(frames, predictions)
