"""What an evaluation says of regions and rare events, and the energies of atoms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.geometry import find_mic
from ase.io import write
from potential_helpers import call_potential, read_report

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.engine.classical_potential import ClassicalPotential
from aiida_sicmlip.engine.evaluation import evaluate
from aiida_sicmlip.engine.frames import find_hosts_where_possible
from aiida_sicmlip.engine.lammps.plugin_build import lammps_folder
from aiida_sicmlip.science.evaluation.rare_events import score_forces
from aiida_sicmlip.science.labels.labelled_frames import write_labelled_frames
from tests.crystals import silicon_carbide_host

SPECIES = ["Si", "C"]
HOST = silicon_carbide_host(repeats=(2, 2, 2), cell="primitive")
VACANT = 5


def commands(style: str = "edip/multi", file: str = "SiC.edip") -> list[str]:
    folder = lammps_folder() / "share" / "lammps" / "potentials"
    return [f"pair_style {style}", f"pair_coeff * * {folder / file} Si C"]


def rattled(atoms: Atoms, seed: int) -> Atoms:
    atoms = atoms.copy()
    atoms.positions += np.random.default_rng(seed).normal(0.0, 0.03, atoms.positions.shape)
    return atoms


def vacancy() -> Atoms:
    return HOST[np.arange(len(HOST)) != VACANT]


def hop() -> tuple[Atoms, int]:
    """Return a crystal with a vacancy, an atom on the middle of its way there, and that atom."""
    atoms = vacancy()
    ways, lengths = find_mic(HOST.positions[VACANT] - atoms.positions, atoms.cell)
    atom = int(lengths.argmin())
    atoms.positions[atom] += ways[atom] / 2
    return atoms, atom


def molten() -> Atoms:
    """Return a cell in which no crystal is to be found, with atoms that do not touch."""
    generator = np.random.default_rng(1)
    cell = np.diag([9.0, 9.5, 8.0])
    positions: list[np.ndarray] = []
    while len(positions) < 20:
        place = generator.uniform(size=3) @ cell
        if not positions or find_mic(np.array(positions) - place, cell)[1].min() > 1.7:
            positions.append(place)
    return Atoms("SiC" * 10, positions, cell=cell, pbc=True)


def labelled(atoms: Atoms, forces: np.ndarray) -> Atoms:
    atoms = atoms.copy()
    atoms.calc = SinglePointCalculator(atoms, energy=-100.0, forces=forces)
    return atoms


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Atoms], int]:
    """A folder in which EDIP was evaluated on a hop, a vacancy at rest and a melt, labelled by itself with errors."""
    folder = tmp_path_factory.mktemp("regions")
    jump, atom = hop()
    frames, generator = [rattled(jump, 1), rattled(vacancy(), 2), molten()], np.random.default_rng(7)
    with ClassicalPotential(SPECIES, commands()) as potential:
        labels = [
            labelled(frame, potential.compute(frame)[1] + generator.normal(0.0, 0.2, frame.positions.shape))
            for frame in frames
        ]
    write_labelled_frames(folder / "dataset.npz", labels)
    (folder / "classical.json").write_text(json.dumps({"species": SPECIES, "commands": commands()}))
    write(folder / "host.extxyz", HOST)
    arguments = ("--dataset", "dataset.npz", "--classical", "classical.json", "--host", "host.extxyz")
    result = call_potential(folder, "evaluate", *arguments)
    assert result.returncode == 0, result.stderr
    return folder, labels, atom


@pytest.mark.program
def test_arrays_say_where_each_atom_stands(evaluated) -> None:
    folder, labels, atom = evaluated
    with np.load(folder / "predictions.npz") as arrays:
        region, distance = arrays["region"], arrays["distance_to_defect"]
    jump, rest, melt = np.split(region, [15, 30])
    assert jump[atom] == 0
    assert (jump == 0).sum() == 1
    assert 3 <= (jump == 1).sum() < 14
    assert set(rest) == {2}
    assert set(melt) == {-1}
    expected = find_mic(labels[1].positions - HOST.positions[VACANT], HOST.cell)[1]
    # The crystal as a whole has drifted by the mean of its displacements.
    np.testing.assert_allclose(distance[15:30], expected, atol=0.06)
    assert np.isnan(distance[30:]).all()


@pytest.mark.program
def test_report_gives_errors_by_region(evaluated) -> None:
    folder, labels, atom = evaluated
    report = read_report(folder / "evaluation.json")
    assert report["n_without_host"] == 1
    host = report["hosts"]["host.extxyz"]
    assert host.pop("near_defect_distance") == pytest.approx(1.78 * 4.416 * np.sqrt(3) / 4)
    assert report["hosts"] == {"host.extxyz": {"given": True, "formula": "C8Si8", "n_sites": 16, "n_frames": 2}}
    with np.load(folder / "predictions.npz") as arrays:
        predicted, distance, near = arrays["forces"], arrays["distance_to_defect"], arrays["near_defect"]
    reference = np.concatenate([frame.get_forces() for frame in labels])
    errors = np.abs(predicted - reference)
    found = report["by_region"]
    assert found["migrating"]["n_atoms"] == 1
    assert sum(found[name]["n_atoms"] for name in ("migrating", "surroundings", "elsewhere")) == 30
    assert found["migrating"]["force_mae"] == pytest.approx(errors[atom].mean())
    np.testing.assert_array_equal(near, distance <= 1.78 * 4.416 * np.sqrt(3) / 4)
    assert found["near_defect"]["n_atoms"] == near.sum()
    assert found["near_defect"]["n_atoms"] + found["bulk"]["n_atoms"] == 30
    assert found["near_defect"]["force_mae"] == pytest.approx(errors[near].mean())
    assert found["bulk"]["force_rmse"] == pytest.approx(np.sqrt((errors[:30][~near[:30]] ** 2).mean()))
    assert "committee" not in report


@pytest.mark.program
def test_report_gives_the_scores_of_rare_events(evaluated) -> None:
    folder, labels, atom = evaluated
    report = read_report(folder / "evaluation.json")["rare_events"]
    with np.load(folder / "predictions.npz") as arrays:
        predicted = arrays["forces"]
    reference = np.concatenate([frame.get_forces() for frame in labels])
    assert list(report) == ["migrating", "surroundings", "elsewhere", "all"]
    expected = score_forces(predicted[[atom]], reference[[atom]])
    assert report["migrating"] == expected.to_dict()
    # The melt has no host and is left out.
    assert report["all"]["score"] == pytest.approx(score_forces(predicted[:30], reference[:30]).score)


@pytest.mark.program
def test_without_migrating_atoms_there_is_no_score(tmp_path: Path) -> None:
    frames = [rattled(vacancy(), seed) for seed in (3, 4, 5)]
    write_labelled_frames(tmp_path / "dataset.npz", [labelled(frame, np.ones((15, 3))) for frame in frames])
    (tmp_path / "classical.json").write_text(json.dumps({"species": SPECIES, "commands": commands()}))
    report: dict = {}
    evaluate(tmp_path / "dataset.npz", tmp_path / "out.npz", report, classical=tmp_path / "classical.json")
    migrating = report["rare_events"]["migrating"]
    assert (migrating["score"], migrating["reason"]) == (None, "There are no such atoms.")
    assert report["by_region"]["migrating"] == {"n_atoms": 0, "force_mae": None, "force_rmse": None, "force_r2": None}
    # The host was found from the frames.
    assert report["n_without_host"] == 0
    assert [(host["given"], host["n_sites"], host["n_frames"]) for host in report["hosts"].values()] == [(False, 16, 3)]


def test_classical_potential_has_no_committee(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="committee is one of models"):
        evaluate(tmp_path / "a", tmp_path / "b", {}, classical=tmp_path / "c", committee=[tmp_path / "d"])


@pytest.mark.program
@pytest.mark.parametrize(("style", "file"), [("edip/multi", "SiC.edip"), ("tersoff", "SiC.tersoff")])
def test_energies_of_atoms_add_up_and_stay_with_their_atoms(style: str, file: str) -> None:
    atoms, _ = hop()
    order = np.random.default_rng(3).permutation(len(atoms))
    with ClassicalPotential(SPECIES, commands(style, file)) as potential:
        energy, _, of_atoms = potential.compute_atomic(atoms)
        _, _, of_crystal = potential.compute_atomic(HOST)
        _, _, of_others = potential.compute_atomic(atoms[order])
    assert of_atoms.sum() == pytest.approx(energy, abs=1e-9)
    np.testing.assert_allclose(of_others, of_atoms[order], atol=1e-9)
    # Atoms of one element in the perfect crystal are all the same.
    for symbol in SPECIES:
        assert np.ptp(of_crystal[HOST.symbols == symbol]) == pytest.approx(0.0, abs=1e-8)
    assert np.ptp(of_atoms) > 0.1


@pytest.mark.program
def test_energies_of_atoms_without_the_whole_energy_are_left_out() -> None:
    """A correction for the tail of a pair style belongs to no atom."""
    tail = ["pair_style lj/cut 4.0", "pair_modify tail yes", "pair_coeff * * 0.01 1.7"]
    with ClassicalPotential(SPECIES, tail) as potential:
        energy, _, of_atoms = potential.compute_atomic(HOST)
    assert energy < 0.0
    assert of_atoms is None


def test_hosts_are_found_where_there_are_any() -> None:
    frames = [molten(), rattled(vacancy(), 6), molten()]
    # One frame that is molten spoils the others of its cell only where it is asked with them.
    spoilt = rattled(vacancy(), 7)
    spoilt.positions = np.random.default_rng(5).uniform(size=(15, 3)) @ spoilt.cell.array
    found = find_hosts_where_possible([spoilt, *frames])
    assert [len(host) for host in found.values()] == [16]
    slab = rattled(vacancy(), 8)
    slab.pbc = (True, True, False)
    assert find_hosts_where_possible([slab, molten()]) == {}
    assert list(find_hosts_where_possible(frames, {"given": HOST})) == ["given"]
