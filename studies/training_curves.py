"""What a training learns with its steps, settings and labels: a divacancy in 62 atoms, with EDIP as the teacher.

    python -m studies.training_curves FOLDER

Runs of molecular dynamics at two temperatures give frames that EDIP labels: some for training, others, of other runs,
for validation and for a test. Then models are trained:

  `balanced`, the protocol of that name, with several numbers of labels;
  `before`, the settings that it had when trainings were counted in epochs, on the largest number of labels;
  variants of `balanced`, each with one setting changed, at fewer steps.

All have the cutoff that EDIP needs. Each training is kept in FOLDER and not made again, so that a study that was
stopped goes on, and can be extended by seeds, labels or variants. The numbers go to `training_curves.json`, the picture
to `training_curves.png`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aiida_sicmlip.common import filenames
from aiida_sicmlip.engine.evaluation_report import report_regions
from aiida_sicmlip.engine.prediction import prediction_errors
from aiida_sicmlip.engine.reports import read_json
from aiida_sicmlip.science.labels.labelled_frames import write_labelled_frames
from aiida_sicmlip.science.protocol_files import TRAINING_PROTOCOLS, choose_protocol, merge, read_protocols
from aiida_sicmlip.science.training.earlier_settings import settings_in_steps
from studies.edip_runs import SPECIES, program
from studies.small_models import Study

CUTOFF = 3.2
"""A; EDIP sees up to 2.94 A."""
TEMPERATURES = (1500.0, 2500.0)
RUNS = {"training": (1,), "validation": (11,), "test": (21,)}
"""Seeds of the runs at each temperature, for each purpose."""
N_FRAMES = 300
"""Frames of a run, 0.1 ps apart."""
HELD_OUT = {"validation": 50, "test": 100}
VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "no averaging": {"optimiser": {"average_decay": None}},
    "squared forces": {"loss": {"huber_delta": None}},
    "energy weight 1": {"loss": {"final_energy": None}},
    "learning rate 0.005": {"optimiser": {"learning_rate": 0.005}},
    "learning rate 0.03": {"optimiser": {"learning_rate": 0.03}},
    "gradients clipped at 1": {"optimiser": {"gradient_clipping": 1.0}},
    "batches of 2": {"batch_size": 2},
    "double precision": {"model": {"precision": "float64"}},
    "warm-up of 500 steps": {"schedule": {"warm_up_steps": 500}},
}


class Trainings:
    """The data, and trainings on them, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.study = Study(folder)
        self.folder = self.study.folder
        self.pool = self._frames("training")
        self.sets = {name: self._spread(self._frames(name), count) for name, count in HELD_OUT.items()}

    def _frames(self, purpose: str) -> list[Atoms]:
        found: list[Atoms] = []
        for temperature in TEMPERATURES:
            for seed in RUNS[purpose]:
                found += self.study.frames(temperature, N_FRAMES, seed)
        return found

    @staticmethod
    def _spread(frames: Sequence[Atoms], count: int) -> list[Atoms]:
        places = np.linspace(0, len(frames) - 1, count).round().astype(int)
        return [frames[place] for place in places]

    def labels(self, count: int, seed: int) -> list[Atoms]:
        """Return so many training frames; those of a smaller number are among them."""
        order = np.random.default_rng(seed).permutation(len(self.pool))
        return [self.pool[place] for place in order[:count]]

    def train(self, name: str, count: int, seed: int, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings, curve and errors of a training; what is there is not made again."""
        folder = self.folder / name.replace(" ", "_") / f"labels_{count}" / f"seed_{seed}"
        result = folder / "result.json"
        if not result.exists():
            folder.mkdir(parents=True, exist_ok=True)
            frames = {"training": self.labels(count, seed), **self.sets}
            write_labelled_frames(folder / filenames.TRAINING_SET_FILE, frames["training"])
            write_labelled_frames(folder / filenames.VALIDATION_SET_FILE, frames["validation"])
            chosen = {**settings, "species": SPECIES, "seeds": {"model": seed, "data": seed}}
            (folder / filenames.TRAINING_SETTINGS_FILE).write_text(json.dumps(chosen, indent=1))
            program("aiida_sicmlip.engine.programs.main", "train", folder=folder)
            report = read_json(folder / filenames.TRAINING_REPORT_FILE, "report")
            curve = read_json(folder / filenames.TRAINING_CURVE_FILE, "curve")["columns"]
            kept = ("n_parameters", "steps", "passes", "best_step", "stop_reason", "fit_seconds", "versions")
            values = {
                "name": name,
                "labels": count,
                "seed": seed,
                "settings": report["settings"],
                **{key: report[key] for key in kept},
                "errors": self.errors(folder / filenames.PORTABLE_MODEL_FILE, frames),
                "curve": curve,
            }
            result.write_text(json.dumps(values, indent=1))
            errors = {part: round(of_set["force_mae"], 4) for part, of_set in values["errors"].items()}
            print(f"{name}, {count} labels, seed {seed}: {errors}, {values['fit_seconds']:.0f} s", flush=True)
        return read_json(result, "result")

    def errors(self, package: Path, sets: Mapping[str, Sequence[Atoms]]) -> dict[str, dict[str, Any]]:
        """Return force MAE (eV/A) and energy MAE (eV/atom) on each set, and the force MAE by region on the test set."""
        from aiida_sicmlip.engine.packaged_model import PackagedModel

        model = PackagedModel.load(package)
        predictions = {name: [model.compute(frame) for frame in frames] for name, frames in sets.items()}
        found = {}
        for name, frames in sets.items():
            errors = prediction_errors(frames, predictions[name])
            found[name] = {key: errors[key] for key in ("force_mae", "force_rmse", "energy_mae")}
        # The first half of the frames is of the first temperature.
        half = len(sets["test"]) // len(TEMPERATURES)
        for place, temperature in enumerate(TEMPERATURES):
            part = slice(place * half, (place + 1) * half)
            errors = prediction_errors(sets["test"][part], predictions["test"][part])
            found["test"][f"force_mae_{temperature:g}_K"] = errors["force_mae"]
        forces = np.concatenate([forces for _, forces in predictions["test"]])
        regions, _ = report_regions(sets["test"], forces, {"host": self.study.host}, {"host"})
        found["test"]["by_region"] = {
            name: {"n_atoms": of_region["n_atoms"], "force_mae": of_region["force_mae"]}
            for name, of_region in regions["by_region"].items()
        }
        return found


def balanced(steps: int | None = None) -> dict[str, Any]:
    """Return the settings of the protocol, with EDIP's cutoff."""
    step = choose_protocol(read_protocols(TRAINING_PROTOCOLS), "balanced", "protocol of trainings")["training"]
    settings = merge(step.get("parameters", {}), {"model": {"cutoff": CUTOFF}})
    return settings if steps is None else {**settings, "maximum_steps": steps}


def before(n_labels: int, seconds: float) -> dict[str, Any]:
    """Return the settings of `balanced` as they were, ended after a time."""
    return {**settings_in_steps({"model": {"cutoff": CUTOFF}}, n_labels), "wall_time_limit": seconds}


def draw(results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw force errors against steps, against time, and against labels."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from aiida_sicmlip.plots import style

    most = max(result["labels"] for result in results)
    figure, (by_step, by_labels) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    for place, name in enumerate(("balanced", "before")):
        curves = [result for result in results if result["name"] == name and result["labels"] == most]
        for number, result in enumerate(curves):
            for part, line in (("training", ":"), ("validation", "-")):
                label = f"{name}, {part}" if number == 0 else None
                values = result["curve"][f"{part}_force_mae"]
                by_step.plot(result["curve"]["step"], values, line, color=style.COLOURS[place], label=label)
    by_step.set_xlabel(f"optimiser steps, {most} labels")
    by_step.set_ylabel("force MAE (eV/Å)")
    of_balanced = [result for result in results if result["name"] == "balanced"]
    counts = sorted({result["labels"] for result in of_balanced})
    for place, part in enumerate(("training", "validation", "test")):
        values = [[r["errors"][part]["force_mae"] for r in of_balanced if r["labels"] == count] for count in counts]
        by_labels.plot(counts, [np.mean(value) for value in values], "o-", color=style.COLOURS[place], label=part)
        for count, value in zip(counts, values, strict=True):
            by_labels.plot([count] * len(value), value, "o", fillstyle="none", color=style.COLOURS[place], alpha=0.5)
    by_labels.set_xscale("log")
    by_labels.set_xticks(counts, labels=[str(count) for count in counts])
    by_labels.set_xticks([], minor=True)
    by_labels.set_xlabel("labels")
    for axes in (by_step, by_labels):
        style.logarithmic(axes.yaxis)
        axes.legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study, print a table, and write numbers and picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where everything is kept")
    parser.add_argument("--labels", type=int, nargs="*", default=[200, 100, 50, 25], help="of `balanced`")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="of labels, weights and order")
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=list(VARIANTS), help="of `balanced`")
    parser.add_argument("--variant-steps", type=int, default=5000, help="steps of each variant")
    parser.add_argument("--variant-labels", type=int, default=200, help="labels of each variant")
    parser.add_argument("--before-seconds", type=float, default=1200.0, help="time of `before`; 0 leaves it out")
    options = parser.parse_args(arguments)
    trainings, results = Trainings(options.folder), []
    for seed in options.seeds:
        if options.labels:
            results.append(trainings.train("balanced", options.labels[0], seed, balanced()))
        for name in options.variants:
            settings = merge(balanced(options.variant_steps), VARIANTS[name])
            results.append(trainings.train(f"variant {name}", options.variant_labels, seed, settings))
        results += [trainings.train("balanced", count, seed, balanced()) for count in options.labels[1:]]
        if options.before_seconds and options.labels:
            count = max(options.labels)
            results.append(trainings.train("before", count, seed, before(count, options.before_seconds)))
    for result in results:
        errors = result["errors"]
        cells = [f"{errors[part]['force_mae']:.4f}" for part in ("training", "validation", "test")]
        print(f"{result['name']:32s} {result['labels']:4d} {' '.join(cells)} {1000 * errors['test']['energy_mae']:.2f}")
    (trainings.folder / "training_curves.json").write_text(json.dumps(results, indent=1) + "\n")
    draw(results, trainings.folder / "training_curves.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
