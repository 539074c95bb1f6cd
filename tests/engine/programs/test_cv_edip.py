"""The way from an input for LAMMPS to collective variables: runs with EDIP, their DCD files, `sicmlip cv`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.geometry import cellpar_to_cell

from aiida_sicmlip.engine.lammps.plugin_build import lammps_folder
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.dynamics.dcd import read_dcd
from aiida_sicmlip.science.dynamics.lammps_input import exploration_input, write_structure_data
from aiida_sicmlip.science.pines.atoms import choose_atoms
from tests.crystals import silicon_carbide_host

SPECIES = ["Si", "C"]


def run(folder: Path, *arguments: str) -> str:
    """Run a module of the package in a folder and return what it prints."""
    command = [sys.executable, "-m", *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result.stdout


@pytest.mark.program
def test_reorientations_of_the_divacancy_are_told_apart_in_real_runs(tmp_path):
    host = silicon_carbide_host()
    defect = build_defects(host, [{"kind": "divacancy"}], 0)
    chosen = choose_atoms(host, defect.sites)
    potential = lammps_folder() / "share" / "lammps" / "potentials" / "SiC.edip"
    runs = [(state, seed) for state in ("initial", "Si", "C") for seed in (1, 2)]
    for state, seed in runs:
        atoms = defect.atoms.copy()
        if state != "initial":
            # A neighbour of the other vacancy hops into the one of its own species.
            vacancy = next(site["position"] for site in defect.sites if site["species"] == state)
            atoms.positions[chosen.groups[f"{state}1"][0]] = vacancy
        (tmp_path / "structure.data").write_text(write_structure_data(atoms, SPECIES))
        text = exploration_input(
            species=SPECIES,
            potential_commands=["pair_style edip/multi", f"pair_coeff * * {potential} Si C"],
            temperature=1000.0,
            timestep_ps=0.001,
            damping_ps=0.1,
            equilibration_steps=1000,
            production_steps=3000,
            dump_every=20,
            seed=seed,
            trajectory_file=f"{state}_{seed}.dcd",
        )
        (tmp_path / "input.lmp").write_text(text)
        run(tmp_path, "aiida_sicmlip.engine.programs.lmp", "-in", "input.lmp")

    # Only one run of each state is trained on; the others come back as what they are.
    defect.atoms.write(tmp_path / "structure.extxyz")
    settings = {"groups": chosen.groups, "autoencoder": {"held_out": 0, "max_epochs": 80, "batch_size": 64}}
    (tmp_path / "cv_settings.json").write_text(json.dumps(settings))
    trained_on = [part for state in ("initial", "Si", "C") for part in ("--trajectory", f"{state}_1.dcd")]
    printed = run(tmp_path, "aiida_sicmlip.engine.programs.main", "cv", *trained_on, "--structure", "structure.extxyz")
    assert printed.count("\nepoch ") == 80

    from aiida_sicmlip.science.pines.export import read_model

    model = read_model(tmp_path)
    values = {}
    for state, seed in runs:
        positions, parameters = read_dcd(tmp_path / f"{state}_{seed}.dcd")
        cells = np.stack([cellpar_to_cell(row) for row in parameters])
        values[state, seed] = model.evaluate(positions, cells, np.array([True] * 3))

    def separation(first: np.ndarray, second: np.ndarray) -> float:
        """Return the distance of two clouds in thermal standard deviations along the line between them."""
        line = second.mean(0) - first.mean(0)
        along = line / np.linalg.norm(line)
        return float(np.linalg.norm(line) / np.sqrt(((first @ along).var() + (second @ along).var()) / 2))

    for state in ("initial", "Si", "C"):
        assert separation(values[state, 1], values[state, 2]) < 1.5, state
        for other in {"initial", "Si", "C"} - {state}:
            assert separation(values[state, 2], values[other, 2]) > 3, (state, other)
