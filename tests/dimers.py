"""The curves of a pair potential, from dimers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from ase import Atoms

from aiida_sicmlip.science.training.lennard_jones import LennardJonesPrior


def dimer_curve(
    prior: LennardJonesPrior, first: str, second: str, distances: Iterable[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the energies (eV) of a pair at distances (A), without those of the atoms, and their derivatives (eV/A)."""
    pairs = replace(prior, offsets=np.zeros_like(prior.offsets))
    found = [pairs.evaluate(Atoms([first, second], [[0, 0, 0], [0, 0, distance]])) for distance in distances]
    return np.array([each.energy for each in found]), np.array([each.forces[0, 2] for each in found])
