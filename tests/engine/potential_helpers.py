"""What the tests of `sicmlip train` and its neighbours share: small labelled data and ways to run the program."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.common.filenames import TRAINING_SET_FILE, TRAINING_SETTINGS_FILE, VALIDATION_SET_FILE
from aiida_sicmlip.engine.programs.main import main
from aiida_sicmlip.science.labels.labelled_frames import write_labelled_frames

#: A few hundred weights and a short cutoff: a pass over four frames takes some 30 ms.
TINY = {
    "model": {
        "cutoff": 3.5,
        "l_max": 1,
        "num_scalar_features": 8,
        "num_tensor_features": 4,
        "mlp_depth": 1,
        "mlp_width": 8,
        "readout_mlp_width": 8,
        "num_bessels": 4,
        "precision": "float64",
    },
    "maximum_steps": 16,
    "validation_interval": 2,
    "batch_size": 2,
    "optimiser": {"learning_rate": 0.01, "average_decay": None},
}


def labelled_carbide(seed: int, amplitude: float = 0.08) -> Atoms:
    """Return eight atoms of 3C-SiC, strained and displaced, with the energy and forces of a Lennard-Jones crystal."""
    rng = np.random.default_rng(seed)
    atoms = bulk("SiC", "zincblende", a=4.4, cubic=True)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0.0, 0.02, (3, 3))), scale_atoms=True)
    atoms.positions += rng.normal(0.0, amplitude, atoms.positions.shape)
    atoms.calc = LennardJones(sigma=1.7, epsilon=0.2, rc=4.0, smooth=True)
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return atoms


def prepare_training(folder: Path, **changes: Any) -> Path:
    """Write data and tiny settings, with ``changes`` on top, into ``folder`` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_labelled_frames(folder / TRAINING_SET_FILE, [labelled_carbide(seed) for seed in range(4)])
    write_labelled_frames(folder / VALIDATION_SET_FILE, [labelled_carbide(seed) for seed in range(10, 12)])
    (folder / TRAINING_SETTINGS_FILE).write_text(json.dumps({**TINY, **changes}))
    return folder


def announce_extension(folder: Path) -> dict[str, str]:
    """Return an environment in which the modules of models are announced, also where an older installation does not.

    ``folder`` must not exist.
    """
    described = folder / "sicmlip_of_tests-0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: sicmlip-of-tests\nVersion: 0\n")
    (described / "entry_points.txt").write_text("[nequip.extension]\nsicmlip = aiida_sicmlip.nequip_extension\n")
    return {"PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(folder)]).strip(os.pathsep)}


def run_potential(
    folder: Path, *arguments: str | Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `sicmlip` in ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", "aiida_sicmlip.engine.programs.main", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def call_potential(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `sicmlip` in ``folder``, in this process: its libraries, which take seconds to import, are there already."""
    printed, said = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(printed), redirect_stderr(said):
        status = main([str(argument) for argument in arguments])
    return subprocess.CompletedProcess(arguments, status, printed.getvalue(), said.getvalue())


def read_report(path: Path) -> dict[str, Any]:
    """Return a report; constants that JSON does not have are refused."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{path} holds {constant}, which is no JSON")

    return json.loads(path.read_text(), parse_constant=refuse)
