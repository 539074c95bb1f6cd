"""Molecular dynamics with EDIP for studies and benchmarks, as an exploration does it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ase import Atoms

from aiida_sicmlip.common import filenames
from aiida_sicmlip.engine.lammps.plugin_build import lammps_folder
from aiida_sicmlip.science.dynamics.dcd import count_dcd_frames
from aiida_sicmlip.science.dynamics.lammps_input import exploration_input, write_structure_data
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings

SPECIES = ["Si", "C"]
POTENTIAL_COMMANDS = [
    "pair_style edip/multi",
    f"pair_coeff * * {lammps_folder() / 'share' / 'lammps' / 'potentials' / 'SiC.edip'} Si C",
]


def is_complete(folder: Path, settings: ExplorationSettings) -> bool:
    """Return whether a folder holds all frames of a run."""
    trajectory = folder / filenames.TRAJECTORY_FILE
    return trajectory.exists() and count_dcd_frames(trajectory) == settings.n_frames


def run_edip(
    folder: Path,
    atoms: Atoms,
    settings: ExplorationSettings,
    seed: int,
    biased: bool = False,
    *,
    biased_atoms: Sequence[int] = (),
    restart_every: int | None = None,
) -> None:
    """Run in ``folder``, whose files of an earlier run are removed; of a biased run, plumed.dat is there already.

    :param biased_atoms: atoms whose temperature is told from that of the others.
    :param restart_every: steps between two saved states.
    """
    (folder / filenames.STRUCTURE_FILE).write_text(write_structure_data(atoms, SPECIES))
    text = exploration_input(
        species=SPECIES,
        potential_commands=POTENTIAL_COMMANDS,
        temperature=settings.temperature,
        timestep_ps=settings.timestep,
        damping_ps=settings.damping,
        equilibration_steps=settings.steps(settings.equilibration),
        production_steps=settings.steps(settings.production),
        dump_every=settings.steps(settings.frame_interval),
        seed=seed,
        maximum_temperature=settings.maximum_temperature(len(atoms)),
        plumed_file=filenames.PLUMED_INPUT_FILE if biased else None,
        biased_atoms=biased_atoms,
        restart_every=restart_every,
    )
    (folder / filenames.LAMMPS_INPUT_FILE).write_text(text)
    begin = time.time()
    program("aiida_sicmlip.engine.programs.lmp", "-in", filenames.LAMMPS_INPUT_FILE, folder=folder)
    steps = settings.steps(settings.production + settings.equilibration)
    print(f"{folder.parent.name}, seed {seed}: {steps / (time.time() - begin):.0f} steps/s", flush=True)


def program(module: str, *arguments: str, folder: Path) -> None:
    """Run a program of the package in a folder."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed in {folder}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
