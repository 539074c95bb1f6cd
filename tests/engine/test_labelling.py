"""`sicmlip label`: forces are the gradient of the energy, in the frame of the configuration as given."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from potential_helpers import read_report, run_potential

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.exit_status import INPUT_ERROR
from aiida_sicmlip.engine.labelling import label, read_configuration
from aiida_sicmlip.engine.lammps.plugin_build import lammps_folder

TERSOFF = ("tersoff", "SiC.tersoff")


def configuration(atoms: Atoms) -> dict[str, list]:
    """Return the content of a file of ``atoms``."""
    positions, cell = atoms.positions.tolist(), atoms.cell.array.tolist()
    return {"symbols": atoms.get_chemical_symbols(), "cell": cell, "positions": positions}


@pytest.fixture
def atoms() -> Atoms:
    """Seven atoms in a cell with no vector along an axis."""
    rng = np.random.default_rng(5)
    atoms = bulk("SiC", "zincblende", a=4.4, cubic=True)[1:]
    atoms.rotate(37.0, (1.0, 2.0, -0.5), rotate_cell=True)
    atoms.positions += rng.normal(0.0, 0.1, atoms.positions.shape)
    return atoms


@pytest.fixture
def classical(tmp_path) -> str:
    """The description of Tersoff's potential."""
    style, name = TERSOFF
    file = lammps_folder() / "share" / "lammps" / "potentials" / name
    path = tmp_path / "classical.json"
    path.write_text(
        json.dumps({"species": ["C", "Si"], "commands": [f"pair_style {style}", f"pair_coeff * * {file} C Si"]})
    )
    return str(path)


@pytest.mark.program
def test_forces_are_the_gradient_of_the_energy(tmp_path, atoms, classical):
    def labelled(given):
        (tmp_path / "configuration.json").write_text(json.dumps(configuration(given)))
        label(tmp_path / "configuration.json", tmp_path / "classical.json", tmp_path / "label.npz", {})
        with np.load(tmp_path / "label.npz") as arrays:
            assert arrays["n_atoms"].tolist() == [len(given)]
            return float(arrays["energies"][0]), arrays["forces"]

    energy, forces = labelled(atoms)
    assert np.abs(forces).max() > 0.5
    direction = np.random.default_rng(1).normal(size=forces.shape)
    moved = []
    for step in (2e-5, -2e-5):
        other = atoms.copy()
        other.positions += step * direction
        moved.append(labelled(other)[0])
    assert -(moved[0] - moved[1]) / 4e-5 == pytest.approx((forces * direction).sum(), rel=1e-6)
    assert min(moved) < energy < max(moved)


@pytest.mark.program
def test_program(tmp_path, atoms, classical):
    (tmp_path / "configuration.json").write_text(json.dumps(configuration(atoms)))
    result = run_potential(tmp_path, "label", "--configuration", "configuration.json", "--classical", classical)
    assert result.returncode == 0, result.stderr
    report = read_report(tmp_path / "label.json")
    assert (report["error"], report["n_atoms"], report["species"]) == (None, 7, ["C", "Si"])
    assert (tmp_path / "predictions.npz").is_file()
    atoms.symbols[0] = "N"
    (tmp_path / "configuration.json").write_text(json.dumps(configuration(atoms)))
    result = run_potential(tmp_path, "label", "--configuration", "configuration.json", "--classical", classical)
    assert result.returncode == INPUT_ERROR
    assert "set up for C, Si, but a frame holds N" in result.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "must contain `symbols`, `cell` and `positions`"),
        ({"symbols": ["Si"], "cell": [[5, 0, 0], [0, 5, 0], [0, 0, 5]]}, "must contain `symbols`"),
        ({"symbols": ["Si"], "cell": [[5, 0, 0]], "positions": [[0, 0, 0]]}, "must contain `symbols`"),
        ({"symbols": [], "cell": [[5, 0, 0], [0, 5, 0], [0, 0, 5]], "positions": []}, "contains no atoms"),
        ({"symbols": ["Si"], "cell": [[5, 0, 0], [0, 5, 0], [5, 5, 0]], "positions": [[0, 0, 0]]}, "without volume"),
    ],
)
def test_configuration_that_is_none(tmp_path, content, words):
    path = tmp_path / "configuration.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=words):
        read_configuration(path)
