"""The crystal that is inferred from structures with defects, against the one that they were made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.geometry import find_mic
from ase.io import read

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.hops import find_defect_sites
from aiida_sicmlip.science.defects.host_search import infer_host
from aiida_sicmlip.science.dynamics.dcd import read_dcd
from aiida_sicmlip.science.dynamics.lammps_input import rotation_to_lammps
from tests.crystals import four_h, silicon_carbide_host, skewed_silicon_carbide

FIXTURES = Path(__file__).parents[2] / "fixtures"
DIVACANCY = [{"kind": "divacancy"}]
MIXED = [
    {"kind": "antisite", "species": "C", "on": "Si"},
    {"kind": "vacancy", "species": "C", "placement": "random"},
    {"kind": "antisite", "species": "Si", "on": "C", "placement": "random"},
]
TEN_VACANCIES = [{"kind": "vacancy", "species": species, "placement": "random", "count": 5} for species in ("Si", "C")]
CONVENTIONAL = silicon_carbide_host()
PRIMITIVE = silicon_carbide_host(repeats=(2, 2, 2), cell="primitive")
CASES = {
    "216 vacancy": (CONVENTIONAL, [{"kind": "vacancy", "species": "Si"}]),
    "216 divacancy": (CONVENTIONAL, DIVACANCY),
    "216 mixed": (CONVENTIONAL, MIXED),
    "16 divacancy": (PRIMITIVE, DIVACANCY),
    "54 skewed": (skewed_silicon_carbide(), DIVACANCY),
    "64 antisite": (silicon_carbide_host(repeats=(2, 2, 2)), MIXED[:1]),
    "48 unequal": (silicon_carbide_host(repeats=(1, 2, 3)), DIVACANCY),
    "512 ten vacancies": (silicon_carbide_host(repeats=(4, 4, 4)), TEN_VACANCIES),
    "128 4H": (four_h((4, 4, 1)), DIVACANCY),
    "4H along c": (four_h((3, 3, 2)), DIVACANCY),
    "216 perfect": (CONVENTIONAL, []),
}


def frames_of(atoms: Atoms, count: int, deviation: float, seed: int = 0) -> list[Atoms]:
    """Return frames with random displacements, each with a drift of its own, unwrapped."""
    generator = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        frame = atoms.copy()
        images = generator.integers(-1, 2, (len(atoms), 3)) @ atoms.cell.array
        frame.positions += generator.normal(0.0, deviation, (len(atoms), 3)) + generator.uniform(-9, 9, 3) + images
        frames.append(frame)
    return frames


def compare(inferred: Atoms, host: Atoms, defect: Atoms, frames: list[Atoms], within: float = 0.1) -> None:
    """Compare sites and species up to a drift, and the defects that both hosts show."""
    assert len(inferred) == len(host)
    assert sorted(inferred.numbers) == sorted(host.numbers)
    same = find_defect_sites(inferred, host)
    assert same.sites == []
    place = inferred.positions - same.drift
    distances = find_mic(place - host.positions[same.site_of_atom], host.cell)[1]
    assert distances.max() < within

    def kinds(structure: Atoms, crystal_: Atoms) -> list[tuple]:
        sites = find_defect_sites(structure, crystal_).sites
        return sorted((site["kind"], site["species"], site["replaced_by"] or "") for site in sites)

    wanted = kinds(defect, host)
    for frame in frames:
        assert kinds(frame, inferred) == wanted


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("deviation", "count"), [(0.0, 1), (0.12, 1), (0.25, 6)])
def test_the_host_is_found(case, deviation, count):
    host, defects = CASES[case]
    defect = build_defects(host, defects, 1).atoms
    order = np.random.default_rng(2).permutation(len(defect))
    frames = frames_of(defect[order], count, deviation)
    # Of hot atoms some are nearer to another site than to their own: only what was built is compared then.
    compared = frames if deviation < 0.2 else [defect]
    compare(infer_host(frames), host, defect, compared, 0.02 if deviation == 0 else 0.1)


def test_one_hot_frame():
    defect = build_defects(CONVENTIONAL, DIVACANCY, 0).atoms
    frames = frames_of(defect, 1, 0.25, 3)
    compare(infer_host(frames), CONVENTIONAL, defect, frames)


@pytest.mark.parametrize("deviation", [0.0, 0.2])
def test_interstitials_do_not_make_sites(deviation):
    holes = [[2.208, 2.208, 2.208], [6.624, 2.208, 6.624], [11.04, 6.624, 2.208]]
    defect = CONVENTIONAL + Atoms("C3", holes)
    frames = frames_of(defect, 3, deviation)
    inferred = infer_host(frames)
    assert inferred.symbols.formula.count() == {"Si": 108, "C": 108}
    compare(inferred, CONVENTIONAL, CONVENTIONAL, [])
    cold = frames_of(defect, 1, 0.02)
    assert find_defect_sites(cold[0], inferred).interstitials == [216, 217, 218]


@pytest.mark.parametrize("defects", [DIVACANCY, [{"kind": "vacancy", "species": "C"}]])
@pytest.mark.parametrize("deviation", [0.0, 0.08])
def test_eight_sites(defects, deviation):
    """The conventional cell once: only its face-centring is left."""
    host = silicon_carbide_host(repeats=(1, 1, 1))
    defect = build_defects(host, defects, 0).atoms
    compare(infer_host(frames_of(defect, 5, deviation)), host, defect, [defect])


def test_more_frames_are_more_exact():
    defect = build_defects(PRIMITIVE, DIVACANCY, 0).atoms
    errors = []
    for count in (1, 16):
        squares = []
        for seed in range(4):
            inferred = infer_host(frames_of(defect, count, 0.12, seed))
            same = find_defect_sites(inferred, PRIMITIVE)
            # What can be wrong is where one sublattice is against the other.
            apart = inferred.positions - same.drift - PRIMITIVE.positions[same.site_of_atom]
            means = [find_mic(apart, PRIMITIVE.cell)[0][inferred.numbers == number].mean(axis=0) for number in (6, 14)]
            squares.append(np.square(means[0] - means[1]).mean())
        errors.append(np.sqrt(np.mean(squares)))
    assert errors[0] < 2 * 0.12 * np.sqrt(2 / 7)
    assert errors[1] < errors[0] / 2


def test_other_crystals():
    iron = bulk("Fe", "bcc", a=2.87, cubic=True).repeat((3, 3, 3))
    defect = iron[1:]
    compare(infer_host(frames_of(defect, 2, 0.1)), iron, defect, [defect])
    salt = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat((2, 2, 2))
    defect = salt[[index for index in range(64) if index not in (3, 40)]]
    compare(infer_host(frames_of(defect, 2, 0.1)), salt, defect, [defect])


def test_real_runs():
    positions, _ = read_dcd(FIXTURES / "edip-14" / "0.dcd")
    defect = build_defects(PRIMITIVE, DIVACANCY, 0).atoms
    cell = np.asarray(rotation_to_lammps(PRIMITIVE.cell.array)[0])
    host = PRIMITIVE.copy()
    host.set_cell(cell, scale_atoms=True)
    frames = [Atoms(defect.numbers, frame, cell=cell, pbc=True) for frame in positions[::6]]
    compare(infer_host(frames), host, frames[0], frames[:1])
    host = silicon_carbide_host(4.36, (2, 2, 2))
    frames = read(FIXTURES / "plumed" / "traj-vv62.xyz.gz", index="::100", format="xyz")
    for frame in frames:
        frame.set_cell(host.cell)
        frame.pbc = True
    compare(infer_host(frames), host, frames[0], frames)


def test_no_crystal_is_found():
    generator = np.random.default_rng(7)
    liquid = CONVENTIONAL.copy()
    liquid.positions = generator.uniform(0, 1, (216, 3)) @ liquid.cell.array
    box = molecule("C2H6")
    box.set_cell([12, 12, 12])
    box.pbc = True
    alone = silicon_carbide_host(repeats=(1, 1, 1), cell="primitive")
    for frame in (liquid, box, alone, four_h()):
        with pytest.raises(InputError, match=r"No crystal is found.*Give the host"):
            infer_host([frame])
    with pytest.raises(InputError, match=r"all frames fit.*Give the host"):
        infer_host([CONVENTIONAL, liquid])


def test_wrong_frames():
    with pytest.raises(InputError, match="no frames"):
        infer_host([])
    with pytest.raises(InputError, match="cells of the frames differ"):
        infer_host([CONVENTIONAL, silicon_carbide_host(4.5)])
    with pytest.raises(InputError, match="periodic cell"):
        infer_host([molecule("CH4")])
