"""Hops where atoms have no site, or more of them come to a site than it holds: made-up paths with known occupations."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from ase import Atoms
from ase.geometry import find_mic

from aiida_sicmlip.science.defects.crystals import nearest_distance
from aiida_sicmlip.science.defects.hop_stream import follow_hops
from aiida_sicmlip.science.defects.hops import CORE_RADIUS, HELD_RADIUS, Hops, count_hops, find_defect_sites
from aiida_sicmlip.science.defects.hosts import HostSettings, build_host
from aiida_sicmlip.science.defects.interstitial_sites import interstitial_sites

HEXAGONAL = {"crystal": "wurtzite", "species": ["Si", "C"], "lattice_constant": 3.08, "repeats": [4, 4, 1]}
HOSTS = {
    name: build_host(HostSettings.from_mapping(settings))
    for name, settings in {
        "3C": {"crystal": "zincblende", "species": ["Si", "C"], "lattice_constant": 4.36, "repeats": [2, 2, 2]},
        "4H": {**HEXAGONAL, "stacking": "ABCB"},
        "6H": {**HEXAGONAL, "stacking": "ABCACB"},
        "diamond": {"crystal": "diamond", "species": ["C"], "lattice_constant": 3.567, "repeats": [2, 2, 2]},
        "silicon": {"crystal": "diamond", "species": ["Si"], "lattice_constant": 5.431, "repeats": [2, 2, 2]},
    }.items()
}


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest) -> Atoms:
    return HOSTS[request.param]


def along(points: Sequence[np.ndarray], n_frames: int) -> np.ndarray:
    """Return positions (F, 3) on straight lines from point to point, as many on each."""
    pieces = itertools.pairwise(points)
    return np.concatenate([begin + np.linspace(0, 1, n_frames)[:, None] * (end - begin) for begin, end in pieces])


def moving(atoms: Atoms, paths: dict[int, np.ndarray]) -> np.ndarray:
    """Return positions (F, N, 3) of which some atoms follow paths; shorter ones stay where they end."""
    n_frames = max(map(len, paths.values()))
    positions = np.repeat(atoms.positions[None], n_frames, axis=0)
    for atom, path in paths.items():
        positions[:, atom] = np.concatenate([path, np.repeat(path[-1:], n_frames - len(path), axis=0)])
    return positions


def counted(positions: np.ndarray, host: Atoms, atoms: Atoms) -> Hops:
    """Return the hops, after checks that hold for any trajectory."""
    species = atoms.get_chemical_symbols()
    hops = count_hops(positions, host.cell.array, host, species)
    sites = hops.first_sites.copy()
    for frame in (0, *np.unique(hops.events[:, 0]), len(positions) - 1):
        for _, atom, before, after in hops.events[hops.events[:, 0] == frame]:
            assert sites[atom] == before != after
            sites[atom] = after
        held = sites[sites >= 0]
        assert len(set(held)) == len(held), f"frame {frame}: two atoms on one site"
        assert vacant_at(hops, frame) == set(range(len(host))) - set(held)
    assert sites.tolist() == hops.last_sites.tolist()
    pieces = (positions[begin : begin + 17] for begin in range(0, len(positions), 17))
    followed = follow_hops(pieces, host.cell.array, host, species)
    assert followed.events[:, 1:].tolist() == hops.events[:, 1:].tolist()
    # The drift is that of the atoms on sites, which change: an atom at the edge of a core may come a frame later.
    assert np.abs(followed.events[:, 0] - hops.events[:, 0]).max(initial=0) <= 1
    assert followed.last_sites.tolist() == hops.last_sites.tolist()
    return hops


def vacant_at(hops: Hops, frame: int) -> set[int]:
    return set(hops.vacant[frame].tolist()) - {-1}


def holes_beside(host: Atoms, site: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two tetrahedral holes that a straight line through a site nearly joins, next to the site."""
    cages = {"cage": "C"} if "Si" in host.symbols and "C" in host.symbols else {}
    ways, lengths = find_mic(interstitial_sites(host, "tetrahedral", **cages) - host.positions[site], host.cell)
    ways = ways[lengths < 1.2 * nearest_distance(host)]
    first, second = np.unravel_index((ways @ ways.T).argmin(), (len(ways), len(ways)))
    return host.positions[site] + ways[first], host.positions[site] + ways[second]


def with_interstitial(host: Atoms, symbol: str, position: np.ndarray) -> Atoms:
    return host + Atoms(symbol, [position])


@pytest.mark.parametrize("symbol", ["H", "Si"])
@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_an_interstitial_that_passes_an_occupied_site_does_not_hop(host: Atoms, symbol: str, offset: float) -> None:
    """From hole to hole through the core of a site, whose atom stays or makes way by less than half a bond."""
    bond, site = nearest_distance(host), 12
    start, end = holes_beside(host, site)
    aside = np.cross(end - start, [0.3, -0.8, 0.5])
    aside *= offset * bond / np.linalg.norm(aside)
    atoms = with_interstitial(host, symbol, start)
    path = along([start, host.positions[site] + aside, end], 31)
    near = np.linalg.norm(path - host.positions[site], axis=1)
    assert (near < CORE_RADIUS * bond).any()
    # The site's own atom goes to the other side while the other passes.
    other = host.positions[site] - np.exp(-((near / bond) ** 2))[:, None] * aside
    hops = counted(moving(atoms, {site: other, len(host): path}), host, atoms)
    assert len(hops.events) == 0
    assert hops.last_sites[-1] == -1


def test_a_kick_out_is_two_events_and_no_hop_between_sites(host: Atoms) -> None:
    """The interstitial takes the site; the atom that had it goes to a hole on the other side."""
    site, species = 12, host.symbols[12]
    start, end = holes_beside(host, site)
    atoms = with_interstitial(host, species, start)
    pushed = along([host.positions[site], end], 40)
    positions = moving(atoms, {site: pushed, len(host): along([start, host.positions[site]], 40)})
    hops = counted(positions, host, atoms)
    assert hops.events[:, 1:].tolist() == [[site, site, -1], [len(host), -1, site]]
    assert len(set(hops.events[:, 0])) == 1
    assert hops.n_hops == 0
    assert (hops.vacant == -1).all()
    # A single frame says the same.
    last = atoms.copy()
    last.positions = positions[-1]
    assert find_defect_sites(last, host).site_of_atom.tolist() == hops.last_sites.tolist()


def test_an_atom_that_is_kicked_out_into_a_vacancy_hops(host: Atoms) -> None:
    """Its site is taken before it arrives at the vacant one: it has come from one site to another all the same."""
    site, species = 12, host.symbols[12]
    _, lengths = find_mic(host.positions - host.positions[site], host.cell)
    lengths[(host.numbers != host.numbers[site]) | (lengths < 0.1)] = np.inf
    vacant = int(lengths.argmin())
    start, _ = holes_beside(host, site)
    atoms = with_interstitial(host, species, start)
    del atoms[vacant]
    pushed = site - (site > vacant)
    target = host.positions[site] + find_mic(host.positions[vacant] - host.positions[site], host.cell)[0]
    paths = {
        pushed: along([host.positions[site], target], 60),
        len(host) - 1: along([start, host.positions[site]], 30),
    }
    hops = counted(moving(atoms, paths), host, atoms)
    assert hops.between_sites[:, 1:].tolist() == [[pushed, site, vacant]]
    assert hops.n_hops == 1
    assert hops.last_sites[[pushed, len(host) - 1]].tolist() == [vacant, site]
    assert (vacant_at(hops, 0), vacant_at(hops, -1)) == ({vacant}, set())


def test_atoms_that_follow_each_other_hop_once_each(host: Atoms) -> None:
    """Two neighbours of one sublattice move along a line into a vacancy, the second before the first has arrived."""
    species = host.symbols[12]
    same = np.flatnonzero(host.symbols == species)
    ways, lengths = (part[same] for part in find_mic(host.positions - host.positions[12], host.cell))
    nearest = [int(k) for k in np.flatnonzero((lengths > 0.1) & (lengths < 1.7 * nearest_distance(host)))]
    # Opposite neighbours in the basal plane: a straight line of three sites.
    first, second = next((i, j) for i in nearest for j in nearest if np.linalg.norm(ways[i] + ways[j]) < 0.1)
    vacant, behind = int(same[first]), int(same[second])
    atoms = host[np.arange(len(host)) != vacant]
    middle, last = 12 - (vacant < 12), behind - (vacant < behind)
    paths = {
        middle: along([host.positions[12], host.positions[12] + ways[first]], 40),
        last: along([host.positions[12] + ways[second], host.positions[12]], 30),
    }
    hops = counted(moving(atoms, paths), host, atoms)
    assert sorted(hops.between_sites[:, 1:].tolist()) == sorted([[middle, 12, vacant], [last, behind, 12]])
    assert vacant_at(hops, -1) == {behind}


def test_a_foreign_atom_between_sites_has_none(host: Atoms) -> None:
    """Bond-centred hydrogen between two atoms that it pushes apart, as in diamond, vibrates into the core of each."""
    bond = nearest_distance(host)
    first = 12
    ways, lengths = find_mic(host.positions - host.positions[first], host.cell)
    lengths[first] = np.inf
    second = int(lengths.argmin())
    along_bond = ways[second] / lengths[second]
    atoms = with_interstitial(host, "H", host.positions[first] + ways[second] / 2)
    atoms.positions[first] -= 0.25 * bond * along_bond
    atoms.positions[second] += 0.25 * bond * along_bond
    generator = np.random.default_rng(6)
    positions = atoms.positions + generator.normal(0.0, 0.04 * bond, (500, len(atoms), 3))
    positions[:, -1] += np.sin(np.arange(500) / 3)[:, None] * 0.2 * bond * along_bond
    inside = [
        (find_mic(positions[:, -1] - host.positions[site], host.cell)[1] < CORE_RADIUS * bond).sum()
        for site in (first, second)
    ]
    assert min(inside) > 50
    hops = counted(positions, host, atoms)
    assert len(hops.events) == 0
    assert hops.last_sites[-1] == -1


def test_a_vacancy_that_hydrogen_holds_is_filled_by_a_hop(host: Atoms) -> None:
    """Hydrogen in a vacancy holds the site. The atom that hops there takes it from the hydrogen, which makes way."""
    bond, site = nearest_distance(host), 12
    atoms = host.copy()
    _, lengths = find_mic(host.positions - host.positions[site], host.cell)
    lengths[(host.numbers != host.numbers[site]) | (lengths < 0.1)] = np.inf
    hopping = int(lengths.argmin())
    way = find_mic(host.positions[hopping] - host.positions[site], host.cell)[0]
    atoms.symbols[site] = "H"
    opposite = -way / np.linalg.norm(way)
    atoms.positions[site] += 0.4 * bond * opposite
    # In the end it is on the back of the atom, near enough to the site to have it, were it alone.
    aside = along([atoms.positions[site], host.positions[site] + 0.7 * bond * opposite], 60)
    paths = {site: aside, hopping: along([host.positions[site] + way, host.positions[site]], 60)}
    positions = moving(atoms, paths)
    hops = counted(positions, host, atoms)
    assert hops.between_sites[:, 1:].tolist() == [[hopping, hopping, site]]
    assert hops.last_sites[[site, hopping]].tolist() == [-1, site]
    assert (vacant_at(hops, 0), vacant_at(hops, -1)) == (set(), {hopping})
    last = atoms.copy()
    last.positions = positions[-1]
    assert find_defect_sites(last, host).site_of_atom.tolist() == hops.last_sites.tolist()


def test_atoms_that_share_a_site_take_it_in_turns_only_when_one_has_it_alone() -> None:
    """A split interstitial of carbon: both atoms are at the edge of the core, and vibrate along its axis."""
    host = HOSTS["3C"]
    bond, site = nearest_distance(host), int(np.flatnonzero(host.symbols == "C")[5])
    atoms = with_interstitial(host, "C", host.positions[site] + [0.36 * bond, 0, 0])
    atoms.positions[site] -= [0.36 * bond, 0, 0]
    shift = np.sin(np.arange(400) / 5) * (HELD_RADIUS - 0.37) * bond
    positions = np.repeat(atoms.positions[None], 400, axis=0)
    positions[:, [site, -1], 0] += shift[:, None]
    assert len(counted(positions, host, atoms).events) == 0
    # It moves on: the one that is left has the site.
    away = along([positions[-1, site], positions[-1, site] - [0.6 * bond, 0.2, 0.2]], 40)
    alone = along([positions[-1, -1], host.positions[site]], 40)
    onward = np.repeat(positions[-1:], 40, axis=0)
    onward[:, site], onward[:, -1] = away, alone
    hops = counted(np.concatenate([positions, onward]), host, atoms)
    assert hops.events[:, 1:].tolist() == [[site, site, -1], [len(host), -1, site]]


def vacancy_walk(
    host: Atoms, n_hops: int, seed: int, away_from: int
) -> tuple[Atoms, np.ndarray, list[tuple[int, int]]]:
    """Return a crystal with a vacancy, frames in which atoms hop into it one after another, and atoms with sites.

    The vacancy stays away from a site.
    """
    kept_out = find_mic(host.positions - host.positions[away_from], host.cell)[1] < 2 * nearest_distance(host)
    generator = np.random.default_rng(seed)
    vacant = 12
    atoms = host[np.arange(len(host)) != vacant]
    site_of_atom = np.delete(np.arange(len(host)), vacant)
    here, positions, made = atoms.positions.copy(), [], []
    for _ in range(n_hops):
        ways, lengths = find_mic(host.positions[vacant] - host.positions[site_of_atom], host.cell)
        near = np.flatnonzero((lengths < 1.7 * nearest_distance(host)) & ~kept_out[site_of_atom])
        atom = int(generator.choice(near))
        piece = np.repeat(here[None], 25, axis=0)
        piece[:, atom] += np.clip(np.linspace(-0.3, 1.3, 25), 0, 1)[:, None] * ways[atom]
        positions.append(piece)
        here = piece[-1].copy()
        made.append((atom, vacant))
        site_of_atom[atom], vacant = vacant, int(site_of_atom[atom])
    return atoms, np.concatenate(positions), made


def test_a_known_number_of_hops_beside_an_interstitial(host: Atoms) -> None:
    """The hops of a walk are counted one by one, while hydrogen goes from hole to hole past occupied sites."""
    bond = nearest_distance(host)
    far = int(find_mic(host.positions - host.positions[12], host.cell)[1].argmax())
    atoms, positions, made = vacancy_walk(host, 40, seed=3, away_from=far)
    holes = holes_beside(host, far)
    hydrogen = np.concatenate([along([holes[k % 2], holes[(k + 1) % 2]], 50) for k in range(20)])
    atoms = with_interstitial(atoms, "H", hydrogen[0])
    positions = np.concatenate([positions, hydrogen[:, None]], axis=1)
    positions += np.random.default_rng(4).normal(0.0, 0.03 * bond, positions.shape)
    positions += np.linspace(0, 1, len(positions))[:, None, None] * [3.0, -2.0, 5.0]
    hops = counted(positions, host, atoms)
    assert hops.between_sites[:, [1, 3]].tolist() == [list(pair) for pair in made]
    assert hops.last_sites[-1] == -1
