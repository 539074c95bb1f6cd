"""Evaluation of a classical potential: LAMMPS's rotated cell must not show."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from potential_helpers import call_potential, read_report

from aiida_sicmlip.common.exceptions import InputError, ProgramError
from aiida_sicmlip.common.exit_status import INPUT_ERROR, PROGRAM_FAILED
from aiida_sicmlip.engine.classical_potential import ClassicalPotential
from aiida_sicmlip.engine.lammps.plugin_build import lammps_folder
from aiida_sicmlip.science.labels.labelled_frames import write_labelled_frames

pytestmark = pytest.mark.program

SPECIES = ["Si", "C"]


def edip() -> list[str]:
    """Return the commands of EDIP for silicon carbide, from the files of the LAMMPS package."""
    file = lammps_folder() / "share" / "lammps" / "potentials" / "SiC.edip"
    return ["pair_style edip/multi", f"pair_coeff * * {file} Si C"]


def divacancy(handedness: int = 1) -> Atoms:
    """Return 14 atoms in a triclinic cell with no vector along an axis, displaced, one atom outside the cell."""
    rng = np.random.default_rng(3)
    atoms = bulk("SiC", "zincblende", a=4.4) * (2, 2, 2)
    del atoms[[0, 1]]
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0.0, 0.08, (3, 3))), scale_atoms=True)
    atoms.rotate(37.0, (1.0, 2.0, -0.5), rotate_cell=True)
    atoms.positions += rng.normal(0.0, 0.08, atoms.positions.shape)
    atoms.positions[4] -= atoms.cell[2]
    if handedness < 0:
        atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    return atoms


def labelled(atoms: Atoms, energy: float, forces: np.ndarray) -> Atoms:
    """Return a copy of ``atoms`` with the given label."""
    copy = atoms.copy()
    copy.calc = SinglePointCalculator(copy, energy=energy, forces=forces)
    return copy


@pytest.mark.parametrize("handedness", [1, -1])
def test_forces_are_those_of_the_frame_as_given(handedness):
    atoms = divacancy(handedness)
    assert np.sign(np.linalg.det(atoms.cell.array)) == handedness * np.sign(np.linalg.det(divacancy().cell.array))
    with ClassicalPotential(SPECIES, edip()) as potential:
        _, forces = potential.compute(atoms)
        assert np.abs(forces).max() > 0.5
        np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-9)
        step = 1e-4
        for atom, axis in ((0, 0), (4, 1), (9, 2), (13, 0)):
            energies = []
            for sign in (1, -1):
                moved = atoms.copy()
                moved.positions[atom, axis] += sign * step
                energies.append(potential.compute(moved)[0])
            assert forces[atom, axis] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=2e-5)


def test_energy_and_forces_turn_with_the_structure():
    atoms, turned = divacancy(), divacancy()
    turned.rotate(70.0, (0.3, -1.0, 2.0), rotate_cell=True)
    rotation = np.linalg.solve(atoms.cell.array, turned.cell.array)
    with ClassicalPotential(SPECIES, edip()) as potential:
        energy, forces = potential.compute(atoms)
        energy_turned, forces_turned = potential.compute(turned)
    assert energy_turned == pytest.approx(energy, abs=1e-9)
    np.testing.assert_allclose(forces_turned, forces @ rotation, atol=1e-8)


def test_a_classical_potential_is_evaluated_by_forces_and_by_energies_up_to_a_shift(tmp_path):
    frames = [divacancy(), bulk("SiC", "zincblende", a=4.3) * (2, 2, 2)]
    offsets = {"Si": -100.0, "C": -150.0}
    noise = np.random.default_rng(0).normal(0.0, 0.1, (30, 3))
    with ClassicalPotential(SPECIES, edip()) as potential:
        results = [potential.compute(frame) for frame in frames]
    shift = [sum(offsets[symbol] for symbol in frame.symbols) for frame in frames]
    labels = [
        labelled(frames[0], results[0][0] + shift[0], results[0][1] + noise[:14]),
        labelled(frames[1], results[1][0] + shift[1], results[1][1] + noise[14:]),
    ]
    write_labelled_frames(tmp_path / "dataset.npz", labels)
    (tmp_path / "classical.json").write_text(json.dumps({"species": SPECIES, "commands": edip()}))
    result = call_potential(tmp_path, "evaluate", "--dataset", "dataset.npz", "--classical", "classical.json")
    assert result.returncode == 0, result.stderr
    report = read_report(tmp_path / "evaluation.json")
    assert report["energy_offset_fitted"] is True
    assert report["n_frames"] == 2
    assert report["force_mae"] == pytest.approx(abs(noise).mean(), rel=1e-6)
    assert report["force_rmse"] == pytest.approx(np.sqrt((noise**2).mean()), rel=1e-6)
    assert report["force_mae_per_frame"] == pytest.approx([abs(noise[:14]).mean(), abs(noise[14:]).mean()], rel=1e-6)
    assert report["energy_mae"] == pytest.approx(0.0, abs=1e-8)
    with np.load(tmp_path / "predictions.npz") as predictions:
        np.testing.assert_allclose(predictions["energies"], [energy for energy, _ in results], rtol=1e-12)
        np.testing.assert_allclose(predictions["forces"], np.concatenate([forces for _, forces in results]), atol=1e-9)
        np.testing.assert_array_equal(predictions["n_atoms"], [14, 16])


def test_a_command_that_lammps_refuses_is_told_with_its_own_words(tmp_path):
    write_labelled_frames(tmp_path / "dataset.npz", [labelled(divacancy(), 0.0, np.zeros((14, 3)))])
    (tmp_path / "classical.json").write_text(json.dumps({"species": SPECIES, "commands": ["pair_style edipp"]}))
    result = call_potential(tmp_path, "evaluate", "--dataset", "dataset.npz", "--classical", "classical.json")
    assert result.returncode == PROGRAM_FAILED
    assert "edipp" in result.stderr
    assert "Traceback" not in result.stderr
    assert read_report(tmp_path / "evaluation.json")["error"]["status"] == PROGRAM_FAILED


def test_a_missing_data_set_is_told_in_one_message(tmp_path):
    (tmp_path / "classical.json").write_text(json.dumps({"species": SPECIES, "commands": edip()}))
    result = call_potential(tmp_path, "evaluate", "--dataset", "none.npz", "--classical", "classical.json")
    assert result.returncode == INPUT_ERROR
    assert "none.npz" in result.stderr


def test_structures_that_a_classical_potential_cannot_take_are_refused():
    with ClassicalPotential(["Si"], ["pair_style zero 3.0", "pair_coeff * *"]) as potential:
        with pytest.raises(InputError, match="holds C"):
            potential.compute(divacancy())
        slab = bulk("Si", cubic=True)
        slab.pbc = (True, True, False)
        with pytest.raises(InputError, match="periodic"):
            potential.compute(slab)


def test_a_potential_can_be_used_again_after_an_error():
    with ClassicalPotential(SPECIES, edip()) as potential:
        expected = potential.compute(divacancy())[0]
        broken = ClassicalPotential(SPECIES, ["pair_style nonsense"])
        with pytest.raises(ProgramError, match="nonsense"):
            broken.compute(divacancy())
        broken.close()
        assert potential.compute(divacancy())[0] == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "JSON"),
        ("[]", "give settings under it: species, commands"),
        ('{"species": ["Si"], "commands": "pair_style zero 3"}', "`classical.commands`"),
        ('{"commands": ["pair_style zero 3"]}', "`classical.species` is missing"),
        ('{"species": ["Si"], "comands": ["pair_style zero 3"]}', "Did you mean `commands`"),
    ],
)
def test_a_description_that_is_wrong_is_named(tmp_path: Path, content, words):
    path = tmp_path / "classical.json"
    path.write_text(content)
    with pytest.raises(InputError, match=words):
        ClassicalPotential.load(path)
