"""Which labels are too far from what a potential has to describe: a bound on their forces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def message_on_forces(forces: np.ndarray, symbols: Sequence[str], max_force: float) -> str | None:
    """Return why a label is not trained on: the atom with the largest force, if that is above a bound; else ``None``.

    :param forces: (N, 3) in eV/A.
    :param symbols: of the N atoms.
    :param max_force: the bound, in eV/A.
    """
    sizes = np.linalg.norm(np.asarray(forces, dtype=np.float64), axis=1)
    atom = int(np.argmax(sizes))
    if sizes[atom] <= max_force:
        return None
    return (
        f"the force on atom {atom} ({symbols[atom]}) is {sizes[atom]:.1f} eV/A, above `max_force`, {max_force:g} eV/A"
    )
