"""A bound on the forces of labels that a potential is trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def message_on_forces(forces: np.ndarray, symbols: Sequence[str], max_force: float) -> str | None:
    """Return a message that names the atom with the largest force if it exceeds a bound; else ``None``.

    :param forces: (N, 3) in eV/A.
    :param symbols: chemical symbols of the N atoms.
    :param max_force: bound on the force on an atom, in eV/A.
    """
    sizes = np.linalg.norm(np.asarray(forces, dtype=np.float64), axis=1)
    atom = int(np.argmax(sizes))
    if sizes[atom] <= max_force:
        return None
    return (
        f"the force on atom {atom} ({symbols[atom]}) is {sizes[atom]:.1f} eV/A, above `max_force`, {max_force:g} eV/A"
    )
