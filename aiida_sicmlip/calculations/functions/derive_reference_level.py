"""The level of theory of labels by a reference potential."""

from aiida import orm
from aiida.engine import calcfunction
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData
from aiida_sicmlip.science.level_of_theory import potential_level_of_theory

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


def level_of_potential(potential: orm.Data) -> dict:
    """Return the level of theory of labels by ``potential``, a LAMMPS potential, as a plain mapping."""
    return potential_level_of_theory(potential.pair_style, potential.md5)


@calcfunction
def derive_reference_level(potential: LammpsPotentialData) -> LevelOfTheoryData:
    """Return what decides the energies and forces of labels by a classical potential: pair style and file."""
    return LevelOfTheoryData(level_of_potential(potential))
