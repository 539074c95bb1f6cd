"""Defects and migrating atoms of single frames, in cases whose answers follow by hand, and in a real run."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.geometry import find_mic
from ase.io import read

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.crystals import nearest_distance
from aiida_sicmlip.science.defects.migrating_atoms import (
    REGIONS,
    SURROUNDINGS_RADIUS,
    DefectFinder,
    FrameDefects,
    frames_with_migrating_atoms,
)
from aiida_sicmlip.science.dynamics.lammps_input import rotation_to_lammps
from tests.crystals import silicon_carbide_host, silicon_carbide_hosts

BOND = 4.416 * np.sqrt(3) / 4
HOSTS = {**silicon_carbide_hosts(), "silicon": bulk("Si", "diamond", a=5.43, cubic=True).repeat(2)}


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest) -> Atoms:
    return HOSTS[request.param]


def way_into_a_vacancy(host: Atoms, like: bool = False) -> tuple[Atoms, int, int, int, np.ndarray]:
    """A host without one atom, the vacant site, an atom near it, that atom's site, and the way from there.

    :param like: an atom of the vacancy's sublattice, not a nearest neighbour.
    """
    vacant = len(host) // 2 - len(host) // 2 % 2
    atoms = host[np.arange(len(host)) != vacant]
    sites = np.delete(np.arange(len(host)), vacant)
    ways, lengths = find_mic(host.positions[vacant] - atoms.positions, host.cell)
    if like:
        lengths[atoms.numbers != host.numbers[vacant]] = np.inf
    atom = int(lengths.argmin())
    return atoms, vacant, atom, int(sites[atom]), ways[atom]


def test_nothing_migrates_in_a_crystal_at_rest(host: Atoms) -> None:
    found = DefectFinder(host).find(host)
    assert not found.migrating.any() and not found.surroundings.any()
    assert (found.vacant_sites.tolist(), found.vacancies, found.antisites, found.interstitials) == ([], [], [], [])
    assert found.distances[:, 0] == pytest.approx(0, abs=1e-9)
    nearest = DefectFinder(host).sites.nearest_distance
    assert found.distances[:, 1] == pytest.approx(nearest, abs=1e-9)


def test_an_atom_at_the_midpoint_is_migrating(host: Atoms) -> None:
    atoms, vacant, atom, site, way = way_into_a_vacancy(host)
    atoms.positions[atom] += way / 2
    found = DefectFinder(host).find(atoms)
    assert np.flatnonzero(found.migrating).tolist() == [atom]
    assert set(found.nearest_sites[atom]) == {site, vacant}
    assert found.distances[atom] == pytest.approx(np.linalg.norm(way) / 2)
    # It is near neither of its two sites; by assignment it has one of them.
    assert found.vacant_sites.tolist() == sorted([site, vacant])
    assert len(found.vacancies) == 1
    assert found.interstitials == []


def test_the_part_of_the_way_that_is_migrating(host: Atoms) -> None:
    """On the straight way of length b the two distances are x b and (1 - x) b; published for b = 2.35 A."""
    atoms, vacant, atom, site, way = way_into_a_vacancy(host)
    finder = DefectFinder(host)
    nearest = finder.sites.nearest_distance
    start = atoms.positions[atom].copy()
    for x in (0.0, 0.2, 0.33, 0.35, 0.45, 0.55, 0.65, 0.67, 0.9, 1.0):
        atoms.positions[atom] = start + x * way
        found = finder.find(atoms)
        scale = 2.35 / nearest
        near, far = sorted([x * nearest * scale, (1 - x) * nearest * scale])
        assert found.migrating[atom] == (far - near < 0.75), x
        filled = [place for place, length in ((site, x), (vacant, 1 - x)) if length * nearest * scale < 1.1]
        assert found.vacant_sites.tolist() == sorted({site, vacant} - set(filled)), x
        assert found.migrating.sum() == found.migrating[atom]


@pytest.mark.parametrize(("aside", "share"), [(0.0, 0.51), (0.6, 0.37)])
def test_hops_within_a_sublattice(aside: float, share: float) -> None:
    """Si to a vacant Si site passes a C site; turned away from it or not, one part in the middle is migrating."""
    host = HOSTS["216 conventional"]
    atoms, vacant, atom, site, way = way_into_a_vacancy(host, like=True)
    finder = DefectFinder(host)
    start = atoms.positions[atom].copy()
    away, lengths = find_mic(start + way / 2 - atoms.positions, host.cell)
    lengths[atom] = np.inf
    turned = away[lengths.argmin()] / lengths.min()
    assert atoms.symbols[lengths.argmin()] != atoms.symbols[atom]
    migrating = []
    for t in np.linspace(0, 1, 101):
        atoms.positions[atom] = start + t * way + aside * np.sin(np.pi * t) * turned
        found = finder.find(atoms)
        migrating.append(bool(found.migrating[atom]))
        assert found.migrating.sum() <= 1
        if t == 0.5:
            assert {site, vacant} <= set(found.vacant_sites)
            assert (found.interstitials, found.vacancies) == ([atom], sorted([site, vacant])) or aside == 0.0
    assert np.mean(migrating) == pytest.approx(share, abs=0.02)
    assert migrating[50]
    # One piece, symmetric about the middle.
    assert np.abs(np.diff(np.array(migrating, dtype=int))).sum() == 2
    assert migrating == migrating[::-1]


def test_antisites_and_vacancies_are_those_that_were_built() -> None:
    host = HOSTS["216 conventional"]
    built = build_defects(host, [{"kind": "vacancy_antisite", "vacancy": "C", "species": "C", "on": "Si"}], 0)
    found = DefectFinder(host).find(built.atoms)
    sites = {kind: [site["site"] for site in built.sites if site["kind"] == kind] for kind in ("vacancy", "antisite")}
    assert found.vacancies == found.vacant_sites.tolist() == sites["vacancy"]
    assert found.antisites == sites["antisite"]
    assert not found.migrating.any()


def test_interstitials() -> None:
    """In the tetrahedral hole an atom is as far from four sites; beside another on one site it is not."""
    host = HOSTS["64 conventional"]
    hole = host + Atoms("C", [[2.208, 2.208, 2.208]])
    found = DefectFinder(host).find(hole)
    assert (found.interstitials, found.vacancies, found.vacant_sites.tolist()) == ([64], [], [])
    assert np.flatnonzero(found.migrating).tolist() == [64]
    assert found.distances[64] == pytest.approx([BOND, BOND])
    # Four Si at one bond, six C at half a lattice constant.
    assert found.surroundings.sum() == 10
    shared = host.copy()
    shared.positions[8, 0] += 0.6
    shared += Atoms(shared.symbols[8], [host.positions[8] - [0.7, 0, 0]])
    found = DefectFinder(host).find(shared)
    assert (found.interstitials, found.vacancies, found.vacant_sites.tolist()) == ([64], [], [])
    assert not found.migrating.any()


@pytest.mark.parametrize("name", ["64 conventional", "16 primitive", "skewed"])
def test_surroundings_agree_with_a_search_over_all_images(name: str) -> None:
    host = HOSTS[name]
    atoms, _, atom, _, way = way_into_a_vacancy(host)
    atoms.positions[atom] += way / 2
    atoms.positions += np.random.default_rng(2).normal(0.0, 0.06, atoms.positions.shape)
    found = DefectFinder(host).find(atoms)
    assert found.migrating[atom]
    near = np.zeros(len(atoms), dtype=bool)
    shifts = (np.array(list(np.ndindex(9, 9, 9))) - 4) @ atoms.cell.array
    for centre in atoms.positions[found.migrating]:
        lengths = np.linalg.norm(atoms.positions[:, None] - centre + shifts, axis=-1)
        near |= lengths.min(axis=1) <= SURROUNDINGS_RADIUS * nearest_distance(host)
    assert near.sum() > 4
    assert np.array_equal(found.surroundings, near & ~found.migrating)
    assert list(found.regions) == list(REGIONS)
    assert np.array_equal(sum(mask.astype(int) for mask in found.regions.values()), np.ones(len(atoms)))


def hot_hop(seed: int) -> Atoms:
    """A frame at about 1500 K, in which an atom hops."""
    atoms, _, atom, _, way = way_into_a_vacancy(HOSTS["216 conventional"])
    atoms.positions[atom] += way / 2
    atoms.positions += np.random.default_rng(seed).normal(0.0, 0.12, atoms.positions.shape)
    return atoms


def same(found: FrameDefects, expected: FrameDefects, order: np.ndarray | None = None) -> bool:
    """Whether two frames have the same migrating atoms and as many vacant sites, and the same surroundings."""
    order = np.arange(len(expected.migrating)) if order is None else order
    return (
        np.array_equal(found.migrating, expected.migrating[order])
        and np.array_equal(found.surroundings, expected.surroundings[order])
        and len(found.vacant_sites) == len(expected.vacant_sites)
        and len(found.vacancies) == len(expected.vacancies)
    )


@pytest.mark.parametrize("seed", range(4))
def test_drift_wrapping_rotation_and_order_do_not_matter(seed: int) -> None:
    host = HOSTS["216 conventional"]
    finder = DefectFinder(host)
    frame = hot_hop(seed)
    expected = finder.find(frame)
    assert 1 <= expected.migrating.sum() < 4 and expected.surroundings.sum() >= 5
    generator = np.random.default_rng(seed + 10)
    drifted = frame.copy()
    drifted.positions += generator.uniform(-20, 20, 3)
    assert same(finder.find(drifted), expected)
    images = frame.copy()
    images.positions += generator.integers(-2, 3, (len(frame), 3)) @ frame.cell.array
    assert same(finder.find(images), expected)
    assert np.array_equal(finder.find(images).vacant_sites, expected.vacant_sites)
    order = generator.permutation(len(frame))
    assert same(finder.find(frame[order]), expected, order)
    turned = frame.copy()
    turned.rotate(37.0, (1, 2, -1), rotate_cell=True)
    assert same(finder.find(turned), expected)
    lower, rotation = rotation_to_lammps(turned.cell.array)
    turned.set_cell(lower)
    turned.positions = turned.positions @ rotation
    assert same(finder.find(turned), expected)


@pytest.mark.parametrize("strain", [-0.03, 0.02, 0.04])
def test_strain_does_not_change_who_migrates(strain: float) -> None:
    finder = DefectFinder(HOSTS["216 conventional"])
    frame = hot_hop(1)
    strained = frame.copy()
    cell = frame.cell.array @ (np.eye(3) + strain * np.array([[1, 0.3, 0], [0.3, -0.5, 0], [0, 0, 1]]))
    strained.set_cell(cell, scale_atoms=True)
    expected, found = finder.find(frame), finder.find(strained)
    assert np.array_equal(found.migrating, expected.migrating)
    assert np.array_equal(found.vacant_sites, expected.vacant_sites)


def test_thermal_atoms_rarely_migrate() -> None:
    """60 ps of a divacancy at 1500 K under EDIP, in which nothing hops: 2 of 37,200 atoms, both beside a vacancy."""
    path = Path(__file__).parents[2] / "fixtures" / "plumed" / "traj-vv62.xyz.gz"
    with gzip.open(path, "rt") as file:
        frames = read(file, index=":", format="xyz")
    host = silicon_carbide_host(4.36, (2, 2, 2))
    finder = DefectFinder(host)
    n_migrating, n_atoms = 0, 0
    for frame in frames:
        frame.set_cell(host.cell)
        frame.pbc = True
        found = finder.find(frame)
        assert found.vacant_sites.tolist() == found.vacancies
        assert len(found.vacancies) == 2
        n_atoms += len(frame)
        n_migrating += found.migrating.sum()
        for atom in np.flatnonzero(found.migrating):
            ways = host.positions[found.vacancies] - host.positions[found.assignment.site_of_atom[atom]]
            assert find_mic(ways, host.cell)[1].min() < 1.1 * finder.sites.nearest_distance
    assert n_atoms == 600 * 62
    assert n_migrating == 2


def test_wrong_input() -> None:
    host = HOSTS["64 conventional"]
    finder = DefectFinder(host)
    molten = host.copy()
    molten.positions = np.random.default_rng(0).uniform(0, 1, (len(host), 3)) @ host.cell.array
    with pytest.raises(InputError, match="does not fit its host"):
        finder.find(molten)
    with pytest.raises(InputError, match="differ by a strain"):
        finder.find(host.repeat((2, 1, 1)))
    loose = host.copy()
    loose.pbc = [True, True, False]
    with pytest.raises(InputError, match="periodic along three vectors"):
        finder.find(loose)
    with pytest.raises(InputError, match="above zero"):
        DefectFinder(host, surroundings_radius=0.0)


def test_frames_with_a_migrating_atom_are_those_that_a_search_of_each_finds() -> None:
    """A run with a hop, hot, drifting and wrapped: the quick look at atoms near their sites misses none."""
    host = silicon_carbide_host(repeats=(2, 2, 2))
    start, atom, _, _, way = way_into_a_vacancy(host)
    generator = np.random.default_rng(3)
    frames = []
    for index, share in enumerate([*np.zeros(10), *np.linspace(0, 1, 41), *np.ones(10)]):
        frame = start.copy()
        frame.positions[atom] += share * way
        frame.positions += generator.normal(scale=0.12, size=frame.positions.shape) + 0.07 * index
        frame.wrap()
        frames.append(frame)
    finder = DefectFinder(host)
    expected = [bool(finder.find(frame).migrating.any()) for frame in frames]
    assert frames_with_migrating_atoms(frames, finder).tolist() == expected
    assert 8 < sum(expected) < 30
    looked_at = []
    finder.find = lambda frame: looked_at.append(frame) or DefectFinder.find(finder, frame)  # type: ignore[method-assign]
    assert frames_with_migrating_atoms(frames, finder).tolist() == expected
    assert len(looked_at) < 45
    molten = start.copy()
    molten.positions = generator.uniform(0, 8, size=molten.positions.shape)
    assert frames_with_migrating_atoms([molten], DefectFinder(host)).tolist() == [False]
