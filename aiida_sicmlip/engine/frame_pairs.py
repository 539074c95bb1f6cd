"""The same frames in two files, with reference and predicted labels."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.extended_xyz import LABEL_KEYS, read_extended_xyz

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

# Positions and cell vectors that differ by less (A) are equal up to the digits of a file.
_SAME_PLACE = 1e-3


def read_pairs(reference: Path, prediction: Path) -> list[tuple[Atoms, Atoms]]:
    """Return the frames of two files side by side.

    :raises InputError: when there is none, one file has more, or two of them are not the same.
    """
    pairs = []
    both = (read_extended_xyz(path, LABEL_KEYS) for path in (reference, prediction))
    for index, (frame, other) in enumerate(itertools.zip_longest(*both)):
        if frame is None or other is None:
            longer, shorter = (prediction, reference) if frame is None else (reference, prediction)
            raise InputError(f"`{shorter}` holds {index} frames and `{longer}` more: give as many, in the same order.")
        problem = _difference(frame, other)
        if problem:
            raise InputError(
                f"Frame {index}, counted from 0, {problem}: give predictions for the same frames in the same order."
            )
        pairs.append((frame, other))
    if not pairs:
        raise InputError(f"There is no frame in `{reference}` and `{prediction}`: give at least one.")
    return pairs


def _difference(frame: Atoms, other: Atoms) -> str | None:
    """Return how a frame of the prediction differs from the reference, if it does."""
    import numpy as np

    if not len(frame):
        return "has no atoms"
    if not np.array_equal(frame.numbers, other.numbers):
        return (
            f"is {frame.get_chemical_formula()} in the reference and {other.get_chemical_formula()} in the "
            "prediction, or its atoms are in another order"
        )
    if not np.allclose(frame.cell.array, other.cell.array, rtol=0.0, atol=_SAME_PLACE):
        return "has another cell in the prediction than in the reference"
    vectors = other.positions - frame.positions
    if abs(frame.cell.volume) > 1e-8:
        fractional = vectors @ np.linalg.inv(frame.cell.array)
        vectors = (fractional - np.round(fractional)) @ frame.cell.array
    distances = np.linalg.norm(vectors, axis=1)
    # Written so that NaN counts as different.
    if not distances.max() <= _SAME_PLACE:
        atom = int(distances.argmax())
        return (
            f"has atom {atom} at another position in the prediction, {distances[atom]:.4f} A from that of the reference"
        )
    return None


def forces_of_frame(frame: Atoms, path: Path, index: int) -> np.ndarray:
    """Return the forces (N, 3) that a frame carries, in eV/A.

    :raises InputError: when there are none, or one is not finite.
    """
    import numpy as np

    # Those of the calculator, without constraints.
    forces = None if frame.calc is None else frame.calc.get_property("forces", frame, allow_calculation=False)
    if forces is None:
        raise InputError(
            f"Frame {index}, counted from 0, of `{path}` has no forces: give them as the columns `forces`, in eV/A."
        )
    forces = np.asarray(forces, dtype=float)
    if not np.isfinite(forces).all():
        raise InputError(f"Frame {index}, counted from 0, of `{path}` has a force that is not finite.")
    return forces


def energy_of_frame(frame: Atoms) -> float:
    """Return the total energy that a frame carries, in eV; NaN where there is none or it is not finite."""
    import numpy as np

    energy = None if frame.calc is None else frame.calc.get_property("energy", frame, allow_calculation=False)
    return float(energy) if energy is not None and np.isfinite(energy) else np.nan
