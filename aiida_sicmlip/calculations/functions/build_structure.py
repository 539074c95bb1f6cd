"""A start structure from a host crystal and a description of its defects."""

from typing import Any

from aiida import orm
from aiida.engine import calcfunction
from ase import Atoms

from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.hosts import HostSettings, build_host

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


FIRST_HOST = {"crystal": "zincblende", "species": ["Si", "C"], "lattice_constant": 4.416, "repeats": [3, 3, 3]}
"""What stored descriptions without `crystal` leave out: those of the first runs, which knew 3C-SiC only."""


def host_structure(host: dict[str, Any]) -> Atoms:
    """Return the crystal that ``host`` describes, as :class:`~aiida_sicmlip.science.defects.hosts.HostSettings`.

    Descriptions without `crystal`, which stored nodes may hold, are those of 3C-SiC. Run files are refused without it.
    """
    return build_host(HostSettings.from_mapping(host if "crystal" in host else {**FIRST_HOST, **host}))


def defect_structure(host: dict[str, Any], defects: list[dict[str, Any]], seed: int) -> orm.StructureData:
    """Return what :func:`build_defect_structure` does, unstored and outside of the graph."""
    built = build_defects(host_structure(host), defects, seed)
    structure = orm.StructureData(ase=built.atoms)
    structure.label = built.atoms.get_chemical_formula()
    return structure


@calcfunction
def build_defect_structure(host: orm.Dict, defects: orm.List, seed: orm.Int) -> orm.StructureData:
    """Return a crystal with point defects.

    :param host: as :class:`aiida_sicmlip.science.defects.hosts.HostSettings` has it.
    :param defects: descriptions, as :func:`aiida_sicmlip.science.defects.building.build_defects` takes them.
    :param seed: seed of random placements.
    """
    return defect_structure(host.get_dict(), defects.get_list(), seed.value)
