"""Atoms around defects in many frames: those of `find_defect_sites`, whatever heat, drift, wrapping and order do."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.geometry import find_mic
from ase.io import read
from scipy.optimize import linear_sum_assignment

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.centres import DefectCentres
from aiida_sicmlip.science.defects.hops import find_defect_sites
from aiida_sicmlip.science.defects.host_sites import SITE_RADIUS, HostSites, assigned
from aiida_sicmlip.science.dynamics.dcd import read_dcd
from aiida_sicmlip.science.dynamics.lammps_input import rotation_to_lammps
from aiida_sicmlip.science.pines.atoms import choose_atoms
from tests.crystals import silicon_carbide_host

FIXTURES = Path(__file__).parents[2] / "fixtures"
HOST = silicon_carbide_host()
SMALL = silicon_carbide_host(repeats=(2, 2, 2), cell="primitive")
BOND = 4.416 * np.sqrt(3) / 4
DIVACANCY = [{"kind": "divacancy"}]
ANTISITE = [{"kind": "antisite", "species": "C", "on": "Si"}]


def with_interstitial(host: Atoms, split: bool) -> Atoms:
    """Return a host with one more C atom, in the hole among Si atoms or on a site that it shares."""
    atoms = host.copy()
    if not split:
        return atoms + Atoms("C", [[2.208, 2.208, 2.208]])
    shared = int(np.flatnonzero(atoms.numbers == 6)[5])
    place = atoms.positions[shared].copy()
    atoms.positions[shared] += [0.7, 0.0, 0.0]
    return atoms + Atoms("C", [place - [0.6, 0.1, 0.0]])


def frames_of(atoms: Atoms, count: int, deviation: float, seed: int = 0) -> np.ndarray:
    """Return frames with random displacements, (F, N, 3)."""
    return atoms.positions + np.random.default_rng(seed).normal(0.0, deviation, (count, len(atoms), 3))


def expected(atoms: Atoms, host: Atoms, radius: float = 3.4) -> list[int]:
    """Return the centres of one frame from its defect sites, worked out one distance after the other."""
    found = find_defect_sites(atoms, host)
    defects = {site["site"] for site in found.sites}
    for atom in found.interstitials:
        place = atoms.cell.scaled_positions(atoms.positions[atom]) @ host.cell.array - found.drift
        defects.add(int(find_mic(host.positions - place, host.cell)[1].argmin()))
    around: set[int] = set()
    for site in defects:
        distances = find_mic(host.positions - host.positions[site], host.cell)[1]
        around |= set(np.flatnonzero(distances <= radius + 1e-3).tolist())
    centres = [atom for atom, site in enumerate(found.site_of_atom) if site < 0 or int(site) in around]
    return centres or list(range(len(atoms)))


def check(host: Atoms, atoms: Atoms, positions: np.ndarray, every: int = 1) -> list[np.ndarray]:
    """Compare the centres of frames with the expected ones, and return them."""
    centres = DefectCentres(host).find(positions, atoms.cell.array, atoms.numbers)
    assert len(centres) == len(positions)
    for frame in range(0, len(positions), every):
        structure = atoms.copy()
        structure.positions = positions[frame]
        assert centres[frame].tolist() == expected(structure, host)
    return centres


def test_two_shells_of_each_vacant_site():
    built = build_defects(HOST, DIVACANCY, 0)
    centres = DefectCentres(HOST).find(built.atoms.positions[None], HOST.cell.array, built.atoms.numbers)[0]
    assert len(centres) == 24
    # Those of the variables, two shells around the divacancy as a whole, are some more.
    assert set(centres.tolist()) < set(choose_atoms(HOST, built.sites).indices)
    for species in ("Si", "C"):
        vacancy = build_defects(HOST, [{"kind": "vacancy", "species": species}], 0).atoms
        centres = DefectCentres(HOST).find(vacancy.positions[None], HOST.cell.array, vacancy.numbers)[0]
        assert len(centres) == 16
    antisite = build_defects(HOST, ANTISITE, 0)
    centres = DefectCentres(HOST).find(antisite.atoms.positions[None], HOST.cell.array, antisite.atoms.numbers)[0]
    assert len(centres) == 17
    assert antisite.sites[0]["site"] in centres


def test_vacancies_far_apart_have_their_own_atoms():
    distances = find_mic(HOST.positions - HOST.positions[0], HOST.cell)[1]
    second = int(distances.argmax())
    atoms = HOST[[index for index in range(216) if index not in (0, second)]]
    centres = DefectCentres(HOST).find(atoms.positions[None], HOST.cell.array, atoms.numbers)[0]
    assert len(centres) == 32


def test_a_frame_without_a_defect_has_all_its_atoms():
    centres = DefectCentres(HOST).find(frames_of(HOST, 3, 0.1), HOST.cell.array, HOST.numbers)
    assert [len(atoms) for atoms in centres] == [216] * 3


@pytest.mark.parametrize("deviation", [0.0, 0.12, 0.2, 0.25])
def test_heat_drift_wrapping_and_order_do_not_change_the_centres(deviation):
    built = build_defects(HOST, DIVACANCY, 0)
    cell = HOST.cell.array
    generator = np.random.default_rng(1)
    positions = frames_of(built.atoms, 150, deviation)
    drifted = positions + generator.uniform(-30, 30, (150, 1, 3))
    wrapped = drifted @ np.linalg.inv(cell) % 1.0 @ cell
    images = drifted + generator.integers(-2, 3, positions.shape) @ cell
    order = generator.permutation(214)
    wanted = set(expected(built.atoms, HOST))
    finder = DefectCentres(HOST)
    for frames in (positions, drifted, wrapped, images):
        for centres in finder.find(frames, cell, built.atoms.numbers):
            assert set(centres) == wanted
        for centres in finder.find(frames[:, order], cell, built.atoms.numbers[order]):
            assert set(order[centres]) == wanted
            assert (np.diff(centres) > 0).all()


@pytest.mark.parametrize("host", [HOST, SMALL], ids=["216", "16"])
@pytest.mark.parametrize("deviation", [0.02, 0.3])
@pytest.mark.parametrize(
    "make",
    [
        lambda host: build_defects(host, DIVACANCY, 0).atoms,
        lambda host: build_defects(host, ANTISITE, 0).atoms,
        lambda host: with_interstitial(host, False),
        lambda host: with_interstitial(host, True),
    ],
    ids=["divacancy", "antisite", "interstitial", "split interstitial"],
)
def test_equal_to_the_defect_sites_of_each_frame(host, deviation, make):
    """At 0.3 A along each axis some atoms want the same site; the small cell fits nowhere at times above 0.2 A."""
    atoms = make(host)
    deviation = min(deviation, 0.2) if len(host) == 16 else deviation
    check(host, atoms, frames_of(atoms, 60, deviation), every=3)


def test_a_turned_and_strained_cell():
    built = build_defects(HOST, DIVACANCY, 0).atoms
    turned = built.copy()
    cell, rotation = rotation_to_lammps(HOST.cell.array @ np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0])
    turned.set_cell(np.asarray(cell) * 1.02)
    turned.positions = built.cell.scaled_positions(built.positions) @ turned.cell.array
    assert np.isfinite(rotation).all()
    check(HOST, turned, frames_of(turned, 20, 0.15), every=4)
    with pytest.raises(InputError, match="same repeats"):
        DefectCentres(HOST).find(built.positions[None], HOST.cell.array * 1.2, built.numbers)


def test_hops_move_the_centres():
    """A neighbour goes into the vacancy of its species and most of the way back; halfway it has no site."""
    built = build_defects(HOST, DIVACANCY, 0)
    target = np.array(next(site["position"] for site in built.sites if site["species"] == "Si"))
    vectors, lengths = find_mic(target - built.atoms.positions, HOST.cell)
    lengths[built.atoms.numbers != 14] = np.inf
    atom = int(lengths.argmin())
    way = np.concatenate([np.linspace(0, 1, 40), np.linspace(1, 0.2, 40)])
    positions = frames_of(built.atoms, len(way), 0.1)
    positions[:, atom] += way[:, None] * vectors[atom]
    centres = [found.tolist() for found in check(HOST, built.atoms, positions)]
    assert centres[0] == centres[79] == expected(built.atoms, HOST)
    assert centres[39] != centres[0]
    assert all(atom in found for found in centres)
    assert {tuple(found) for found in centres} == {tuple(centres[frame]) for frame in (0, 20, 39)}


def test_frames_need_not_follow_each_other():
    built = build_defects(HOST, DIVACANCY, 0)
    positions = frames_of(built.atoms, 200, 0.28, 5)
    order = np.random.default_rng(6).permutation(200)
    finder = DefectCentres(HOST)
    centres = finder.find(positions, HOST.cell.array, built.atoms.numbers)
    shuffled = finder.find(positions[order], HOST.cell.array, built.atoms.numbers)
    alone = [finder.find(frame[None], HOST.cell.array, built.atoms.numbers)[0] for frame in positions]
    assert [found.tolist() for found in shuffled] == [centres[frame].tolist() for frame in order]
    assert [found.tolist() for found in alone] == [found.tolist() for found in centres]


def test_real_runs_of_fourteen_atoms():
    for run in range(3):
        positions, _ = read_dcd(FIXTURES / "edip-14" / f"{run}.dcd")
        atoms = build_defects(SMALL, DIVACANCY, 0).atoms
        cell, _ = rotation_to_lammps(SMALL.cell.array)
        atoms.set_cell(np.asarray(cell))
        check(SMALL, atoms, positions.astype(float))


def test_a_real_run_of_62_atoms():
    frames = read(FIXTURES / "plumed" / "traj-vv62.xyz.gz", index=":", format="xyz")
    host = silicon_carbide_host(4.36, (2, 2, 2))
    atoms = frames[0]
    atoms.set_cell(host.cell)
    atoms.pbc = True
    check(host, atoms, np.array([frame.positions for frame in frames]), every=20)


def test_frames_that_fit_nowhere_have_all_their_atoms():
    built = build_defects(HOST, DIVACANCY, 0).atoms
    positions = frames_of(built, 6, 0.1)
    molten = np.random.default_rng(2).uniform(0, 1, (2, 214, 3)) @ HOST.cell.array
    positions[[0, 3]] = molten
    sizes = [len(found) for found in DefectCentres(HOST).find(positions, HOST.cell.array, built.numbers)]
    assert sizes == [214, 24, 24, 214, 24, 24]


def test_wrong_input():
    with pytest.raises(InputError, match="`radius` is 0"):
        DefectCentres(HOST, 0)
    with pytest.raises(InputError, match=r"shape \(214, 3\)"):
        DefectCentres(HOST).find(np.zeros((214, 3)), HOST.cell.array, np.zeros(214))
    with pytest.raises(InputError, match=r"`numbers` \(3,\)"):
        DefectCentres(HOST).find(np.zeros((2, 214, 3)), HOST.cell.array, np.zeros(3))
    assert DefectCentres(HOST).find(np.zeros((0, 214, 3)), HOST.cell.array, np.full(214, 6)) == []


@pytest.mark.parametrize("deviation", [0.3, 0.4, 0.6])
@pytest.mark.parametrize(("host", "extra"), [(HOST, -2), (HOST, 2), (SMALL, -2), (SMALL, 1)])
def test_sites_are_the_least_sum_of_squares(deviation, host, extra):
    """Only atoms that want the same site are shared out; the whole problem, all atoms and sites, gives the same."""
    generator = np.random.default_rng(9)
    sites = HostSites(host)
    reach = SITE_RADIUS * sites.nearest_distance
    contested = 0
    for _ in range(15):
        added = generator.uniform(0, 1, (max(extra, 0), 3)) @ host.cell.array
        positions = np.concatenate([host.positions[max(-extra, 0) :], added])
        positions = positions + generator.normal(0.0, deviation, positions.shape)
        distances = np.stack([find_mic(positions - site, host.cell)[1] for site in host.positions], axis=1)
        atoms, chosen = linear_sum_assignment(np.minimum(distances**2, reach**2))
        whole = np.full(len(positions), -1)
        within = distances[atoms, chosen] < reach
        whole[atoms[within]] = chosen[within]
        found, vectors = sites.displacements(positions)
        assert assigned(sites, positions, found, vectors).tolist() == whole.tolist()
        contested += len(np.unique(found)) < len(found)
    assert contested


def test_cost():
    """40 times what it takes on an idle core; a search frame by frame takes 15 ms a frame."""
    built = build_defects(HOST, DIVACANCY, 0).atoms
    positions = frames_of(built, 2000, 0.25)
    finder = DefectCentres(HOST)
    start = time.process_time()
    finder.find(positions, HOST.cell.array, built.numbers)
    assert (time.process_time() - start) / len(positions) < 1.5e-3
