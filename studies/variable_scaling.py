"""How should the sorted distances of a defect be switched and scaled? What the variables see, and what they heat.

A divacancy in 3C-SiC (62 atoms), EDIP. For each seed, hot unbiased runs are learned from by several kinds of variables
(arms), which differ in the switching function and in what shares a standard deviation. Each arm then drives a walker by
OPES-Explore. Of each seed and arm: the variance explained, how far the two sides of a hop lie apart, how much the
gradients of the variables change in a third of a femtosecond, the time to the first hop, the temperature of the atoms
of the variables and of the others, and the energy that runs at constant energy gain under the walker's last bias, held
static, at three time steps.

    python -m studies.variable_scaling variable_scaling --seeds 5

makes the runs in the folder `variable_scaling` one after the other, and adds each number to `results.json` there as
soon as it is known, cheap ones first, those of all arms of a seed before the next seed. What is there is not made
again, so that it can be stopped and started at any time, and with more seeds later. `--only-summary` prints the table
and draws the picture of what there is. An arm takes about three minutes of one core for each seed.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable
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
from aiida_sicmlip.science.dynamics.lammps_log import parse_thermo
from aiida_sicmlip.science.dynamics.plumed_input import plumed_input
from aiida_sicmlip.science.dynamics.run_output import COLUMNS
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.pines.atoms import choose_atoms
from aiida_sicmlip.science.pines.export import CollectiveVariableModel, read_model, write_model
from aiida_sicmlip.science.pines.layout import PivLayout
from aiida_sicmlip.science.pines.piv import pair_distances, permutation_invariant_vectors
from aiida_sicmlip.science.pines.settings import AutoencoderSettings, SwitchingFunction
from aiida_sicmlip.science.pines.training import train_autoencoder
from studies.edip_runs import POTENTIAL_COMMANDS, is_complete, program, run_edip
from studies.variable_scaling_table import columns, draw, summary

TEMPERATURE, LEARNING_TEMPERATURE = 1500.0, 2500.0
"""K, of the walkers and of the runs to learn from."""
NVE_TIMESTEPS = (0.001, 0.0005, 0.00025)
NVE_LENGTH = 1.0
"""ps."""
MEASURED = ("variance_explained", "gradient_noise", "separation", "walker", "drift_by_timestep_fs")
"""Keys of a row, in the order in which they are filled in for all arms and seeds."""
THIRD = 0.001 / 3
"""Time in ps over which gradients are compared."""


@dataclass(frozen=True)
class Arm:
    """A kind of variables, and the time step (ps) of its walker."""

    scaling: str
    r0: float
    exponent: int
    timestep: float = 0.001


ARMS = {
    "entry": Arm("entry", 3.2, 6),
    "block": Arm("block", 3.2, 6),
    "vector": Arm("vector", 3.2, 6),
    "entry, 2.6 A": Arm("entry", 2.6, 8),
    "block, 2.6 A": Arm("block", 2.6, 8),
    "vector, 2.6 A": Arm("vector", 2.6, 8),
}


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


def train(study: Study, folder: Path, arm: Arm, seed: int) -> CollectiveVariableModel:
    """Learn the variables of an arm, unless they are there."""
    if not (folder / filenames.CV_MODEL_FILE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Each hop occurs in one run: without that run the variables would not know it.
        settings = AutoencoderSettings(held_out=0, max_epochs=study.epochs, seed=seed, standardisation=arm.scaling)
        switching = SwitchingFunction(arm.r0, arm.exponent)
        layout = PivLayout.from_groups(study.groups)
        trained = train_autoencoder(
            study.vectors_to_learn_from(seed, layout, switching), settings, block_sizes=layout.block_sizes
        )
        write_model(folder, layout, switching, trained)
    return read_model(folder)


def gradient_noise(model: CollectiveVariableModel, positions: np.ndarray, cell: np.ndarray) -> list[float]:
    """Return the mean squared change of the gradient of each variable from frame to frame, over its mean square."""
    chosen = torch.tensor(positions[:, list(model.layout.atoms)], requires_grad=True)
    values = model.module(pair_distances(chosen, cell, np.array([True] * 3), model.layout.local_pairs).float())
    noise = []
    for number in range(values.shape[1]):
        (gradient,) = torch.autograd.grad(values[:, number].sum(), chosen, retain_graph=True)
        squares = gradient.diff(dim=0).square().sum((1, 2)).mean()
        noise.append(float(squares / gradient.square().sum((1, 2)).mean()))
    return noise


def separation(study: Study, model: CollectiveVariableModel, seed: int) -> list[float] | None:
    """Return how far frames beyond a hop lie from those before, in standard deviations of these, for each variable.

    None where no run to learn from has a hop.
    """
    before, after = [], []
    for run in study.learning_runs(seed):
        at_start = study.is_start(run)
        positions = read_dcd(run / filenames.TRAJECTORY_FILE)[0]
        values = model.evaluate(positions, study.atoms.cell.array, np.array([True] * 3))
        before.append(values[at_start])
        after.append(values[~at_start])
    first, second = np.concatenate(before), np.concatenate(after)
    return (np.abs(second.mean(0) - first.mean(0)) / first.std(0)).tolist() if len(second) else None


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


def measurements(study: Study, name: str, seed: int) -> dict[str, Callable[[], Any]]:
    """Return what is measured of an arm and a seed, by its key in the row; the cheapest first."""
    arm = ARMS[name]
    folder = study.folder / re.sub(r"\W+", "_", name) / f"seed_{seed:03d}"

    def model() -> CollectiveVariableModel:
        return train(study, folder / "variables", arm, seed)

    return {
        "variance_explained": lambda: model().description["variance_explained"]["training"],
        "gradient_noise": lambda: gradient_noise(model(), study.quick_frames(seed), study.atoms.cell.array),
        "separation": lambda: separation(study, model(), seed),
        "walker": lambda: walk(study, folder / "walker", folder / "variables", arm, seed),
        "drift_by_timestep_fs": lambda: {
            f"{1000 * timestep:g}": constant_energy(folder / "walker", folder / f"nve_{1000 * timestep:g}", timestep)
            for timestep in NVE_TIMESTEPS
        },
    }


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


def main() -> None:
    """Make the rows that are missing, and print and draw what there is."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where to write everything")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of each arm, from 1")
    parser.add_argument("--length", type=float, default=60.0, help="of a walker, ps")
    parser.add_argument("--epochs", type=int, default=60, help="of the training of variables")
    parser.add_argument("--learning-sets", type=int, default=1, help="sets of hot runs that seeds learn from in turn")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="kinds of variables to compare")
    parser.add_argument("--only-summary", action="store_true", help="make nothing, show what there is")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    study = Study(options.folder, options.length, options.epochs, options.learning_sets)
    file = options.folder / "results.json"
    rows = json.loads(file.read_text()) if file.exists() else []
    by_place = {(row["arm"], row["seed"]): row for row in rows}
    for key in () if options.only_summary else MEASURED:
        for seed in range(1, options.seeds + 1):
            for name in ["unbiased", *options.arms]:
                row = by_place.setdefault((name, seed), {"arm": name, "seed": seed})
                if key in row or (name == "unbiased" and key != "walker"):
                    continue
                row[key] = without_bias(study, seed) if name == "unbiased" else measurements(study, name, seed)[key]()
                rows = [by_place[place] for place in sorted(by_place)]
                new = file.with_suffix(".new")
                new.write_text(json.dumps(rows, indent=1) + "\n")
                new.replace(file)
                print(name, seed, key, columns(row), flush=True)
    for arm, numbers in summary(rows).items():
        print(arm)
        for name, (mean, error, count) in numbers.items():
            print(f"  {name:30s} {mean:10.4g} +- {error:.2g} ({count})")
    if rows:
        draw(rows, options.folder / "variable_scaling.png")


if __name__ == "__main__":
    main()
