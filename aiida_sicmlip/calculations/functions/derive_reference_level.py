"""The level of theory of labels by a reference potential."""

from aiida.engine import calcfunction
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.data.labels import level_of_potential
from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def derive_reference_level(potential: LammpsPotentialData) -> LevelOfTheoryData:
    """Return what decides the energies and forces of labels by a classical potential: pair style and file."""
    return LevelOfTheoryData(level_of_potential(potential))
