"""Regions and distances of atoms in frames that are made so that the answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.geometry import find_mic

from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.centres import DefectCentres
from aiida_sicmlip.science.defects.crystals import nearest_distance
from aiida_sicmlip.science.defects.hosts import HostSettings, build_host
from aiida_sicmlip.science.defects.migrating_atoms import REGIONS, SURROUNDINGS_RADIUS
from aiida_sicmlip.science.evaluation.regions import UNKNOWN, regions_of_frames
from tests.crystals import silicon_carbide_host

HOST = silicon_carbide_host(repeats=(2, 2, 2))
BOND = 4.416 * np.sqrt(3) / 4
HOSTS = {"host": HOST}


def distances_from(atoms: Atoms, point: np.ndarray) -> np.ndarray:
    return find_mic(atoms.positions - point, atoms.cell)[1]


def with_vacancy(site: int = 9) -> Atoms:
    return HOST[np.arange(len(HOST)) != site]


def moved_elsewhere(atoms: Atoms, rng: np.random.Generator) -> tuple[Atoms, np.ndarray]:
    """Return a copy that has drifted, is strained and turned, with atoms in other images, and its new order."""
    other = atoms.copy()
    other.positions += [0.31, -0.2, 0.45]
    other.set_cell(other.cell.array @ (np.eye(3) + np.diag([0.01, -0.005, 0.02])), scale_atoms=True)
    other.rotate(33.0, (1.0, -2.0, 0.4), rotate_cell=True)
    other.positions += rng.integers(-2, 3, (len(other), 3)) @ other.cell.array
    order = rng.permutation(len(other))
    return other[order], order


def test_distances_from_a_vacancy() -> None:
    atoms = with_vacancy()
    found = regions_of_frames([atoms], HOSTS)
    np.testing.assert_allclose(found.distance, distances_from(atoms, HOST.positions[9]), atol=1e-8)
    # The first two shells: 4 nearest neighbours and 12 second nearest.
    assert found.by_distance["near_defect"].sum() == 16
    assert found.by_distance["bulk"].sum() == len(atoms) - 16
    assert found.distance[found.near].max() == pytest.approx(BOND * np.sqrt(8 / 3))
    assert found.hosts == ["host"]


WURTZITE = {"crystal": "wurtzite", "species": ["Si", "C"], "lattice_constant": 3.08, "repeats": [4, 4, 1]}
CRYSTALS = {
    "3C": {"crystal": "zincblende", "species": ["Si", "C"], "lattice_constant": 4.36, "repeats": [2, 2, 2]},
    "4H": {**WURTZITE, "stacking": "ABCB"},
    "6H": {**WURTZITE, "stacking": "ABCACB"},
    "diamond": {"crystal": "diamond", "species": ["C"], "lattice_constant": 3.57, "repeats": [2, 2, 2]},
    "silicon": {"crystal": "diamond", "species": ["Si"], "lattice_constant": 5.43, "repeats": [2, 2, 2]},
}


@pytest.mark.parametrize(
    ("crystal", "defect", "count"),
    [
        ("3C", "V_C", 16),
        ("4H", "V_C(h)", 16),
        # The atom that faces the site along c is near it, too.
        ("4H", "V_C(k)", 17),
        ("6H", "V_Si(k2)", 16),
        ("diamond", "V_C", 16),
        ("silicon", "V_Si", 16),
        ("silicon", "VV", 24),
    ],
)
def test_the_first_two_shells_are_near_in_any_crystal(crystal: str, defect: str, count: int) -> None:
    host = build_host(HostSettings.from_mapping(CRYSTALS[crystal]))
    atoms = build_defects(host, [defect], 0).atoms
    rattled = atoms.copy()
    rattled.positions += np.random.default_rng(4).normal(0.0, 0.01 * nearest_distance(host), atoms.positions.shape)
    found = regions_of_frames([atoms, rattled], {"host": host})
    assert found.near.reshape(2, -1).sum(axis=1).tolist() == [count, count]
    # They are the atoms that selection describes.
    centres = DefectCentres(host).find(np.array([atoms.positions]), host.cell.array, atoms.numbers)[0]
    np.testing.assert_array_equal(np.flatnonzero(found.near[: len(atoms)]), centres)


def test_hosts_have_lengths_of_their_own() -> None:
    """The second shell of silicon is where the fourth of diamond is."""
    hosts = {name: build_host(HostSettings.from_mapping(CRYSTALS[name])) for name in ("silicon", "diamond")}
    frames = [build_defects(host, ["VV"], 0).atoms for host in hosts.values()]
    found = regions_of_frames(frames, hosts)
    assert found.hosts == ["silicon", "diamond"]
    for near, distance, host in zip(np.split(found.near, 2), np.split(found.distance, 2), hosts.values(), strict=True):
        assert near.sum() == 24
        assert distance[near].max() < 1.78 * nearest_distance(host) < distance[~near].min()


def test_distances_follow_a_crystal_that_is_elsewhere() -> None:
    atoms = with_vacancy()
    other, order = moved_elsewhere(atoms, np.random.default_rng(8))
    found = regions_of_frames([other], HOSTS)
    # The vacant place moves as the atoms around it do: in the same fraction of the cell.
    fraction = np.linalg.solve(HOST.cell.array.T, HOST.positions[9] + [0.31, -0.2, 0.45])
    expected = distances_from(other, fraction @ other.cell.array)
    np.testing.assert_allclose(found.distance, expected, atol=1e-3)
    assert np.abs(found.distance - distances_from(atoms, HOST.positions[9])[order]).max() < 0.02 * 8


def test_distances_from_an_antisite_and_an_interstitial() -> None:
    antisite = HOST.copy()
    antisite.symbols[9] = "C" if antisite.symbols[9] == "Si" else "Si"
    hole = HOST.positions[0] + np.full(3, 4.416 / 2)
    interstitial = HOST.copy() + Atoms("C", [hole])
    found = regions_of_frames([antisite, interstitial], HOSTS)
    first, second = np.split(found.distance, [len(HOST)])
    np.testing.assert_allclose(first, distances_from(antisite, HOST.positions[9]), atol=1e-8)
    assert first[9] == pytest.approx(0.0, abs=1e-8)
    np.testing.assert_allclose(second, distances_from(interstitial, hole), atol=1e-8)
    assert second[-1] == pytest.approx(0.0, abs=1e-8)


def test_the_nearest_of_two_defects_counts() -> None:
    atoms = HOST[np.setdiff1d(np.arange(len(HOST)), [0, 40])]
    found = regions_of_frames([atoms], HOSTS)
    both = [distances_from(atoms, HOST.positions[site]) for site in (0, 40)]
    np.testing.assert_allclose(found.distance, np.minimum(*both), atol=1e-8)


def test_migrating_atom_and_its_surroundings() -> None:
    atoms = with_vacancy()
    distances = distances_from(atoms, HOST.positions[9])
    atom = int(distances.argmin())
    way = find_mic(HOST.positions[9] - atoms.positions[atom], atoms.cell)[0]
    atoms.positions[atom] += way / 2
    found = regions_of_frames([atoms], HOSTS)
    regions = found.of_rare_events
    assert list(regions) == list(REGIONS)
    assert list(np.flatnonzero(regions["migrating"])) == [atom]
    near = distances_from(atoms, atoms.positions[atom]) <= SURROUNDINGS_RADIUS * nearest_distance(HOST)
    near[atom] = False
    np.testing.assert_array_equal(regions["surroundings"], near)
    np.testing.assert_array_equal(regions["elsewhere"], ~near & ~regions["migrating"])
    # Halfway between two sites, one of which is vacant.
    assert found.distance[atom] <= BOND / 2 + 1e-6


def test_perfect_crystal_is_bulk() -> None:
    found = regions_of_frames([HOST], HOSTS)
    assert np.isnan(found.distance).all()
    assert found.by_distance["bulk"].all()
    assert not found.by_distance["near_defect"].any()
    assert found.of_rare_events["elsewhere"].all()


def test_frames_that_fit_no_host_are_unknown() -> None:
    molten = HOST.copy()
    molten.positions = np.random.default_rng(0).uniform(0.0, 8.8, molten.positions.shape)
    other_cell = silicon_carbide_host(repeats=(2, 2, 3))
    found = regions_of_frames([molten, with_vacancy(), other_cell], HOSTS)
    assert found.hosts == [None, "host", None]
    assert found.n_without_host == 2
    assert found.known.sum() == len(HOST) - 1
    for atoms in (slice(0, 64), slice(127, None)):
        assert set(found.region[atoms]) == {UNKNOWN}
        assert np.isnan(found.distance[atoms]).all()
    assert not any(region[~found.known].any() for region in (*found.by_distance.values(),))
    # Each frame is compared with the first crystal that it fits.
    both = regions_of_frames([with_vacancy(), other_cell], {**HOSTS, "longer": other_cell})
    assert both.hosts == ["host", "longer"]


def test_without_hosts_all_is_unknown() -> None:
    found = regions_of_frames([HOST], {})
    assert (found.n_without_host, set(found.region)) == (1, {UNKNOWN})
