"""The compiled model called from Python: physics, neighbour lists, and what the loader refuses."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import primitive_neighbor_list

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.engine.compiled_file import CompiledFile, record_versions
from aiida_sicmlip.engine.compiled_potential import CompiledPotential, _neighbour_list

program = pytest.mark.program


@pytest.fixture(scope="module")
def potential(allegro_model) -> CompiledPotential:
    return CompiledPotential.load(allegro_model.pair_allegro, device="cpu")


def _compute(potential: CompiledPotential, atoms: Atoms):
    index = [potential.species.index(symbol) for symbol in atoms.symbols]
    return potential.compute(atoms.positions, atoms.cell.array, atoms.pbc, index)


@program
def test_knows_what_it_is(potential):
    assert potential.species == ("Si", "C")
    assert potential.cutoff == 4.5
    assert potential.pair_cutoffs.tolist() == [[4.5, 4.2], [4.0, 3.5]]
    assert potential.metadata["AOTI_DEVICE_KEY"] == "cpu"


@program
def test_forces_are_the_gradient_of_the_energy(potential, rattled_carbide):
    atoms = rattled_carbide()
    forces = _compute(potential, atoms).forces
    step = 1e-4
    for i, k in [(0, 0), (3, 1), (6, 2)]:
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[i, k] += sign * step
            energies.append(_compute(potential, moved).energy)
        assert forces[i, k] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=2e-6)


@program
def test_virial_is_the_strain_derivative_of_the_energy(potential, rattled_carbide):
    atoms = rattled_carbide(cubic=False)
    virial = _compute(potential, atoms).virial
    np.testing.assert_allclose(virial, virial.T, atol=1e-10)
    step = 1e-5
    for a, b in [(0, 0), (1, 1), (0, 1), (1, 2)]:
        energies = []
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[a, b] += 0.5 * sign * step
            strain[b, a] += 0.5 * sign * step
            moved = atoms.copy()
            moved.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
            energies.append(_compute(potential, moved).energy)
        assert virial[a, b] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=1e-4)


@program
def test_symmetries(potential, rattled_carbide):
    atoms = rattled_carbide((1, 1, 2))
    reference = _compute(potential, atoms)
    np.testing.assert_allclose(reference.forces.sum(axis=0), 0.0, atol=1e-10)
    assert reference.energy == pytest.approx(reference.atomic_energies.sum(), abs=1e-10)

    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]  # may reflect as well
    turned = atoms.copy()
    turned.set_cell(atoms.cell @ rotation, scale_atoms=True)
    result = _compute(potential, turned)
    assert result.energy == pytest.approx(reference.energy, abs=1e-9)
    np.testing.assert_allclose(result.forces, reference.forces @ rotation, atol=1e-9)
    np.testing.assert_allclose(result.virial, rotation.T @ reference.virial @ rotation, atol=1e-9)

    order = np.random.default_rng(1).permutation(len(atoms))
    np.testing.assert_allclose(_compute(potential, atoms[order]).forces, reference.forces[order], atol=1e-9)

    outside = atoms.copy()
    outside.positions += np.array([[3, -1, 2]]) @ atoms.cell.array
    np.testing.assert_allclose(_compute(potential, outside).forces, reference.forces, atol=1e-9)

    doubled = _compute(potential, atoms * (1, 2, 1))
    assert doubled.energy == pytest.approx(2 * reference.energy, abs=1e-8)
    np.testing.assert_allclose(doubled.virial, 2 * reference.virial, atol=1e-7)


@program
def test_molecules_without_a_cell(potential):
    molecule = Atoms("SiC2", positions=[[0, 0, 0], [1.9, 0, 0], [0, 2.1, 0.3]])
    boxed = molecule.copy()
    boxed.set_cell([20, 21, 22])
    boxed.pbc = True
    free, periodic = _compute(potential, molecule), _compute(potential, boxed)
    assert free.energy == pytest.approx(periodic.energy, abs=1e-10)
    np.testing.assert_allclose(free.forces, periodic.forces, atol=1e-10)
    np.testing.assert_allclose(free.virial, periodic.virial, atol=1e-10)


@program
def test_lone_atoms_have_their_own_energy_and_no_forces(potential):
    for atoms in (Atoms("Si"), Atoms("SiC", positions=[[0, 0, 0], [9, 0, 0]])):
        result = _compute(potential, atoms)
        np.testing.assert_allclose(result.atomic_energies, [-5.0, -9.0][: len(atoms)], atol=1e-12)
        np.testing.assert_allclose(result.forces, 0.0, atol=1e-12)
        np.testing.assert_allclose(result.virial, 0.0, atol=1e-12)


@program
def test_species_that_do_not_exist_are_refused(potential):
    with pytest.raises(InputError, match="species are Si, C"):
        potential.compute(np.zeros((1, 3)), np.eye(3) * 9, True, [2])


@program
def test_model_for_another_target_is_refused(allegro_model):
    with pytest.raises(InputError, match="--target pair_allegro"):
        CompiledPotential.load(allegro_model.ase)


@program
def test_other_device_or_machine_is_refused(allegro_model):
    with pytest.raises(InputError, match="was compiled for the device `cpu`, but `cuda` is requested"):
        CompiledPotential.load(allegro_model.pair_allegro, device="cuda")
    file = CompiledFile.read(allegro_model.pair_allegro)
    other = CompiledFile(file.path, {**file.metadata, "AOTI_MACHINE": "riscv64"}, {}, ())
    with pytest.raises(InputError, match="was compiled for riscv64"):
        other.check_machine("cpu")


@program
def test_other_torch_is_said(allegro_model, tmp_path):
    path = tmp_path / "model.nequip.pt2"
    shutil.copy(allegro_model.pair_allegro, path)
    record_versions(path, {"torch": "2.0.0"})
    with pytest.warns(UserWarning, match=r"it was compiled with torch 2\.0\.0"):
        potential = CompiledPotential.load(path)
    assert potential.species == ("Si", "C")


def _archive(path: Path, metadata: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data/aotinductor/model/abc.wrapper_metadata.json", json.dumps(metadata))
    return path


def test_files_that_are_no_compiled_model_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        CompiledFile.read(tmp_path / "missing.nequip.pt2")
    text = tmp_path / "text.nequip.pt2"
    text.write_text("no archive")
    with pytest.raises(InputError, match="is no compiled model"):
        CompiledFile.read(text)
    with pytest.raises(InputError, match="compile it with `sicmlip compile`"):
        CompiledFile.read(tmp_path / "model.nequip.zip")
    with pytest.raises(InputError, match="holds no model that nequip-compile wrote"):
        CompiledFile.read(_archive(tmp_path / "other.nequip.pt2", {"AOTI_DEVICE_KEY": "cpu"}))


def test_versions_are_read_back(tmp_path):
    path = _archive(tmp_path / "model.nequip.pt2", {"type_names": "Si C", "r_max": "5.0", "AOTI_DEVICE_KEY": "cuda"})
    assert CompiledFile.read(path).other_torch("2.13.0") == ""
    record_versions(path, {"torch": "2.13.0+cu130"})
    file = CompiledFile.read(path)
    assert (file.device, file.versions) == ("cuda", {"torch": "2.13.0+cu130"})
    assert file.other_torch("2.13.0+cpu") == ""
    assert "torch 2.14.0" in file.other_torch("2.14.0")


@pytest.mark.parametrize("shift", [0.0, 13.0])
@pytest.mark.parametrize("handedness", [1, -1])
def test_neighbours_agree_with_ase(rattled_carbide, shift, handedness):
    pytest.importorskip("matscipy")
    atoms = rattled_carbide((1, 1, 2), cubic=False)
    atoms.set_cell(atoms.cell @ np.diag([handedness, 1, 1]), scale_atoms=True)
    atoms.positions += shift
    found, expected = (
        sorted(zip(i.tolist(), j.tolist(), map(tuple, s.tolist()), strict=True))
        for i, j, s in (
            _neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, 5.0),
            primitive_neighbor_list("ijS", atoms.pbc, atoms.cell.array, atoms.positions, 5.0),
        )
    )
    assert found == expected


def test_model_of_another_gpu_architecture_is_refused(monkeypatch):
    """The machine's GPU is made up, the comparison is not."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (8, 6))
    file = CompiledFile(Path("model.nequip.pt2"), {"AOTI_DEVICE_KEY": "cuda"}, {"gpu_architecture": "9.0"}, ())
    with pytest.raises(InputError, match=r"for GPUs of architecture 9.0, but this one has 8.6; compile the packaged"):
        file.check_machine("cuda")
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (9, 0))
    file.check_machine("cuda:0")
