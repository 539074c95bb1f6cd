"""The perfect crystal that a structure with defects was made from."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.calculations.functions.build_structure import host_structure

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def build_host_structure(host: orm.Dict) -> orm.StructureData:
    """Return a crystal without defects.

    :param host: as :class:`aiida_sicmlip.science.defects.hosts.HostSettings` has it.
    """
    structure = orm.StructureData(ase=host_structure(host.get_dict()))
    structure.label = structure.get_formula()
    return structure
