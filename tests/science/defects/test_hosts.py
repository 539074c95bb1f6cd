"""Host crystals: space groups, densities and bonds against what is known, orders of atoms, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.crystals import coordination_shells, nearest_distance, tetrahedral_bonds
from aiida_sicmlip.science.defects.hosts import HostSettings, build_host
from aiida_sicmlip.science.defects.interstitial_sites import interstitial_sites
from aiida_sicmlip.science.defects.polytypes import site_labels
from tests.crystals import four_h

ZINCBLENDE = {"crystal": "zincblende", "species": ["Si", "C"], "lattice_constant": 4.36}
DIAMOND = {"crystal": "diamond", "species": ["C"], "lattice_constant": 3.567}
WURTZITE = {"crystal": "wurtzite", "species": ["Si", "C"], "lattice_constant": 3.08}


def host(settings: dict, **further) -> Atoms:
    return build_host(HostSettings.from_mapping({**settings, **further}))


def space_group(atoms: Atoms) -> int:
    return spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)).number


@pytest.mark.parametrize(
    ("settings", "group", "size"),
    [
        (ZINCBLENDE, 216, 8),
        ({**ZINCBLENDE, "cell": "primitive"}, 216, 2),
        (DIAMOND, 227, 8),
        (WURTZITE, 186, 4),
        ({**WURTZITE, "cell": "orthohexagonal"}, 186, 8),
        ({**WURTZITE, "stacking": "ABCB"}, 186, 8),
        ({**WURTZITE, "stacking": "ABCACB", "cell": "orthohexagonal"}, 186, 24),
        ({**WURTZITE, "stacking": "ABC"}, 216, 6),
        ({**WURTZITE, "species": ["C"]}, 194, 4),
    ],
)
def test_symmetry(settings, group, size):
    atoms = host(settings)
    assert len(atoms) == size and atoms.pbc.all()
    assert space_group(atoms) == group
    assert space_group(host(settings, repeats=[2, 1, 3])) == group
    bonds = tetrahedral_bonds(host(settings, repeats=[2, 2, 2]))
    assert np.allclose(np.linalg.norm(bonds.vectors, axis=2), bonds.length)


def test_densities_and_bonds_are_those_of_the_crystals():
    def density(atoms: Atoms) -> float:
        return atoms.get_masses().sum() / atoms.get_volume() * 1.66054

    assert density(host(DIAMOND)) == pytest.approx(3.515, abs=0.005)
    assert density(host(ZINCBLENDE)) == pytest.approx(3.21, abs=0.01)
    assert density(host(WURTZITE, lattice_constant=3.081, c=10.085, stacking="ABCB")) == pytest.approx(3.21, abs=0.01)
    assert density(host(DIAMOND, species=["Si"], lattice_constant=5.431)) == pytest.approx(2.329, abs=0.002)
    assert nearest_distance(host(DIAMOND)) == pytest.approx(1.545, abs=0.001)
    assert nearest_distance(host(WURTZITE)) == pytest.approx(3.08 * np.sqrt(3 / 8))


def test_cells_are_those_of_ase():
    for settings, expected in (
        (ZINCBLENDE, bulk("SiC", "zincblende", a=4.36, cubic=True)),
        (DIAMOND, bulk("C", "diamond", a=3.567, cubic=True)),
    ):
        assert host(settings) == expected
    distances = [
        np.sort(atoms.repeat(2).get_all_distances(mic=True).ravel())
        for atoms in (four_h(), host(WURTZITE, stacking="ABCB", c=10.08))
    ]
    assert np.allclose(*distances)


def test_shells_of_wurtzite():
    atoms = host(WURTZITE, repeats=[5, 5, 4])
    bond = nearest_distance(atoms)
    shells = coordination_shells(atoms, 0, 5, tolerance=1e-3)
    assert [len(shell.indices) for shell in shells] == [4, 12, 1, 9, 6]
    assert [shell.distance / bond for shell in shells][1:3] == pytest.approx([np.sqrt(8 / 3), 5 / 3])
    assert len(coordination_shells(atoms, 0, 2)[1].indices) == 13


@pytest.mark.parametrize(
    ("stacking", "labels"),
    [
        ("AB", [""] * 2),
        ("ABC", [""] * 3),
        ("ABCB", ["h", "k"] * 2),
        ("ABCACB", ["h", "k1", "k2"] * 2),
        # The letters are arbitrary, and reversed they are the same crystal.
        ("CABCBA", ["h", "k1", "k2"] * 2),
        ("BCACBA", ["k1", "k2", "h"] * 2),
        # 8H, 12R and 15R, Zhdanov (44), (31)3 and (32)3: more kinds than there are names for.
        ("ABCABACB", ["h", "k", "k", "k"] * 2),
        ("ABCACABCBCAB", ["h", "k", "k", "h"] * 3),
        ("ABCACBCABACABCB", ["h", "k", "k", "h", "k"] * 3),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_hexagonal_and_cubic_sites(stacking, labels, turned):
    atoms = host(WURTZITE, stacking=stacking, repeats=[2, 2, 1], c=len(stacking) * 2.53)
    if turned:
        atoms.rotate(50, (1, 2, 3), rotate_cell=True)
    atoms.positions += np.random.default_rng(1).normal(0, 0.03, atoms.positions.shape)
    assert site_labels(atoms) == [label for label in labels for _ in "SiC"[:2]] * 4


@pytest.mark.parametrize("species", [["Si", "C"], ["C", "Si"], ["C"]])
def test_k1_of_silicon_is_the_cubic_site_most_like_that_of_4h(species):
    """The third shell of a site of Si, at 5/3 of a bond, has an atom where the site faces one along c."""

    def faces(stacking: str, label: str, symbol: str) -> bool:
        atoms = host(WURTZITE, species=species, stacking=stacking, repeats=[4, 4, 1])
        site = [
            index for index, found in enumerate(site_labels(atoms)) if (found, atoms.symbols[index]) == (label, symbol)
        ]
        shells = coordination_shells(atoms, site[0], 4, tolerance=1e-3)
        return any(abs(shell.distance / nearest_distance(atoms) - 5 / 3) < 1e-3 for shell in shells)

    if len(species) == 1:
        assert (faces("ABCACB", "k1", "C"), faces("ABCACB", "k2", "C")) == (True, False)
        return
    assert faces("ABCB", "k", "Si") and not faces("ABCB", "h", "Si")
    assert (faces("ABCACB", "k1", "Si"), faces("ABCACB", "k2", "Si"), faces("ABCACB", "h", "Si")) == (
        True,
        False,
        False,
    )
    # The C atom above it has the same label and is bonded the other way: there it is k2 that faces an atom.
    assert (faces("ABCACB", "k1", "C"), faces("ABCACB", "k2", "C")) == (False, True)


@pytest.mark.parametrize(
    ("settings", "name", "cage", "number", "around"),
    [
        (ZINCBLENDE, "tetrahedral", "Si", 4, [1.0] * 4 + [1.155] * 6),
        (ZINCBLENDE, "tetrahedral", "C", 4, [1.0] * 4 + [1.155] * 6),
        (ZINCBLENDE, "hexagonal", None, 16, [0.957] * 6),
        (ZINCBLENDE, "bond_centred", None, 16, [0.5] * 2),
        (DIAMOND, "tetrahedral", None, 8, [1.0] * 4 + [1.155] * 6),
        (WURTZITE, "tetrahedral", None, 2, [0.833] * 2 + [1.067] * 6),
        (WURTZITE, "octahedral", None, 2, [1.067] * 6),
    ],
)
def test_interstitial_sites(settings, name, cage, number, around):
    atoms = host(settings)
    places = interstitial_sites(atoms, name, cage)
    assert len(places) == number
    for place in places:
        probe = atoms.repeat(3) + Atoms("X", [place + atoms.cell.array.sum(axis=0)])
        distances = probe.get_distances(-1, range(len(probe) - 1))
        found = np.sort(distances) / nearest_distance(atoms)
        assert found[: len(around)] == pytest.approx(around, abs=1e-3)
        assert found[len(around)] > around[-1] + 0.05
        if cage is not None:
            assert set(probe.symbols[np.argsort(distances)[:4]]) == {cage}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "`host.crystal` is missing"),
        ({**ZINCBLENDE, "crystal": "rocksalt"}, "`host.crystal` is 'rocksalt'; give `zincblende`, `diamond`"),
        ({**ZINCBLENDE, "species": ["Si"]}, "zincblende needs two"),
        ({**ZINCBLENDE, "species": ["Si", "Si"]}, "`host.species`"),
        ({**DIAMOND, "species": ["Si", "C"]}, "diamond needs one"),
        ({**DIAMOND, "species": ["Xx"]}, "chemical symbols"),
        ({**DIAMOND, "species": "C"}, "a list of chemical symbols"),
        ({**ZINCBLENDE, "lattice_constant": 0}, "`host.lattice_constant` is 0; give a number above zero, in A"),
        ({**WURTZITE, "c": -1.0}, "`host.c` is -1.0; give a number above zero"),
        ({**ZINCBLENDE, "c": 5.0}, "`host.c` is 5.0, but zincblende is cubic"),
        ({**ZINCBLENDE, "stacking": "ABC"}, "`host.stacking` is 'ABC', but zincblende is cubic"),
        ({**WURTZITE, "stacking": "ABBA"}, "letters 2 and 3 are both B"),
        ({**WURTZITE, "stacking": "ABCA"}, "the last and the first are both A"),
        ({**WURTZITE, "stacking": "ABD"}, "two or more of the letters A, B and C"),
        ({**WURTZITE, "cell": "primitive"}, "wurtzite has the cells hexagonal and orthohexagonal"),
        ({**ZINCBLENDE, "repeats": [1, 1, 0]}, "three whole numbers from 1"),
        ({**ZINCBLENDE, "repeat": [1, 1, 1]}, "Did you mean `repeats`"),
    ],
)
def test_what_is_refused(settings, message):
    with pytest.raises(InputError) as caught:
        host(settings)
    assert message in str(caught.value)
