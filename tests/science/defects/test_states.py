"""States of a divacancy along trajectories that are made by hand: named, told apart, and chosen to start from."""

from __future__ import annotations

import numpy as np
import pytest
from ase.geometry import find_mic

from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.hops import count_hops, find_defect_sites
from aiida_sicmlip.science.defects.states import Visit, distinct_states, state_of_sites, visits
from tests.crystals import silicon_carbide_host

HOST = silicon_carbide_host()
DIVACANCY = build_defects(HOST, [{"kind": "divacancy"}], 0)
SPECIES = DIVACANCY.atoms.get_chemical_symbols()
VACANT = {site["species"]: np.array(site["position"]) for site in DIVACANCY.sites}


def moved(species: str, into: str, neighbour: int = 0) -> np.ndarray:
    """Return positions after an atom, one of those nearest, has jumped into a vacancy."""
    positions = DIVACANCY.atoms.positions.copy()
    distances = find_mic(VACANT[into] - positions, HOST.cell)[1]
    of_species = [atom for atom in np.argsort(distances, kind="stable") if SPECIES[atom] == species]
    positions[of_species[neighbour]] = VACANT[into]
    return positions


def trajectory(*parts: tuple[np.ndarray, int], seed: int = 0) -> np.ndarray:
    """Return frames of atoms that vibrate about some places after the other."""
    places = np.concatenate([np.repeat(place[None], count, axis=0) for place, count in parts])
    return places + np.random.default_rng(seed).normal(0, 0.1, places.shape)


def found_in(positions: np.ndarray) -> list[Visit]:
    return visits(count_hops(positions, HOST.cell.array, HOST, SPECIES), HOST, SPECIES)


START = DIVACANCY.atoms.positions
# A Si atom from far away goes into the Si vacancy, which is then there; a C atom next to it becomes an antisite.
SEPARATED = moved("Si", "Si", 20)
ANTISITE = moved("C", "Si")


def test_states_in_order_of_time():
    found = found_in(trajectory((START, 40), (ANTISITE, 30), (START, 20), (SEPARATED, 10)))
    assert [(visit.name, visit.begin, visit.end) for visit in found] == [
        ("V_C + V_Si", 0, 40),
        ("C_Si + 2 V_C", 40, 70),
        ("V_C + V_Si", 70, 90),
        ("V_C + V_Si", 90, 100),
    ]
    # Two vacancies next to each other, and farther apart.
    assert found[0].key == found[2].key != found[3].key
    sites = find_defect_sites(DIVACANCY.atoms, HOST).site_of_atom
    assert state_of_sites(sites, HOST, SPECIES) == (found[0].name, found[0].key)
    assert state_of_sites(np.arange(216), HOST, HOST.get_chemical_symbols())[0] == "none"


@pytest.mark.parametrize("neighbour", [1, 2])
def test_symmetry_makes_no_new_states(neighbour):
    """Three C atoms are next to the Si vacancy: whichever becomes the antisite, it is one state, in any place."""
    first, other = found_in(trajectory((ANTISITE, 5)))[0], found_in(trajectory((moved("C", "Si", neighbour), 5)))[0]
    shifted = found_in(trajectory((ANTISITE + 0.5 * HOST.cell.array[1] / 3 + 0.5 * HOST.cell.array[2] / 3, 5)))[0]
    assert first.key == other.key == shifted.key


def test_choice_of_states():
    """The longest first, in the middle of the longest visit, from frames that may be used, never the start."""
    start = found_in(trajectory((START, 3)))[0].key
    trajectories = {
        "s00": found_in(trajectory((START, 30), (ANTISITE, 20), (START, 5), (ANTISITE, 4))),
        "s01": found_in(trajectory((START, 5), (SEPARATED, 31), (ANTISITE, 3))),
    }
    shortest = dict.fromkeys(trajectories, 4)
    first, second = distinct_states(trajectories, {}, start, shortest, 5)
    assert (first.name, first.segment, first.longest, first.total) == ("V_C + V_Si", "s01", 31, 31)
    assert first.frame == 20
    # The visit of three frames is too short to count.
    assert (second.name, second.segment, second.longest, second.total) == ("C_Si + 2 V_C", "s00", 20, 24)
    assert second.frame in (39, 40)
    assert distinct_states(trajectories, {}, start, shortest, 1) == [first]
    # Frames that the filter left out are not started from; a state of which none is left is not found.
    kept = {"s01": np.array([0, 6, 9, 38])}
    assert distinct_states(trajectories, kept, start, shortest, 5)[0].frame == 9
    (only,) = distinct_states(trajectories, {"s01": np.zeros(0, dtype=int)}, start, shortest, 5)
    assert only.name == "C_Si + 2 V_C"
    assert distinct_states(trajectories, {}, start, dict.fromkeys(trajectories, 100), 5) == []
