"""How many labels each selection method needs: force errors of Allegro models on held-out frames of 62 atoms.

    python -m studies.active_learning --folder FOLDER

The divacancy of 3C-SiC, with EDIP as the reference that labels. Molecular dynamics at several temperatures gives a
pool of frames, and from other seeds a held-out set and a validation set, which are the same for all. Then, for each
method of `aiida_sicmlip.science.selection.farthest_point` and several seeds:

  a few frames of the pool, drawn at random and the same for all methods, are labelled first;
  in rounds, the method picks frames by their distance from all that is labelled, until there are as many as asked for;
  a model is trained on the frames labelled by then, with as many steps of the optimiser for few labels as for many;
  its errors on the held-out frames are noted: of all force components, of the atoms around the defect, and of the
  frame with the largest.

The pool is given: what an exploration by a better potential would find in later rounds is not part of this comparison.
Each seed draws other first frames, other frames for `random`, and other initial weights. What a folder holds is not
made again, so that a study that was stopped goes on, and can be extended by seeds or numbers of labels.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.common import filenames
from aiida_sicmlip.engine.classical_potential import ClassicalPotential
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.centres import DefectCentres
from aiida_sicmlip.science.defects.hosts import HostSettings, build_host
from aiida_sicmlip.science.dynamics.segments import frames_of_dcd
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.labels.labelled_frames import write_labelled_frames
from aiida_sicmlip.science.selection.descriptors import averaged_soap
from aiida_sicmlip.science.selection.farthest_point import METHODS, Eligibility, choose_frames, distance_to_set
from benchmarks.machine import processor
from studies.edip_runs import POTENTIAL_COMMANDS, SPECIES, is_complete, program, run_edip

LATTICE_CONSTANT = 4.362
"""Of 3C-SiC with EDIP, in A."""
FRAME_INTERVAL = 0.1
SHOWN = {
    "force_mae": "all atoms",
    "force_mae_around_defect": "atoms around the defect",
    "largest_frame_mae": "the worst frame",
}
"""Force errors (eV/A) that are tabled and drawn, with the titles of their panels."""
PURPOSES = {"pool": 1, "validation": 1001, "held-out": 2001}
"""First seed of the runs for each purpose."""


class Frames:
    """Labelled frames, with the place of each in its run."""

    def __init__(self, frames: Sequence[Atoms], run: Sequence[int], time_ps: Sequence[float]) -> None:
        self.frames = list(frames)
        self.run = np.array(run)
        self.time = np.array(time_ps)


class Study:
    """The crystal, the defect and the folder in which everything is made."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.folder: Path = options.folder.resolve()
        cells = (options.cells,) * 3
        self.host = build_host(HostSettings("zincblende", ("Si", "C"), LATTICE_CONSTANT, repeats=cells))
        self.atoms = build_defects(self.host, [{"kind": "divacancy"}], seed=1).atoms
        self.centres = DefectCentres(self.host)

    def frames(self, purpose: str, runs: int) -> Frames:
        """Return the frames of ``runs`` runs at each temperature, labelled by the reference."""
        found: list[Atoms] = []
        run: list[int] = []
        times: list[float] = []
        for place, temperature in enumerate(self.options.temperatures):
            settings = ExplorationSettings(
                temperature=temperature,
                equilibration=1.0,
                production=self.options.length,
                frame_interval=FRAME_INTERVAL,
                restart_interval=self.options.length,
            )
            for number in range(runs):
                seed = PURPOSES[purpose] + place * runs + number
                folder = self.folder / f"{len(self.atoms)}-atoms" / f"{self.options.length:g}-ps" / f"{temperature:g}-K"
                folder = folder / f"seed-{seed}"
                folder.mkdir(parents=True, exist_ok=True)
                if not is_complete(folder, settings):
                    run_edip(folder, self.atoms, settings, seed)
                symbols, cell = self.atoms.get_chemical_symbols(), self.atoms.cell.array
                kept = list(range(settings.n_frames))
                found += frames_of_dcd(folder / filenames.TRAJECTORY_FILE, symbols, cell, kept)
                run += [seed] * len(kept)
                times += [index * FRAME_INTERVAL for index in kept]
        with ClassicalPotential(SPECIES, POTENTIAL_COMMANDS) as reference:
            for frame in found:
                energy, forces = reference.compute(frame)
                frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
        return Frames(found, run, times)

    def around_defect(self, frames: Sequence[Atoms]) -> list[list[int]]:
        """Return the atoms around the defects of each frame."""
        positions = np.array([frame.positions for frame in frames])
        found = self.centres.find(positions, self.atoms.cell.array, self.atoms.numbers)
        return [atoms.tolist() for atoms in found]

    def descriptors(self, pool: Frames) -> np.ndarray:
        """Return the descriptors of the pool, as a run of the package has them."""
        return averaged_soap(pool.frames, SPECIES, centres=self.around_defect(pool.frames))

    def order(self, method: str, seed: int, rows: np.ndarray, pool: Frames) -> list[int]:
        """Return which frames are labelled, in their order: those after the first in rounds that double the number."""
        counts = self.options.labels
        generator = np.random.default_rng(seed)
        first, keys = generator.random(len(rows)), generator.random(len(rows))
        separation = self.options.separation
        free = Eligibility(trajectory=pool.run, time=pool.time, separation=separation)
        unknown = np.full(len(rows), np.inf)
        chosen = [pick.index for pick in choose_frames("random", rows, unknown, counts[0], free, keys=first)]
        for count in counts[1:]:
            taken = np.zeros(len(rows), dtype=bool)
            for index in chosen:
                taken |= (pool.run == pool.run[index]) & (np.abs(pool.time - pool.time[index]) < separation - 1e-6)
                taken[index] = True
            free = Eligibility(allowed=~taken, trajectory=pool.run, time=pool.time, separation=separation)
            nearest = distance_to_set(rows, rows[chosen])
            picks = choose_frames(method, rows, nearest, count - len(chosen), free, keys=keys)
            chosen += [pick.index for pick in picks]
            if len(chosen) < count:
                raise SystemExit(f"The pool has no {count} frames {separation:g} ps apart: make it larger.")
        return chosen

    def errors(self, method: str, seed: int, frames: Sequence[Atoms], validation: Path, held_out: Frames) -> dict:
        """Train on labelled frames and return errors on the held-out ones; what is there is not made again."""
        name = f"{method}-{len(frames)}" if len(frames) > self.options.labels[0] else f"first-{len(frames)}"
        folder = self.folder / f"updates-{self.options.updates}" / f"seed-{seed}" / name
        folder.mkdir(parents=True, exist_ok=True)
        path, training_set = folder / "errors.json", folder / filenames.TRAINING_SET_FILE
        before = training_set.read_bytes() if training_set.exists() and path.exists() else None
        write_labelled_frames(training_set, frames)
        if before != training_set.read_bytes():
            settings = {
                "species": SPECIES,
                "validation_set": str(validation),
                "batch_size": 1,
                "maximum_steps": self.options.updates,
                "schedule": {"kind": "cosine", "minimum_learning_rate": 1e-5},
                "seeds": {"model": seed, "data": seed},
            }
            (folder / filenames.TRAINING_SETTINGS_FILE).write_text(json.dumps(settings))
            begin = time.monotonic()
            program("aiida_sicmlip.engine.programs.main", "train", folder=folder)
            found = self.judge(folder / filenames.PORTABLE_MODEL_FILE, held_out)
            path.write_text(json.dumps({**found, "seconds": time.monotonic() - begin}))
            print(f"seed {seed}, {name}: force MAE {found['force_mae']:.4f} eV/A", flush=True)
        return json.loads(path.read_text())

    def judge(self, model: Path, held_out: Frames) -> dict[str, float]:
        """Return the mean absolute errors of a model's forces in eV/A, by the names of ``SHOWN``."""
        from aiida_sicmlip.engine.packaged_model import PackagedModel

        potential = PackagedModel.load(model)
        wrong = [np.abs(potential.compute(frame)[1] - frame.get_forces()) for frame in held_out.frames]
        near = [error[atoms] for error, atoms in zip(wrong, self.around_defect(held_out.frames), strict=True)]
        return {
            "force_mae": float(np.concatenate(wrong).mean()),
            "force_mae_around_defect": float(np.concatenate(near).mean()),
            "largest_frame_mae": float(max(error.mean() for error in wrong)),
        }


def labels_needed(counts: Sequence[int], errors: Sequence[float], target: float) -> float | None:
    """Return how many labels bring the error down to ``target``, None where no number that was tried does.

    Between two numbers the logarithm of the error is taken to fall linearly with that of the number.
    """
    for place, error in enumerate(errors):
        if error > target:
            continue
        if place == 0:
            return float(counts[0])
        before, after = np.log(errors[place - 1]), np.log(error)
        share = (before - np.log(target)) / (before - after)
        logarithms = np.log(counts[place - 1]), np.log(counts[place])
        return float(np.exp(logarithms[0] + share * (logarithms[1] - logarithms[0])))
    return None


def standard_error(values: np.ndarray) -> float | None:
    """Return the standard error of the mean of some values; one value has none."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def compare(curves: Mapping[str, Mapping[int, Sequence[float]]]) -> dict[str, Any]:
    """Return mean and standard error of each curve, and the labels that each method needs for what `random` reaches.

    :param curves: by method and number of labels, the error of each seed.
    """
    found: dict[str, Any] = {"methods": {}}
    for method, curve in curves.items():
        values = [np.array(curve[count]) for count in curve]
        # Each seed gives all methods the same first frames and weights, so that differences are taken seed by seed.
        beyond = [value - np.array(curves["random"][count]) for count, value in zip(curve, values, strict=True)]
        found["methods"][method] = {
            "labels": list(curve),
            "mean": [float(value.mean()) for value in values],
            "standard_error": [standard_error(value) for value in values],
            "difference_to_random_mean": [float(value.mean()) for value in beyond],
            "difference_to_random_standard_error": [standard_error(value) for value in beyond],
        }
    found["target"] = found["methods"]["random"]["mean"][-1]
    for entry in found["methods"].values():
        entry["labels_needed"] = labels_needed(entry["labels"], entry["mean"], found["target"])
    return found


def table(compared: Mapping[str, Any]) -> str:
    """Return the errors as a table, and what they come to."""
    lines = []
    for method, entry in compared["methods"].items():

        def cells(name: str, sign: str, entry: Mapping[str, Any] = entry) -> str:
            columns = zip(
                entry["labels"], entry[name], entry[name.removesuffix("mean") + "standard_error"], strict=True
            )
            return "  ".join(
                f"{count}: {value:{sign}.4f}" + ("" if error is None else f" +- {error:.4f}")
                for count, value, error in columns
            )

        needed = entry["labels_needed"]
        words = "more than were tried" if needed is None else f"{needed:.0f}"
        lines.append(f"{method:15s} {cells('mean', '')}")
        if method != "random":
            lines.append(f"{'':15s} beyond random, seed by seed: {cells('difference_to_random_mean', '+')}")
        lines.append(f"{'':15s} labels for {compared['target']:.4f} eV/A: {words}")
    return "\n".join(lines)


def draw(errors: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw the errors against the number of labels: means with their standard errors, and each seed as a small ring."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from aiida_sicmlip.plots import style

    figure, panels = plt.subplots(1, len(SHOWN), figsize=(11.5, 3.8), layout="constrained")
    for axes, (name, title) in zip(panels, SHOWN.items(), strict=True):
        compared = errors[name]
        for place, (method, entry) in enumerate(compared["methods"].items()):
            colour = style.COLOURS[place]
            # Side by side, as methods that are as good as each other would hide one another.
            labels = np.array(entry["labels"]) * 1.04 ** (place - 1)
            spread = [error or 0.0 for error in entry["standard_error"]]
            axes.errorbar(
                labels, entry["mean"], spread, marker="o", markersize=4, capsize=3, color=colour, label=method
            )
            for count, at in zip(entry["labels"], labels, strict=True):
                values = compared["seeds"][method][count]
                axes.plot([at] * len(values), values, "o", markersize=4, fillstyle="none", color=colour, alpha=0.5)
        axes.set_xscale("log")
        counts = next(iter(compared["methods"].values()))["labels"]
        axes.set_xticks(counts, labels=[str(count) for count in counts])
        axes.set_xticks([], minor=True)
        style.logarithmic(axes.yaxis)
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel("labels")
    panels[0].set_ylabel("force MAE on held-out frames (eV/Å)")
    style.add_shared_legend(panels)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study, print tables and write the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("benchmark/active-learning"), help="where files are kept")
    parser.add_argument("--cells", type=int, default=2, help="cubic cells along each edge")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[1000.0, 1500.0, 2000.0], help="in K")
    parser.add_argument("--length", type=float, default=50.0, help="of each run, in ps")
    parser.add_argument("--runs", type=int, default=2, help="runs of the pool at each temperature")
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 20, 40, 80], help="numbers of labels, ascending")
    parser.add_argument("--separation", type=float, default=0.2, help="least time between picks of one run, in ps")
    parser.add_argument("--held-out", type=int, default=150, help="held-out frames")
    parser.add_argument("--validation", type=int, default=15, help="validation frames")
    parser.add_argument("--updates", type=int, default=4000, help="steps of the optimiser in each training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of first frames, draws and weights")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="`random` among them")
    options = parser.parse_args(arguments)
    if "random" not in options.methods or sorted(set(options.labels)) != options.labels:
        parser.error("`--methods` needs `random` to compare with, and `--labels` ascending numbers")
    study = Study(options)
    study.folder.mkdir(parents=True, exist_ok=True)
    pool, others = study.frames("pool", options.runs), {}
    for purpose, count in (("validation", options.validation), ("held-out", options.held_out)):
        frames = study.frames(purpose, 1)
        places = np.linspace(0, len(frames.frames) - 1, count).round().astype(int)
        others[purpose] = Frames([frames.frames[place] for place in places], frames.run[places], frames.time[places])
    validation = study.folder / filenames.VALIDATION_SET_FILE
    write_labelled_frames(validation, others["validation"].frames)
    rows = study.descriptors(pool)
    found: dict[str, dict[str, dict[int, list[float]]]] = {}
    for seed in options.seeds:
        for method in options.methods:
            order = study.order(method, seed, rows, pool)
            for count in options.labels:
                frames = [pool.frames[index] for index in order[:count]]
                for name, value in study.errors(method, seed, frames, validation, others["held-out"]).items():
                    found.setdefault(name, {}).setdefault(method, {}).setdefault(count, []).append(value)
    report: dict[str, Any] = {
        "machine": {"processor": processor(), "cores": os.cpu_count()},
        "options": {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()},
        "n_pool": len(pool.frames),
        "seconds": found.pop("seconds"),
        "errors": {name: {"seeds": curves, **compare(curves)} for name, curves in found.items()},
    }
    for name in SHOWN:
        print(f"\n{name.replace('_', ' ')} on {options.held_out} held-out frames (eV/A), by number of labels")
        print(table(report["errors"][name]))
    draw(report["errors"], study.folder / "active_learning.png")
    output = study.folder / "active_learning.json"
    output.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nNumbers in {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
