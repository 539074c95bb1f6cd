"""The runs of `studies.variable_scaling`: what variables are learned from, walkers, and runs at constant energy."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from aiida_sicmlip.common import filenames
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.hops import count_hops, find_defect_sites
from aiida_sicmlip.science.defects.hosts import HostSettings, build_host
from aiida_sicmlip.science.dynamics.bias_settings import BiasSettings
from aiida_sicmlip.science.dynamics.colvar import read_colvar
from aiida_sicmlip.science.dynamics.dcd import read_dcd
from aiida_sicmlip.science.dynamics.heating import heating
from aiida_sicmlip.science.dynamics.lammps_input import write_structure_data
from aiida_sicmlip.science.dynamics.lammps_log import parse_thermo
from aiida_sicmlip.science.dynamics.plumed_input import plumed_input
from aiida_sicmlip.science.dynamics.run_output import COLUMNS
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.pines.atoms import choose_atoms
from aiida_sicmlip.science.pines.export import CollectiveVariableModel
from aiida_sicmlip.science.pines.layout import PivLayout
from aiida_sicmlip.science.pines.piv import permutation_invariant_vectors
from aiida_sicmlip.science.pines.settings import SwitchingFunction
from studies.edip_runs import POTENTIAL_COMMANDS, SPECIES, is_complete, program, run_edip

TEMPERATURE, LEARNING_TEMPERATURE = 1500.0, 2500.0
"""K, of the walkers and of the runs to learn from."""
NVE_TIMESTEPS = (0.001, 0.0005, 0.00025)
NVE_LENGTH = 1.0
"""ps."""
PULLED_LENGTH = 0.5
"""ps, of runs under static pulls: three springs of a quarter of an eV for a standard deviation, two of these away."""
THIRD = 0.001 / 3
"""Time in ps over which gradients are compared."""


@dataclass(frozen=True)
class Arm:
    """A kind of variables, and the time step (ps) of its walker."""

    scaling: str
    r0: float
    exponent: int
    timestep: float = 0.001


class Study:
    """The host, the defect, the runs that all arms of a seed share, and the folder in which everything is made."""

    def __init__(self, folder: Path, length: float, epochs: int, sets: int) -> None:
        self.folder = folder
        self.sets = sets
        self._vectors: dict[tuple[Path, SwitchingFunction], list[torch.Tensor]] = {}
        self.length = length
        self.epochs = epochs
        self.host = build_host(HostSettings("zincblende", ("Si", "C"), 4.416, repeats=(2, 2, 2)))
        self.defect = build_defects(self.host, [{"kind": "divacancy"}], seed=0)
        self.atoms: Atoms = self.defect.atoms
        self.sites = find_defect_sites(self.atoms, self.host).site_of_atom
        self.groups = choose_atoms(self.host, self.defect.sites).groups
        self.seen = sorted(atom for members in self.groups.values() for atom in members)

    def unbiased(self, name: str, settings: ExplorationSettings, seed: int) -> Path:
        """Make an unbiased run, unless it is there, and return its folder."""
        folder = self.folder / name / f"seed_{seed:03d}"
        if not is_complete(folder, settings):
            folder.mkdir(parents=True, exist_ok=True)
            run_edip(folder, self.atoms, settings, seed, biased_atoms=self.seen)
        return folder

    def learning_runs(self, seed: int) -> list[Path]:
        """Return four hot runs: with several sets of them, those of the seed's set."""
        number_of_set = (seed - 1) % self.sets + 1
        settings = ExplorationSettings(temperature=LEARNING_TEMPERATURE, equilibration=2.0, production=50.0)
        return [self.unbiased("learning", settings, 10 * number_of_set + number) for number in range(1, 5)]

    def vectors_to_learn_from(self, seed: int, layout: PivLayout, switching: SwitchingFunction) -> list[torch.Tensor]:
        """Return the sorted vectors (F, P) of each hot run."""
        runs = self.learning_runs(seed)
        if (runs[0], switching) not in self._vectors:
            self._vectors[runs[0], switching] = [
                permutation_invariant_vectors(
                    torch.from_numpy(read_dcd(run / filenames.TRAJECTORY_FILE)[0][:, list(layout.atoms)]),
                    self.atoms.cell.array,
                    np.array([True] * 3),
                    layout,
                    switching,
                ).float()
                for run in runs
            ]
        return self._vectors[runs[0], switching]

    def quick_frames(self, seed: int) -> np.ndarray:
        """Return positions (F, N, 3) of an unbiased run a third of a femtosecond apart."""
        settings = ExplorationSettings(
            temperature=TEMPERATURE, timestep=THIRD, equilibration=2.0, production=0.1, frame_interval=THIRD
        )
        return read_dcd(self.unbiased("quick", settings, seed) / filenames.TRAJECTORY_FILE)[0].astype(float)

    def is_start(self, folder: Path) -> np.ndarray:
        """Return in which frames of a run the vacant sites are those of the start, (F,)."""
        positions = read_dcd(folder / filenames.TRAJECTORY_FILE)[0]
        symbols = self.atoms.get_chemical_symbols()
        vacant = set(range(len(self.host))) - set(self.sites.tolist())
        hops = count_hops(positions, self.atoms.cell.array, self.host, symbols, self.sites)
        return np.array([set(now.tolist()) - {-1} == vacant for now in hops.vacant])

    def before_and_after(self, model: CollectiveVariableModel, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the variables of the frames to learn from, of those at the start's vacant sites and of the others."""
        before, after = [], []
        for run in self.learning_runs(seed):
            at_start = self.is_start(run)
            positions = read_dcd(run / filenames.TRAJECTORY_FILE)[0]
            values = model.evaluate(positions, self.atoms.cell.array, np.array([True] * 3))
            before.append(values[at_start])
            after.append(values[~at_start])
        return np.concatenate(before), np.concatenate(after)


def walk(study: Study, folder: Path, variables: Path, arm: Arm, seed: int) -> dict[str, Any]:
    """Drive a walker, unless it is there, and return what became of it."""
    settings = ExplorationSettings(
        temperature=TEMPERATURE,
        timestep=arm.timestep,
        equilibration=2.0,
        production=study.length,
        frame_interval=0.02,
        restart_interval=study.length,
    )
    bias = BiasSettings()
    begin = time.time()
    if not is_complete(folder, settings):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*"):
            old.unlink()
        description = json.loads((variables / filenames.CV_DESCRIPTION_FILE).read_text())
        text = plumed_input(
            pairs=description["pairs"],
            n_variables=len(description["ranges"]),
            bias=bias,
            exploration=settings,
            model_file=str((variables / filenames.CV_MODEL_FILE).resolve()),
        )
        (folder / filenames.PLUMED_INPUT_FILE).write_text(text)
        run_edip(
            folder,
            study.atoms,
            settings,
            seed,
            biased=True,
            biased_atoms=study.seen,
            restart_every=settings.restart_steps,
        )
    colvar = read_colvar(folder / filenames.COLVAR_FILE)
    bias_rows = {"time": colvar.time, "bias": colvar.bias}
    found = heating([(rows_of(folder), bias_rows)], settings.timestep, settings.steps(bias.pace))
    return {
        "length_ps": study.length,
        "first_hop_ps": first_hop(study, folder, settings),
        "heating": found.to_dict(),
        "largest_bias_ev": float(colvar.bias.max()),
        "seconds": time.time() - begin,
    }


def first_hop(study: Study, folder: Path, settings: ExplorationSettings) -> float | None:
    """Return the time (ps) of the first frame of a run with other vacant sites than the start, None where none has."""
    moved = np.flatnonzero(~study.is_start(folder))
    return float(moved[0] * settings.frame_interval) if len(moved) else None


def rows_of(folder: Path) -> dict[str, np.ndarray]:
    """Return the rows of a log under the names that the package gives its columns."""
    thermo = parse_thermo((folder / filenames.LAMMPS_LOG_FILE).read_text())
    rows = {name: thermo[column] for column, name in COLUMNS.items() if column in thermo}
    return {**rows, "production": thermo["Production"]}


def constant_energy(walker: Path, folder: Path, timestep: float) -> dict[str, float]:
    """Go on from the end of a walker at constant energy, its bias held static; return the energy gained, eV/ps."""
    folder.mkdir(parents=True, exist_ok=True)
    state = max(walker.glob(f"{filenames.RESTART_FILE}.*"), key=lambda path: int(path.suffix[1:]))
    text = (walker / filenames.PLUMED_INPUT_FILE).read_text()
    text = re.sub(r"STATE_WFILE=\S+ STATE_WSTRIDE=\S+", "", re.sub(r"PACE=\d+", "PACE=1000000000", text))
    text = re.sub(
        r"FILE=KERNELS", f"FILE=KERNELS STATE_RFILE={(walker / filenames.STATE_FILE).resolve()} RESTART=YES", text
    )
    (folder / filenames.PLUMED_INPUT_FILE).write_text(text)
    every = round(0.01 / timestep)
    lines = [
        f"read_restart {state.resolve()}",
        *POTENTIAL_COMMANDS,
        "neighbor 2.0 bin",
        "neigh_modify every 1 delay 0 check yes",
        "reset_timestep 0",
        f"timestep {timestep}",
        "fix integrate all nve",
        f"fix bias all plumed plumedfile {filenames.PLUMED_INPUT_FILE} outfile {filenames.PLUMED_LOG_FILE}",
        "fix_modify bias energy yes",
        f"thermo {every}",
        "thermo_style custom step etotal",
        "thermo_modify line yaml format float %.10g",
        f"run {round(NVE_LENGTH / timestep)}",
    ]
    (folder / filenames.LAMMPS_INPUT_FILE).write_text("\n".join(lines) + "\n")
    begin = time.time()
    program(
        "aiida_sicmlip.engine.programs.lmp",
        *("-in", filenames.LAMMPS_INPUT_FILE, "-log", filenames.LAMMPS_LOG_FILE),
        folder=folder,
    )
    energy = parse_thermo((folder / filenames.LAMMPS_LOG_FILE).read_text())["TotEng"]
    return {"ev_per_ps": float((energy[-1] - energy[0]) / NVE_LENGTH), "seconds": time.time() - begin}


def pulled(study: Study, model: CollectiveVariableModel, folder: Path, seed: int) -> dict[str, float]:
    """Return the energy (eV/ps) that runs at constant energy gain under equal static pulls, by time step (fs)."""
    values, _ = study.before_and_after(model, seed)
    pairs = model.description["pairs"]
    lines = ["UNITS LENGTH=A ENERGY=eV TIME=ps"]
    lines += [f"d{number}: DISTANCE ATOMS={first + 1},{second + 1}" for number, (first, second) in enumerate(pairs)]
    file = (folder / "variables" / filenames.CV_MODEL_FILE).resolve()
    lines.append(f"cv: PYTORCH_MODEL FILE={file} ARG={','.join(f'd{number}' for number in range(len(pairs)))}")
    places = ",".join(f"{value:.6f}" for value in values.mean(0) + 2 * values.std(0))
    springs = ",".join(f"{value:.6f}" for value in 0.25 / values.var(0))
    lines.append(f"RESTRAINT ARG=cv.* AT={places} KAPPA={springs}")
    here = folder / "pulled"
    here.mkdir(parents=True, exist_ok=True)
    (here / filenames.PLUMED_INPUT_FILE).write_text("\n".join(lines) + "\n")
    (here / filenames.STRUCTURE_FILE).write_text(write_structure_data(study.atoms, SPECIES))
    pull = f"fix bias all plumed plumedfile {filenames.PLUMED_INPUT_FILE} outfile {filenames.PLUMED_LOG_FILE}"
    warm = f"fix integrate all nvt temp {TEMPERATURE} {TEMPERATURE} 0.1"
    lines = [
        "units metal",
        "atom_modify map yes",
        f"read_data {filenames.STRUCTURE_FILE}",
        *POTENTIAL_COMMANDS,
        "neighbor 2.0 bin",
        "neigh_modify every 1 delay 0 check yes",
        # Half of it goes into the potential energy.
        f"velocity all create {2 * TEMPERATURE} {seed} mom yes rot yes dist gaussian",
        "thermo_style custom step etotal",
        "thermo_modify line yaml format float %.10g",
        *(warm, "timestep 0.001", "run 1000", "unfix integrate"),
    ]
    for timestep in NVE_TIMESTEPS:
        lines += [warm, "timestep 0.001", pull, "run 500", "unfix bias", "unfix integrate"]
        lines += ["fix integrate all nve", f"timestep {timestep}", pull, f"thermo {round(0.01 / timestep)}"]
        lines += [f"run {round(PULLED_LENGTH / timestep)}", "unfix bias", "unfix integrate"]
    (here / filenames.LAMMPS_INPUT_FILE).write_text("\n".join(lines) + "\n")
    options = ("-in", filenames.LAMMPS_INPUT_FILE, "-log", filenames.LAMMPS_LOG_FILE)
    program("aiida_sicmlip.engine.programs.lmp", *options, folder=here)
    thermo = parse_thermo((here / filenames.LAMMPS_LOG_FILE).read_text())
    gains = {}
    for number, timestep in enumerate(NVE_TIMESTEPS):
        rows = thermo["Run"] == 2 * number + 2
        energy, steps = thermo["TotEng"][rows], thermo["Step"][rows]
        gains[f"{1000 * timestep:g}"] = float((energy[-1] - energy[0]) / (steps[-1] - steps[0]) / timestep)
    return gains


def without_bias(study: Study, seed: int) -> dict[str, Any]:
    """Return temperatures and drift of an unbiased run as long as a walker."""
    settings = ExplorationSettings(
        temperature=TEMPERATURE, equilibration=2.0, production=study.length, frame_interval=0.02
    )
    folder = study.unbiased("unbiased", settings, seed)
    return {
        "length_ps": study.length,
        "first_hop_ps": first_hop(study, folder, settings),
        "heating": heating([(rows_of(folder), {})], settings.timestep).to_dict(),
    }
