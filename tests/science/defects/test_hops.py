"""Sites of a host in structures and trajectories: vacancies, antisites and interstitials found, hops counted."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.geometry import find_mic

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.building import DefectStructure, build_defects
from aiida_sicmlip.science.defects.hops import CORE_RADIUS, HostSites, count_hops, find_defect_sites
from aiida_sicmlip.science.dynamics.lammps_input import rotation_to_lammps
from tests.crystals import silicon_carbide_host, silicon_carbide_hosts

BOND = 4.416 * np.sqrt(3) / 4
HOSTS = silicon_carbide_hosts()
COMPLEX = [{"kind": "vacancy_antisite", "vacancy": "C", "species": "C", "on": "Si"}]


@pytest.fixture(params=HOSTS)
def host(request) -> Atoms:
    return HOSTS[request.param]


def divacancy(host: Atoms) -> DefectStructure:
    return build_defects(host, [{"kind": "divacancy"}], 0)


def changes(sites) -> set[tuple]:
    """Return what is compared of sites: where, what was there, what is."""
    return {(site["kind"], site["site"], site["species"], site["replaced_by"]) for site in sites}


@pytest.mark.parametrize("defects", [[{"kind": "divacancy"}], COMPLEX])
def test_built_defects_are_found(host, defects):
    built = build_defects(host, defects, 0)
    found = find_defect_sites(built.atoms, host)
    assert changes(found.sites) == changes(built.sites)
    positions = {site["site"]: site["position"] for site in built.sites}
    assert {site["site"]: site["position"] for site in found.sites} == positions
    assert found.interstitials == []
    left = [
        index for index in range(len(host)) if index not in {s["site"] for s in built.sites if not s["replaced_by"]}
    ]
    assert found.site_of_atom.tolist() == left
    assert found.drift == pytest.approx([0, 0, 0], abs=1e-9)


@pytest.mark.parametrize("drift", [(0.0, 0.0, 0.0), (0.4, -0.2, 0.7), (0.9, 0.9, 0.9)])
def test_order_wrapping_noise_and_a_small_drift_do_not_matter(host, drift):
    generator = np.random.default_rng(3)
    built = divacancy(host)
    order = generator.permutation(len(built.atoms))
    moved = built.atoms[order]
    moved.positions += generator.normal(0.0, 0.12, moved.positions.shape) + drift
    expected = find_defect_sites(built.atoms, host).site_of_atom[order]
    images = generator.integers(-2, 3, (len(moved), 3)) @ host.cell.array
    for shift in (np.zeros((len(moved), 3)), images):
        moved.positions += shift
        found = find_defect_sites(moved, host)
        assert changes(found.sites) == changes(built.sites)
        assert found.site_of_atom.tolist() == expected.tolist()
        assert found.drift == pytest.approx(drift, abs=0.15)


@pytest.mark.parametrize("drift", [(7.0, 3.3, -2.2), (1.1, 1.1, 1.1), (2.2, 0.1, 0.0), (-4.0, 9.0, 1.0)])
def test_any_drift_gives_the_defect_at_an_equivalent_place(host, drift):
    """A translation of the crystal onto itself is not seen; the shortest is taken, and species keep Si on Si."""
    generator = np.random.default_rng(4)
    moved = divacancy(host).atoms
    moved.positions += generator.normal(0.0, 0.1, moved.positions.shape) + drift
    found = find_defect_sites(moved, host)
    assert [site["kind"] for site in found.sites] == ["vacancy", "vacancy"]
    assert {site["species"] for site in found.sites} == {"Si", "C"}
    first, second = (site["site"] for site in found.sites)
    assert host.get_distance(first, second, mic=True) == pytest.approx(BOND)
    # What is left of the drift is a vector that leads an atom of the host to another of its species.
    rest, _ = find_mic(host.positions[0] + np.array(drift) - found.drift - host.positions, host.cell)
    nearest = np.linalg.norm(rest, axis=1).argmin()
    assert np.linalg.norm(rest[nearest]) < 0.15
    assert host.symbols[nearest] == host.symbols[0]
    assert np.linalg.norm(found.drift) < 4.416 / 2 + 0.2


@pytest.mark.parametrize("length", [0.4, 0.45, 0.5, 0.55, 0.6])
def test_a_crystal_halfway_to_its_neighbours_sites(host, length):
    """Displaced along a bond each atom is in reach of its own site, and half of them are as near to another."""
    moved = host.copy()
    moved.positions += length * BOND * np.ones(3) / np.sqrt(3)
    found = find_defect_sites(moved, host)
    assert (found.sites, found.interstitials) == ([], [])
    apart = moved.positions - found.drift - host.positions[found.site_of_atom]
    assert find_mic(apart, host.cell)[1].max() < 1e-6


def test_sites_that_translations_lead_to_each_other(host):
    orbits = HostSites(host).orbits
    assert len(set(orbits)) == 2
    assert all(len(set(orbits[host.numbers == number])) == 1 for number in (6, 14))


def test_a_turned_and_strained_cell(host):
    """LAMMPS turns cells; a structure at another temperature is strained."""
    built = divacancy(host)
    cell, rotation = rotation_to_lammps(host.cell.array)
    turned = built.atoms.copy()
    turned.set_cell(np.asarray(cell) * 1.01)
    turned.positions = built.atoms.positions @ rotation * 1.01
    assert changes(find_defect_sites(turned, host).sites) == changes(built.sites)


def test_interstitials_have_no_site():
    host = HOSTS["64 conventional"]
    structure = build_defects(host, [{"kind": "vacancy", "species": "C"}], 0).atoms
    # The tetrahedral hole among Si atoms is one bond from the nearest.
    structure += Atoms("C", [[2.208, 2.208, 2.208]])
    found = find_defect_sites(structure[np.roll(np.arange(64), 5)], host)
    assert found.interstitials == [4]
    assert [(site["kind"], site["species"]) for site in found.sites] == [("vacancy", "C")]
    # A dumbbell: one of the two has the site.
    dumbbell = host.copy()
    dumbbell.positions[8, 0] += 0.6
    dumbbell += Atoms(dumbbell.symbols[8], [host.positions[8] - [0.7, 0, 0]])
    found = find_defect_sites(dumbbell, host)
    assert (found.interstitials, found.sites) == ([64], [])


def test_an_atom_between_two_sites_belongs_to_the_nearer():
    host = HOSTS["216 conventional"]
    built = build_defects(host, [{"kind": "vacancy", "species": "Si"}], 0)
    vacant = built.sites[0]["site"]
    target = host.positions[vacant]
    vectors, lengths = find_mic(target - built.atoms.positions, host.cell)
    atom = int(lengths.argmin())
    for fraction, expected in ((0.4, [vacant]), (0.6, [atom + (atom >= vacant)])):
        structure = built.atoms.copy()
        structure.positions[atom] += fraction * vectors[atom]
        vacancies = [s["site"] for s in find_defect_sites(structure, host).sites if s["kind"] == "vacancy"]
        assert vacancies == expected


def test_structures_of_another_crystal_are_refused(host):
    structure = divacancy(host).atoms
    with pytest.raises(InputError, match=r"differ by a strain of 0\.0[67].*same repeats"):
        strained = structure.copy()
        strained.set_cell(host.cell.array * 1.065, scale_atoms=True)
        find_defect_sites(strained, host)
    with pytest.raises(InputError, match="differ by a strain"):
        find_defect_sites(structure, host.repeat((2, 1, 1)))
    molten = structure.copy()
    molten.positions = np.random.default_rng(0).uniform(0, 1, (len(molten), 3)) @ host.cell.array
    with pytest.raises(InputError, match="does not fit its host"):
        find_defect_sites(molten, host)
    with pytest.raises(InputError, match="does not fit its host"):
        find_defect_sites(structure[: len(structure) // 2], host)
    loose = host.copy()
    loose.pbc = [True, True, False]
    with pytest.raises(InputError, match="no crystal"):
        find_defect_sites(structure, loose)


def hop_into_the_vacancy(frames: int = 21) -> tuple[DefectStructure, np.ndarray, int]:
    """Return a divacancy, frames in which a neighbouring Si goes straight into the Si vacancy, and that atom."""
    built = divacancy(HOSTS["216 conventional"])
    target = np.array(next(site["position"] for site in built.sites if site["species"] == "Si"))
    vectors, lengths = find_mic(target - built.atoms.positions, built.atoms.cell)
    lengths[built.atoms.numbers != 14] = np.inf
    atom = int(lengths.argmin())
    positions = np.repeat(built.atoms.positions[None], frames, axis=0)
    positions[:, atom] += np.linspace(0, 1, frames)[:, None] * vectors[atom]
    return built, positions, atom


def counted(positions: np.ndarray, built: DefectStructure, **arguments):
    host = HOSTS["216 conventional"]
    return count_hops(positions, host.cell.array, host, built.atoms.get_chemical_symbols(), **arguments)


def test_one_atom_into_a_vacancy_is_one_hop():
    built, positions, atom = hop_into_the_vacancy()
    vacant = next(site["site"] for site in built.sites if site["species"] == "Si")
    hops = counted(positions, built)
    origin = int(hops.first_sites[atom])
    assert hops.n_hops == 1
    assert hops.events[0, 1:].tolist() == [atom, origin, vacant]
    # It has arrived in the first frame in which it is in the core: 0.35 of a bond from the site.
    left = np.linspace(1, 0, 21) * 4.416 / np.sqrt(2)
    assert hops.events[0, 0] == np.flatnonzero(left < CORE_RADIUS * BOND)[0]
    other = next(site["site"] for site in built.sites if site["species"] == "C")
    arrival = int(hops.events[0, 0])
    assert hops.vacant.shape == (21, 2)
    assert (hops.vacant[:arrival] == sorted([vacant, other])).all()
    assert (hops.vacant[arrival:] == sorted([origin, other])).all()
    assert hops.last_sites[atom] == vacant


def test_the_way_back_is_a_second_hop():
    built, positions, _ = hop_into_the_vacancy()
    hops = counted(np.concatenate([positions, positions[::-1]]), built)
    assert hops.n_hops == 2
    assert hops.events[0, 2:].tolist() == hops.events[1, :1:-1].tolist()
    assert hops.last_sites.tolist() == hops.first_sites.tolist()


def test_an_atom_that_turns_back_outside_the_core_did_not_hop():
    built, positions, _ = hop_into_the_vacancy(41)
    outside = np.flatnonzero(np.linspace(1, 0, 41) * 4.416 / np.sqrt(2) > CORE_RADIUS * BOND)
    assert len(outside) > 20
    assert counted(np.concatenate([positions[outside], positions[outside][::-1]]), built).n_hops == 0


def test_vibration_and_drift_are_no_hops():
    built = divacancy(HOSTS["216 conventional"])
    generator = np.random.default_rng(5)
    # 0.25 A along each axis, more than SiC has at 2000 K, and a drift across the whole cell.
    positions = built.atoms.positions + generator.normal(0.0, 0.25, (1000, 214, 3))
    positions += np.linspace(0, 1, 1000)[:, None, None] * [15.0, -9.0, 4.0]
    wrapped = (np.linalg.solve(built.atoms.cell.array.T, positions.reshape(-1, 3).T).T % 1.0) @ built.atoms.cell.array
    known = find_defect_sites(built.atoms, HOSTS["216 conventional"]).site_of_atom
    for frames in (positions, wrapped.reshape(positions.shape)):
        hops = counted(frames, built, site_of_atom=known)
        assert hops.n_hops == 0
        assert hops.vacant.shape == (1000, 2)


def test_hops_are_seen_through_vibration_drift_and_wrapping():
    built, positions, atom = hop_into_the_vacancy(201)
    positions = np.concatenate([positions, positions[-1:].repeat(50, axis=0)])
    positions += np.random.default_rng(6).normal(0.0, 0.144, positions.shape)
    positions += np.linspace(0, 1, len(positions))[:, None, None] * [20.0, 5.0, 1.0]
    cell = built.atoms.cell.array
    wrapped = ((positions.reshape(-1, 3) @ np.linalg.inv(cell)) % 1.0 @ cell).reshape(positions.shape)
    for frames in (positions, wrapped):
        hops = counted(frames, built)
        assert hops.events[:, 1].tolist() == [atom]


def test_two_atoms_that_exchange_hop_once_each():
    host = HOSTS["64 conventional"]
    built = build_defects(host, [{"kind": "vacancy", "species": "C"}], 0)
    atoms = built.atoms
    first = 0
    vectors, lengths = find_mic(atoms.positions - atoms.positions[first], host.cell)
    lengths[first] = np.inf
    second = int(lengths.argmin())
    # Around each other: half a turn about their middle.
    angle = np.linspace(0, np.pi, 31)[:, None]
    half = vectors[second] / 2
    aside = np.cross(half, [0.3, 0.5, -0.7])
    aside *= np.linalg.norm(half) / np.linalg.norm(aside)
    arc = np.cos(angle) * half + np.sin(angle) * aside
    positions = np.repeat(atoms.positions[None], 31, axis=0)
    middle = atoms.positions[first] + half
    positions[:, first], positions[:, second] = middle - arc, middle + arc
    hops = count_hops(positions, host.cell.array, host, atoms.get_chemical_symbols())
    sites = hops.first_sites[[first, second]]
    assert sorted(hops.events[:, 1].tolist()) == sorted([first, second])
    assert hops.n_hops == 2
    assert hops.last_sites[[first, second]].tolist() == sites[::-1].tolist()
    assert (hops.vacant == [built.sites[0]["site"]]).all()


def test_pieces_of_a_trajectory_give_what_the_whole_gives():
    built, positions, _ = hop_into_the_vacancy(60)
    whole = counted(positions, built)
    first = counted(positions[:30], built)
    second = counted(positions[30:], built, site_of_atom=first.last_sites)
    assert first.n_hops + second.n_hops == whole.n_hops == 1
    assert second.last_sites.tolist() == whole.last_sites.tolist()


def test_an_interstitial_that_finds_a_vacancy_is_an_event_but_no_hop_between_sites():
    host = HOSTS["64 conventional"]
    built = build_defects(host, [{"kind": "vacancy", "species": "C"}], 0)
    structure = built.atoms + Atoms("C", [[2.208, 2.208, 2.208]])
    target = np.array(built.sites[0]["position"])
    way = find_mic(target - structure.positions[-1], host.cell)[0]
    positions = np.repeat(structure.positions[None], 40, axis=0)
    positions[:, -1] += np.linspace(0, 1, 40)[:, None] * way
    hops = count_hops(positions, host.cell.array, host, structure.get_chemical_symbols())
    # On its way it may pass other atoms' cores; it begins without a site and ends on the vacant one.
    mine = hops.events[hops.events[:, 1] == 63]
    assert mine[0, 2] == -1
    assert mine[-1, 3] == built.sites[0]["site"]
    assert hops.vacant[0].tolist() == [built.sites[0]["site"]]
    assert hops.vacant[-1].tolist() == [-1]


def test_two_thousand_frames_take_about_a_second():
    built = divacancy(HOSTS["216 conventional"])
    positions = built.atoms.positions + np.random.default_rng(7).normal(0.0, 0.15, (2000, 214, 3))
    start = time.process_time()
    counted(positions, built)
    assert time.process_time() - start < 3.0


@pytest.fixture(scope="module")
def edip_run() -> tuple[list[str], np.ndarray, Atoms]:
    """Species, unwrapped positions (600, 62, 3) and host of 60 ps of a divacancy at 1500 K under EDIP."""
    path = Path(__file__).parents[2] / "fixtures" / "plumed" / "traj-vv62.xyz.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    frames = [[line.split() for line in lines[begin + 2 : begin + 64]] for begin in range(0, len(lines), 64)]
    positions = np.array([[row[1:] for row in frame] for frame in frames], dtype=float)
    return [row[0] for row in frames[0]], positions, silicon_carbide_host(4.36, (2, 2, 2))


def test_a_real_run_in_which_nothing_hops(edip_run):
    """Looked up by hand: no atom is ever 0.81 A from its site, or as near as 1.2 A to a vacant one."""
    species, positions, host = edip_run
    hops = count_hops(positions, host.cell.array, host, species)
    assert hops.events.shape == (0, 4)
    assert hops.vacant.shape == (600, 2)
    vacant = hops.vacant[0]
    assert [host.symbols[site] for site in vacant] == ["Si", "C"]
    assert host.get_distance(*vacant, mic=True) == pytest.approx(4.36 * np.sqrt(3) / 4)
    farthest, nearest = 0.0, np.inf
    for frame in positions:
        from_sites = find_mic(frame - host.positions[hops.first_sites], host.cell)[0]
        drift = np.median(from_sites, axis=0)
        farthest = max(farthest, np.linalg.norm(from_sites - drift, axis=1).max())
        for site in vacant:
            nearest = min(nearest, find_mic(frame - drift - host.positions[site], host.cell)[1].min())
    assert farthest == pytest.approx(0.80, abs=0.01)
    assert nearest == pytest.approx(1.24, abs=0.01)


def test_a_hop_put_into_the_real_run(edip_run):
    """From frame 300 on a neighbour of the vacancy is where the vacancy was, with its own thermal motion."""
    species, positions, host = edip_run
    before = count_hops(positions, host.cell.array, host, species)
    target = before.vacant[0][0]
    vectors, lengths = find_mic(host.positions[target] - host.positions[before.first_sites], host.cell)
    lengths[np.array(species) != host.symbols[target]] = np.inf
    atom = int(lengths.argmin())
    moved = positions.copy()
    moved[300:, atom] += vectors[atom]
    hops = count_hops(moved, host.cell.array, host, species)
    # It is in the core at once, or a vibration later.
    assert hops.n_hops == 1
    assert 300 <= hops.events[0, 0] < 305
    assert hops.events[0, 1:].tolist() == [atom, before.first_sites[atom], target]


def test_nearest_sites_agree_with_a_search_over_all_images(host):
    points = np.random.default_rng(8).uniform(-1.5, 2.5, (200, 3)) @ host.cell.array
    found, distances = HostSites(host).nearest(points)
    for point, site, distance in zip(points, found, distances, strict=True):
        _, lengths = find_mic(host.positions - point, host.cell)
        assert distance == pytest.approx(lengths.min(), abs=1e-9)
        assert lengths[site] == pytest.approx(lengths.min(), abs=1e-9)


def test_frames_must_be_given():
    with pytest.raises(InputError, match=r"shape \(0, 214, 3\)"):
        counted(np.empty((0, 214, 3)), divacancy(HOSTS["216 conventional"]))
