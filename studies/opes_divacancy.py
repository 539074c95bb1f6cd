"""How much sooner does a biased run change a divacancy? OPES-Explore against unbiased molecular dynamics.

A divacancy in 3C-SiC (62 atoms), EDIP. Short hot runs show how the defect can change; an autoencoder learns collective
variables from them; runs at the temperature of interest are biased on these, others are not; hops of atoms from site to
site are counted in both. Everything is done by functions and programs of the package, as an exploration does it.

    python -m studies.opes_divacancy opes_divacancy

writes runs, `results.json` and two pictures into the folder `opes_divacancy`. It takes about half an hour on one core.
Runs that are complete are not made again; for other settings take another folder.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aiida_sicmlip.common import filenames
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.crystals import distances_from
from aiida_sicmlip.science.defects.hops import Hops, count_hops, find_defect_sites
from aiida_sicmlip.science.defects.hosts import HostSettings, build_host
from aiida_sicmlip.science.dynamics.bias_settings import BiasSettings
from aiida_sicmlip.science.dynamics.colvar import Colvar, read_colvar
from aiida_sicmlip.science.dynamics.dcd import read_dcd
from aiida_sicmlip.science.dynamics.lammps_input import write_structure_data
from aiida_sicmlip.science.dynamics.plumed_input import plumed_input
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.free_energy.reweighting import (
    FreeEnergySettings,
    Walker,
    frame_weights,
    reweighted_free_energy,
)
from aiida_sicmlip.science.kinetics.event_rates import EventRate, event_rate
from aiida_sicmlip.science.pines.atoms import choose_atoms
from studies.edip_runs import POTENTIAL_COMMANDS, SPECIES, is_complete, program, run_edip
from studies.options import study_parser


class Study:
    """The host, the defect, and the folder in which everything is made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = build_host(HostSettings("zincblende", ("Si", "C"), 4.416, repeats=(2, 2, 2)))
        self.defect = build_defects(self.host, [{"kind": "divacancy"}], seed=0)
        self.atoms: Atoms = self.defect.atoms
        self.sites = find_defect_sites(self.atoms, self.host).site_of_atom
        self.variables = folder / "variables"

    def run(self, name: str, settings: ExplorationSettings, seed: int, bias: BiasSettings | None = None) -> Path:
        """Make a run, biased or not, unless it is there, and return its folder."""
        folder = self.folder / name / f"seed_{seed:02d}"
        if is_complete(folder, settings):
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*"):
            if old.is_file():
                old.unlink()
        if bias is not None:
            description = json.loads((self.variables / filenames.CV_DESCRIPTION_FILE).read_text())
            text = plumed_input(
                pairs=description["pairs"],
                n_variables=len(description["ranges"]),
                bias=bias,
                exploration=settings,
                model_file=str((self.variables / filenames.CV_MODEL_FILE).resolve()),
            )
            (folder / filenames.PLUMED_INPUT_FILE).write_text(text)
        run_edip(folder, self.atoms, settings, seed, biased=bias is not None)
        return folder

    def train(self, trajectories: list[Path]) -> None:
        """Learn collective variables from trajectories, all of which are trained on."""
        if (self.variables / filenames.CV_MODEL_FILE).exists():
            return
        self.variables.mkdir(parents=True, exist_ok=True)
        groups = choose_atoms(self.host, self.defect.sites).groups
        # Each hop occurs in one run: without that run the variables would not know it.
        settings = {"groups": groups, "autoencoder": {"held_out": 0, "max_epochs": 60, "seed": 1}}
        (self.variables / filenames.CV_SETTINGS_FILE).write_text(json.dumps(settings))
        options = [part for path in trajectories for part in ("--trajectory", str(path.resolve()))]
        program("aiida_sicmlip.engine.programs.main", "cv", *options, folder=self.variables)

    def hops(self, folder: Path) -> Hops:
        """Follow the atoms through a run."""
        positions, _ = read_dcd(folder / filenames.TRAJECTORY_FILE)
        symbols = self.atoms.get_chemical_symbols()
        return count_hops(positions, self.atoms.cell.array, self.host, symbols, self.sites)

    def relax(self, atoms: Atoms, folder: Path) -> tuple[Atoms, float]:
        """Return what a structure relaxes to, and its energy in eV."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / filenames.STRUCTURE_FILE).write_text(write_structure_data(atoms, SPECIES))
        lines = [
            "units metal",
            "atom_modify map yes",
            f"read_data {filenames.STRUCTURE_FILE}",
            *POTENTIAL_COMMANDS,
            "minimize 0 1e-4 5000 50000",
            "variable energy equal pe",
            'print "${energy}" file energy.txt',
            f"write_dump all dcd {filenames.TRAJECTORY_FILE}",
        ]
        (folder / "relaxation.in").write_text("\n".join(lines) + "\n")
        program("aiida_sicmlip.engine.programs.lmp", "-in", "relaxation.in", folder=folder)
        relaxed = atoms.copy()
        relaxed.positions = read_dcd(folder / filenames.TRAJECTORY_FILE)[0][0]
        return relaxed, float((folder / "energy.txt").read_text())

    def after_hop(self, folder: Path, hop: np.ndarray) -> dict[str, Any]:
        """Return where the atom of a hop is after a relaxation, and the energy (eV) above the relaxed divacancy."""
        atoms = self.atoms.copy()
        atoms.positions = read_dcd(folder / filenames.TRAJECTORY_FILE, [int(hop[0])])[0][0]
        relaxed, energy = self.relax(atoms, folder / "relaxed_after_hop")
        _, start = self.relax(self.atoms, self.folder / "relaxed_divacancy")
        site = find_defect_sites(relaxed, self.host).site_of_atom[hop[1]]
        return {"relaxes_to_site": int(site), "energy_above_start": energy - start}

    def describe(self, folder: Path, hop: np.ndarray, settings: ExplorationSettings) -> dict[str, Any]:
        """Return a hop of a run, a row of :attr:`Hops.between_sites`, in words and numbers."""
        frame, atom, origin, target = (int(number) for number in hop)
        return {
            "time_ps": frame * settings.frame_interval,
            "atom": atom,
            "species": self.atoms.symbols[atom],
            "from_site": origin,
            "to_site": target,
            "own_sublattice": self.host.symbols[target] == self.atoms.symbols[atom],
            "distance": float(distances_from(self.host, self.host.positions[origin])[target]),
            **self.after_hop(folder, hop),
        }


def summary(study: Study, folders: list[Path], settings: ExplorationSettings) -> dict[str, Any]:
    """Return hops and the waiting time for the first one in runs of one kind."""
    runs, waited = [], 0.0
    for folder in folders:
        hops = study.hops(folder).between_sites
        first = hops[0, 0] * settings.frame_interval if len(hops) else None
        waited += settings.production if first is None else first
        runs.append(
            {
                "run": folder.name,
                "hops": len(hops),
                "first_hop": study.describe(folder, hops[0], settings) if len(hops) else None,
            }
        )
    rate = event_rate(sum(run["first_hop"] is not None for run in runs), waited)
    return {"length_ps": settings.production, "runs": runs, "first_hops": rate_as_dict(rate)}


def elsewhere(study: Study, folders: list[Path], settings: ExplorationSettings) -> dict[str, Any]:
    """Return how much of biased runs, after their beginnings, is in other states than the one they started from.

    These are told by the vacant sites. frames: their share of the frames of each run; weights: of the weights of each
    run and of all runs, what equilibrium would give if the runs had come to it.
    """
    start = np.setdiff1d(np.arange(len(study.host)), study.sites)
    frames, weights, lengths = [], [], []
    for folder in folders:
        changed = ~np.array([set(start) == set(vacant) - {-1} for vacant in study.hops(folder).vacant])
        first = int(FreeEnergySettings().discard * len(changed))
        bias = read_colvar(folder / filenames.COLVAR_FILE).bias
        frames.append(float(changed[first:].mean()))
        weights.append(float((frame_weights(bias[first:], settings.temperature) * changed[first:]).mean()))
        lengths.append(len(changed) - first)
    return {"frames": frames, "weights": weights, "all_weights": float(np.average(weights, weights=lengths))}


def rate_as_dict(rate: EventRate) -> dict[str, Any]:
    """Return a rate as numbers that JSON knows."""
    numbers = {
        "waiting_time_ps": rate.waiting_time,
        "shortest_waiting_time_ps": rate.shortest_waiting_time,
        "longest_waiting_time_ps": rate.longest_waiting_time,
    }
    finite = {name: number if np.isfinite(number) else None for name, number in numbers.items()}
    return {"events": rate.events, "time_ps": rate.time, **finite}


def draw(study: Study, folders: list[Path], settings: ExplorationSettings) -> None:
    """Draw the space of the collective variables before and after the first hops, and the free energy."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from aiida_sicmlip.plots.collective_variables import plot_samples
    from aiida_sicmlip.plots.free_energy import plot_free_energy_curve, plot_free_energy_map

    tables = [read_colvar(folder / filenames.COLVAR_FILE) for folder in folders]
    firsts = [study.hops(folder).between_sites[:1, 0] for folder in folders]
    figure, panels = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained", width_ratios=(1, 1.5))
    for axes, pair in zip(panels, ((0, 1), (0, 2)), strict=True):
        samples, hops = before_and_after(tables, firsts, pair)
        names = [f"CV {number + 1}" for number in pair]
        plot_samples(axes, samples, marked={"first hop": hops} if len(hops) else None, variables=names)
    panels[0].get_legend().remove()
    figure.savefig(study.folder / "cv_space.png", dpi=110)
    plt.close(figure)

    walkers = [Walker(table.variables, table.bias, str(folder)) for table, folder in zip(tables, folders, strict=True)]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    smooth = FreeEnergySettings(bins=40, smoothing=1.0, blocks=5)
    curve = reweighted_free_energy(walkers, [0], temperature=settings.temperature, settings=smooth)
    plot_free_energy_curve(left, curve)
    surface = reweighted_free_energy(walkers, [0, 1], temperature=settings.temperature, settings=smooth)
    # Higher up lie the rims, which single frames have seen.
    plot_free_energy_map(right, surface, highest=2.0)
    figure.savefig(study.folder / "free_energy.png", dpi=110)
    plt.close(figure)


def before_and_after(
    tables: list[Colvar], firsts: list[np.ndarray], pair: tuple[int, int]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return two of the variables of all runs before and after their first hops, and those at the hops."""
    parts: dict[str, list[np.ndarray]] = {"before the first hop": [], "after it": []}
    hops = []
    for table, first in zip(tables, firsts, strict=True):
        points = table.variables[:, list(pair)]
        place = first[0] if len(first) else len(points)
        parts["before the first hop"].append(points[:place])
        parts["after it"].append(points[place:])
        hops.append(points[place : place + 1])
    return {name: np.concatenate(some) for name, some in parts.items()}, np.concatenate(hops)


def arguments() -> argparse.Namespace:
    """Read the command line; lengths are in ps, temperatures in K."""
    parser = study_parser(__doc__)
    parser.add_argument("--temperature", type=float, default=1500.0, help="of biased and unbiased runs")
    parser.add_argument("--seeds", type=int, default=8, help="biased runs")
    parser.add_argument("--length", type=float, default=100.0, help="of a biased run")
    parser.add_argument("--unbiased-seeds", type=int, default=5, help="unbiased runs")
    parser.add_argument("--unbiased-length", type=float, default=2000.0, help="of an unbiased run")
    parser.add_argument("--learning-temperature", type=float, default=2500.0, help="of the runs to learn from")
    parser.add_argument("--learning-seeds", type=int, default=4, help="runs to learn from")
    parser.add_argument("--learning-length", type=float, default=50.0, help="of a run to learn from")
    parser.add_argument("--barrier", type=float, default=3.0, help="of the bias, eV")
    parser.add_argument("--pace", type=float, default=0.5, help="between two kernels of the bias")
    return parser.parse_args()


def main() -> None:
    """Do the study and print its numbers."""
    options = arguments()
    study = Study(options.folder)

    def settings(temperature: float, length: float) -> ExplorationSettings:
        return ExplorationSettings(temperature=temperature, equilibration=5.0, production=length)

    learning = settings(options.learning_temperature, options.learning_length)
    learning_runs = [study.run("learning", learning, seed) for seed in range(1, options.learning_seeds + 1)]
    study.train([folder / filenames.TRAJECTORY_FILE for folder in learning_runs])
    biased, unbiased = (settings(options.temperature, length) for length in (options.length, options.unbiased_length))
    bias = BiasSettings(barrier=options.barrier, pace=options.pace)
    with_bias = [study.run("biased", biased, seed, bias) for seed in range(1, options.seeds + 1)]
    without = [study.run("unbiased", unbiased, seed) for seed in range(1, options.unbiased_seeds + 1)]
    results = {
        "temperature": options.temperature,
        "bias": bias.to_dict(),
        "learning": {"temperature": options.learning_temperature, **summary(study, learning_runs, learning)},
        "biased": {**summary(study, with_bias, biased), "elsewhere": elsewhere(study, with_bias, biased)},
        "unbiased": summary(study, without, unbiased),
    }
    (options.folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))
    draw(study, with_bias, biased)


if __name__ == "__main__":
    main()
