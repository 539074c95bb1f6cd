"""The level of theory of a labelling, from its inputs."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.data.labels import level_from_nodes
from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData

CACHE_VERSION = 2
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def derive_level_of_theory(
    parameters: orm.Dict, kpoints: orm.KpointsData, code: orm.AbstractCode, **pseudos: orm.Data
) -> LevelOfTheoryData:
    """Return the settings of a labelling that change its energies and forces, but for charge and spin.

    :param parameters: namelists of ``pw.x``.
    :param pseudos: pseudopotential of each kind of atom.
    """
    return LevelOfTheoryData(level_from_nodes(parameters, kpoints, code, pseudos))
