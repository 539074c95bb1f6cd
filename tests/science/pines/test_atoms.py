"""Which atoms are chosen around defects, and the layout that follows."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from ase import Atoms
from ase.geometry import find_mic

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.pines.atoms import (
    atoms_of_shell,
    atoms_of_shell_of_structure,
    choose_atoms,
    choose_atoms_of_structure,
)
from aiida_sicmlip.science.pines.layout import PivLayout
from tests.crystals import silicon_carbide_host

BOND = 4.416 * np.sqrt(3) / 4
SECOND = 4.416 / np.sqrt(2)


def nearest_distances(atoms, indices, points) -> np.ndarray:
    """Return the distance of each atom from the nearest of some points, by the minimum image."""
    found = [find_mic(atoms.positions[list(indices)] - np.array(point), atoms.cell, atoms.pbc)[1] for point in points]
    return np.min(found, axis=0)


@pytest.mark.parametrize("repeats", [(2, 2, 2), (3, 3, 3)])
def test_divacancy_has_six_and_twenty_four_atoms(repeats):
    host = silicon_carbide_host(repeats=repeats)
    defect = build_defects(host, [{"kind": "divacancy"}], 0)
    chosen = choose_atoms(host, defect.sites)
    assert {name: len(members) for name, members in chosen.groups.items()} == {"C1": 3, "C2": 12, "Si1": 3, "Si2": 12}
    assert list(chosen.indices) == sorted(chosen.indices)
    assert len(chosen.layout) == 435
    assert len(chosen.layout.blocks) == 10
    assert [defect.atoms.symbols[index] for index in chosen.indices] == list(chosen.species)
    # The first shell is bonded to the vacancies, and nothing else is.
    points = [site["position"] for site in defect.sites]
    first = [index for index, shell in zip(chosen.indices, chosen.shells, strict=True) if shell == 1]
    assert nearest_distances(defect.atoms, first, points) == pytest.approx(host.get_distance(0, 1, mic=True))
    everywhere = nearest_distances(defect.atoms, range(len(defect.atoms)), points)
    assert set(np.flatnonzero(everywhere < 2.0)) == set(first)


def test_shells_of_the_sites_one_by_one(divacancy):
    chosen = choose_atoms(divacancy.host, divacancy.defect.sites, around="sites")
    assert {name: len(members) for name, members in chosen.groups.items()} == {"C1": 3, "C2": 9, "Si1": 3, "Si2": 9}
    points = [site["position"] for site in divacancy.defect.sites]
    lengths = nearest_distances(divacancy.defect.atoms, chosen.indices, points)
    expected = [BOND if shell == 1 else SECOND for shell in chosen.shells]
    assert lengths == pytest.approx(expected)


@pytest.mark.parametrize("around", ["defect", "sites"])
def test_a_single_vacancy_has_its_coordination_shells(around):
    host = silicon_carbide_host()
    defect = build_defects(host, [{"kind": "vacancy", "species": "C"}], 0)
    assert {n: len(m) for n, m in choose_atoms(host, defect.sites, around=around).groups.items()} == {
        "Si1": 4,
        "C2": 12,
    }
    assert len(atoms_of_shell(host, defect.sites, around=around).indices) == 12


@pytest.mark.parametrize(("around", "count"), [("defect", 6), ("sites", 12)])
def test_the_third_shell_lies_outside_the_chosen_atoms(divacancy, around, count):
    chosen = choose_atoms(divacancy.host, divacancy.defect.sites, around=around)
    third = atoms_of_shell(divacancy.host, divacancy.defect.sites, around=around)
    assert len(third.indices) == count
    assert set(third.shells) == {3}
    assert not set(third.indices) & set(chosen.indices)


def test_an_antisite_is_an_atom_of_shell_zero():
    host = silicon_carbide_host()
    defect = build_defects(host, [{"kind": "vacancy_antisite", "vacancy": "C", "species": "C", "on": "Si"}], 0)
    chosen = choose_atoms(host, defect.sites)
    assert len(chosen.groups["C0"]) == 1
    antisite = next(site for site in defect.sites if site["kind"] == "antisite")
    (index,) = chosen.groups["C0"]
    assert defect.atoms.positions[index] == pytest.approx(np.array(antisite["position"]))
    assert [defect.atoms.symbols[atom] for atom in chosen.indices] == list(chosen.species)


def test_a_defect_across_the_boundary_is_one_defect():
    host = silicon_carbide_host()
    pairs = [(s, c) for s in range(len(host)) for c in range(len(host)) if host.symbols[s] == "Si"]
    crossing = next(
        (s, c)
        for s, c in pairs
        if host.symbols[c] == "C" and host.get_distance(s, c) > 8 and host.get_distance(s, c, mic=True) < 2
    )
    sites = [{"site": site, "replaced_by": None} for site in crossing]
    assert len(choose_atoms(host, sites).indices) == 30


CELLS = {14: ((2, 2, 2), "primitive"), 62: ((2, 2, 2), "conventional"), 214: ((3, 3, 3), "conventional")}
DEFECTS = {
    "divacancy": [{"kind": "divacancy"}],
    "vacancy": [{"kind": "vacancy", "species": "C"}],
    "antisite": [{"kind": "vacancy_antisite", "vacancy": "C", "species": "C", "on": "Si"}],
    "two": [{"kind": "vacancy", "species": "Si"}, {"kind": "vacancy", "species": "C", "placement": "random"}],
}


@pytest.mark.parametrize("around", ["defect", "sites"])
@pytest.mark.parametrize("defects", DEFECTS)
@pytest.mark.parametrize("n_atoms", CELLS)
def test_a_structure_gives_the_atoms_that_its_sites_give(n_atoms, defects, around):
    repeats, cell = CELLS[n_atoms]
    host = silicon_carbide_host(repeats=repeats, cell=cell)
    defect = build_defects(host, DEFECTS[defects], 1)
    for shells in (1, 2, 3):
        expected = choose_atoms(host, defect.sites, shells, around)
        assert choose_atoms_of_structure(defect.atoms, host, shells, around) == expected
    if n_atoms == 214:
        expected = atoms_of_shell(host, defect.sites, 3, around)
        assert atoms_of_shell_of_structure(defect.atoms, host, 3, around) == expected

    # The same atoms under other numbers, wrapped and displaced.
    generator = np.random.default_rng(2)
    order = generator.permutation(len(defect.atoms))
    turned = defect.atoms[order]
    turned.positions += generator.normal(0.0, 0.1, turned.positions.shape) + np.array([0.3, 0.2, -0.4])
    turned.wrap()
    found = choose_atoms_of_structure(turned, host, around=around)
    expected = choose_atoms(host, defect.sites, around=around)
    assert {name: sorted(order[members].tolist()) for name, members in found.groups.items()} == expected.groups
    assert [turned.symbols[index] for index in found.indices] == list(found.species)


def test_the_smallest_cell_of_a_divacancy():
    """Fourteen atoms: all are within two shells, bonded to a vacancy or not; there is no third shell to hold."""
    host = silicon_carbide_host(repeats=(2, 2, 2), cell="primitive")
    atoms = build_defects(host, [{"kind": "divacancy"}], 0).atoms
    chosen = choose_atoms_of_structure(atoms, host)
    assert {name: len(members) for name, members in chosen.groups.items()} == {"C1": 3, "C2": 4, "Si1": 3, "Si2": 4}
    assert len(chosen.layout) == 91
    with pytest.raises(InputError, match="shell 3 of the defect has no atom in this cell"):
        atoms_of_shell_of_structure(atoms, host)


def test_interstitials_are_part_of_the_defect():
    host = silicon_carbide_host(repeats=(2, 2, 2))
    structure = build_defects(host, [{"kind": "vacancy", "species": "C"}], 0).atoms
    structure += Atoms("Si", [[2.208, 2.208, 2.208]])
    chosen = choose_atoms_of_structure(structure, host)
    assert chosen.groups["Si0"] == [63]
    assert {name: len(members) for name, members in chosen.groups.items()} == {"C2": 12, "Si0": 1, "Si1": 4}
    alone = choose_atoms_of_structure(host + Atoms("Si", [[2.208, 2.208, 2.208]]), host, shells=1)
    # Around the nearest site: in the middle of a cage one of four.
    assert alone.indices[-1] == len(host)
    counts = {group: len(atoms) for group, atoms in alone.groups.items()}
    assert counts in ({"Si0": 2, "C1": 4}, {"C0": 1, "Si0": 1, "Si1": 4})
    with pytest.raises(InputError, match="The structure has no defect"):
        choose_atoms_of_structure(host, host)


def test_what_cannot_be_chosen_is_refused(divacancy):
    host, sites = divacancy.host, divacancy.defect.sites
    with pytest.raises(InputError, match="Did you mean `sites`"):
        choose_atoms(host, sites, around="site")
    with pytest.raises(InputError, match="`sites` is empty"):
        choose_atoms(host, [])
    with pytest.raises(InputError, match="atoms 0 to 215"):
        choose_atoms(host, [{"site": 216, "replaced_by": None}])
    with pytest.raises(InputError, match="number of coordination shells is 0"):
        choose_atoms(host, sites, shells=0)
    small = silicon_carbide_host(repeats=(1, 1, 1), cell="primitive")
    with pytest.raises(InputError, match="use more shells or a larger cell"):
        choose_atoms(small, [{"site": 0, "replaced_by": None}])
    with pytest.raises(InputError, match="has no atom in this cell"):
        atoms_of_shell(small, [{"site": 0, "replaced_by": None}], shell=2)


def test_pairs_and_blocks_follow_from_the_groups():
    layout = PivLayout.from_groups({"B": [7, 2], "A": [5], "C": (9,)})
    assert layout.atoms == (2, 5, 7, 9)
    assert layout.labels == ("B", "A", "B", "C")
    assert layout.pairs.tolist() == [[2, 5], [2, 7], [2, 9], [5, 7], [5, 9], [7, 9]]
    assert layout.blocks == {"A-B": [0, 3], "A-C": [4], "B-B": [1], "B-C": [2, 5]}
    assert layout.order == [0, 3, 4, 1, 2, 5]
    assert layout.block_sizes == [2, 1, 1, 2]
    assert layout == PivLayout.from_groups(layout.groups)


def test_blocks_hold_every_pair_once(divacancy):
    layout = divacancy.layout
    assert sorted(layout.order) == list(range(435))
    assert len(layout.blocks["Si2-Si2"]) == comb(12, 2)
    assert len(layout.blocks["C1-Si2"]) == 3 * 12


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({}, "give a mapping"),
        ([[0, 1]], "give a mapping"),
        ({"A": []}, r"`groups.A` is \[\]"),
        ({"A": "01"}, "`groups.A` is '01'"),
        ({"A": [0, -1]}, "`groups.A` contains -1"),
        ({"A": [0, True]}, "contains True"),
        ({"A": [0, 1.5]}, "contains 1.5"),
        ({"A": [0, 1], "B": [1]}, "Atom 1 is in `groups.A` and `groups.B`"),
        ({"A": [0]}, "only one atom; give at least two"),
    ],
)
def test_wrong_groups_are_refused(groups, message):
    with pytest.raises(InputError, match=message):
        PivLayout.from_groups(groups)
