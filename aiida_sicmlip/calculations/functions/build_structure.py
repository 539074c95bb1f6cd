"""A start structure from a host crystal and a description of its defects."""

from typing import Any

from aiida import orm
from aiida.engine import calcfunction
from ase import Atoms

from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.crystals import silicon_carbide_host

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


def host_structure(host: dict[str, Any]) -> Atoms:
    """Return the crystal that ``host`` describes: arguments of ``silicon_carbide_host``."""
    settings = dict(host)
    if "repeats" in settings:
        settings["repeats"] = tuple(settings["repeats"])
    return silicon_carbide_host(**settings)


def defect_structure(host: dict[str, Any], defects: list[dict[str, Any]], seed: int) -> orm.StructureData:
    """Return what :func:`build_defect_structure` does, unstored and outside of the graph."""
    built = build_defects(host_structure(host), defects, seed)
    structure = orm.StructureData(ase=built.atoms)
    structure.label = built.atoms.get_chemical_formula()
    return structure


@calcfunction
def build_defect_structure(host: orm.Dict, defects: orm.List, seed: orm.Int) -> orm.StructureData:
    """Return 3C-SiC with point defects.

    :param host: arguments of :func:`aiida_sicmlip.science.defects.crystals.silicon_carbide_host`.
    :param defects: descriptions, as :func:`aiida_sicmlip.science.defects.building.build_defects` takes them.
    :param seed: seed of random placements.
    """
    return defect_structure(host.get_dict(), defects.get_list(), seed.value)
