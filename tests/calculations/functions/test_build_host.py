"""Hosts as nodes."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_sicmlip.calculations.functions.build_host import build_host_structure
from aiida_sicmlip.calculations.functions.build_structure import build_defect_structure
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.hops import find_defect_sites
from tests.crystals import silicon_carbide_host

FIRST = {"lattice_constant": 4.36, "repeats": [2, 2, 2], "cell": "primitive"}
HOST = {"crystal": "zincblende", "species": ["Si", "C"], **FIRST}


def test_host_is_the_one_of_science() -> None:
    node = build_host_structure(orm.Dict(HOST))
    expected = silicon_carbide_host(4.36, (2, 2, 2), "primitive")
    atoms = node.get_ase()
    assert atoms.get_chemical_symbols() == expected.get_chemical_symbols()
    assert np.allclose(atoms.positions, expected.positions, atol=1e-12)
    assert np.allclose(atoms.cell.array, expected.cell.array)
    assert node.creator.inputs.host.get_dict() == HOST
    assert node.label == "C8Si8"


def test_descriptions_of_the_first_runs_are_read_as_they_were() -> None:
    first, now = (build_host_structure(orm.Dict(host)).get_ase() for host in (FIRST, HOST))
    assert first == now
    largest = build_host_structure(orm.Dict({})).get_ase()
    assert np.allclose(largest.positions, silicon_carbide_host(4.416, (3, 3, 3), "conventional").positions)


def test_structures_of_the_same_description_fit_the_host() -> None:
    structure = build_defect_structure(orm.Dict(HOST), orm.List([{"kind": "divacancy"}]), orm.Int(1))
    found = find_defect_sites(structure.get_ase(), build_host_structure(orm.Dict(HOST)).get_ase())
    assert sorted(site["species"] for site in found.sites) == ["C", "Si"]


def test_wrong_description() -> None:
    with pytest.raises(
        InputError, match=r"`host\.cell` is 'hexagonal'; zincblende has the cells conventional and primitive"
    ):
        build_host_structure(orm.Dict({**HOST, "cell": "hexagonal"}))
