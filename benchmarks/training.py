"""What a pass of `sicmlip train` over its training set costs: against `nequip-train` called directly, and with a prior.

    python -m benchmarks.training --folder FOLDER

trains a small Allegro model on frames of EDIP (a divacancy in 3C-SiC, 62 atoms), with three programs:

  direct   `nequip-train` as NequIP's tutorial has it: frames in extended XYZ; the same model, loss and optimiser
  package  `sicmlip train`, without a prior
  prior    the same with the Lennard-Jones prior

Each runs twice a round, with few and with more epochs: the difference is the cost of the epochs, the rest that of
starting, reading, packaging and the errors at the end. They take turns, so that what else the machine does falls on all
of them alike. Times are processor times of the programs, in one thread: on an idle machine those of the clock. Ratios
to `direct` are taken within a round and given as median and range over the rounds.

Then the numbers of epochs and of training frames that it takes to come below given force errors on validation frames,
with and without the prior, from the models of `studies/prior_accuracy.py`, which are trained unless they are in FOLDER.

How cost grows: an epoch's with the frames and their edges, so with the atoms at a fixed density. The package's own part
does not grow with the epochs but for a line and a row in the curve each; the prior's grows with the edges.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import yaml
from ase import Atoms
from ase.io import write

from aiida_sicmlip.common.filenames import TRAINING_SET_FILE, VALIDATION_SET_FILE
from aiida_sicmlip.science.labels.labelled_frames import write_labelled_frames
from aiida_sicmlip.science.training.neighbour_pairs import neighbour_pairs
from aiida_sicmlip.science.training.nequip_config import DatasetStatistics, nequip_config, per_type_energies
from benchmarks.machine import processor
from studies.edip_runs import SPECIES
from studies.prior_accuracy import HELD_OUT_SEED, N_VALIDATION, train_kinds, training_settings
from studies.small_models import CUTOFF, KINDS, MODEL, Study, write_settings

WAYS = ("direct", "package", "prior")
TEMPERATURE = 1500.0


class Bench:
    """Frames, and the three programs that train on them."""

    def __init__(self, folder: Path, n_frames: int) -> None:
        self.study = Study(folder)
        self.folder = self.study.folder / "timed"
        self.training = self.study.frames(TEMPERATURE, n_frames, seed=1)
        self.validation = self.study.frames(TEMPERATURE, N_VALIDATION, seed=HELD_OUT_SEED + 1)

    def settings(self, epochs: int) -> dict[str, Any]:
        """Return settings of a training with so many epochs."""
        return training_settings(len(self.training), epochs * len(self.training), seed=1)

    def prepare(self, way: str, epochs: int) -> list[str]:
        """Make a new folder for a training and return the command to be run in it."""
        folder = self.place(way, epochs)
        folder.mkdir(parents=True, exist_ok=True)
        if way == "direct":
            write(folder / "training.xyz", self.training)
            write(folder / "validation.xyz", self.validation)
            config = direct_config(self.settings(epochs), self.training)
            (folder / "direct.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
            return [str(Path(sysconfig.get_path("scripts")) / "nequip-train"), "-cp", str(folder), "-cn", "direct"]
        write_labelled_frames(folder / TRAINING_SET_FILE, self.training)
        write_labelled_frames(folder / VALIDATION_SET_FILE, self.validation)
        write_settings(folder, self.training, self.settings(epochs), KINDS["fitted"] if way == "prior" else None)
        return [sys.executable, "-m", "aiida_sicmlip.engine.programs.main", "train"]

    def place(self, way: str, epochs: int) -> Path:
        """Return the folder of a training."""
        return self.folder / f"{way}_{epochs}"

    def measure(self, epochs: tuple[int, int], rounds: int) -> dict[str, Any]:
        """Time all three in turn: seconds of processor time an epoch, and of everything else."""
        seconds: dict[str, list[list[float]]] = {way: [] for way in WAYS}
        for number in range(rounds):
            for way in WAYS:
                commands = {count: self.prepare(way, count) for count in epochs}
                times = [processor_time(command, self.place(way, count)) for count, command in commands.items()]
                seconds[way].append(times)
                print(f"round {number + 1}, {way}: " + ", ".join(f"{time:.1f} s" for time in times), flush=True)
        return costs(seconds, epochs)


def direct_config(settings: Mapping[str, Any], training: Sequence[Atoms]) -> dict[str, Any]:
    """Return a configuration of `nequip-train` with the model, loss and optimiser of ``settings``."""
    config = nequip_config({**settings, "model": MODEL, "species": SPECIES}, statistics(training), len(training))
    transforms = config["data"]["train_dataset"]["transforms"]
    loaders = {name: config["data"][name] for name in ("train_dataloader", "val_dataloader")}
    checkpoint = {"_target_": "lightning.pytorch.callbacks.ModelCheckpoint", "dirpath": ".", "filename": "best"}
    checkpoint |= {"monitor": "val0_epoch/weighted_sum", "save_last": True, "enable_version_counter": False}
    return {
        "run": ["train"],
        "data": {
            "_target_": "nequip.data.datamodule.ASEDataModule",
            "seed": 1,
            "train_file_path": "training.xyz",
            "val_file_path": "validation.xyz",
            "transforms": transforms,
            **loaders,
        },
        "trainer": {
            "_target_": "lightning.Trainer",
            "accelerator": "cpu",
            "max_epochs": config["trainer"]["max_epochs"],
            "logger": False,
            "enable_progress_bar": False,
            "callbacks": [checkpoint],
        },
        "training_module": config["training_module"],
        "global_options": {"allow_tf32": False},
    }


def statistics(frames: Sequence[Atoms]) -> DatasetStatistics:
    """Return what the program itself finds in a training set."""
    counts = np.array([[frame.symbols.count(name) for name in SPECIES] for frame in frames], dtype=float)
    energies = np.array([frame.get_potential_energy() for frame in frames])
    forces = np.concatenate([frame.get_forces() for frame in frames])
    pairs = sum(len(neighbour_pairs(frame, CUTOFF)[0]) for frame in frames)
    return DatasetStatistics(
        neighbours=pairs / float(counts.sum()),
        energies=dict(zip(SPECIES, per_type_energies(counts, energies).tolist(), strict=True)),
        forces_rms=float(np.sqrt((forces**2).mean())),
    )


def processor_time(command: Sequence[str], folder: Path) -> float:
    """Run a command in a folder and return the seconds of processor time that it took."""
    with (folder / "errors.txt").open("w") as errors:
        process = Popen(command, cwd=folder, stdout=DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command)} failed in {folder}:\n{(folder / 'errors.txt').read_text()[-2000:]}")
    return usage.ru_utime + usage.ru_stime


def costs(seconds: Mapping[str, Sequence[Sequence[float]]], epochs: tuple[int, int]) -> dict[str, Any]:
    """Return the cost of an epoch and of all else from the times of short and long trainings of each round.

    For each way: `epoch` and `rest` in s, and `of_direct`, the epoch over that of `direct` in the same round.
    """
    short, long = epochs
    times = {way: np.array(rows, dtype=float) for way, rows in seconds.items()}
    slopes = {way: (rows[:, 1] - rows[:, 0]) / (long - short) for way, rows in times.items()}
    return {
        way: {
            "epoch": spread(slopes[way]),
            "rest": spread(rows[:, 0] - short * slopes[way]),
            "of_direct": spread(slopes[way] / slopes["direct"]),
        }
        for way, rows in times.items()
    }


def spread(values: np.ndarray) -> dict[str, float]:
    """Return median, least and greatest value."""
    return {"median": float(np.median(values)), "least": float(values.min()), "greatest": float(values.max())}


def epochs_to(errors: Sequence[float], target: float) -> int | None:
    """Return the first epoch, from 1, after which an error is not above ``target``; None where it never is."""
    below = np.flatnonzero(np.asarray(errors) <= target)
    return int(below[0]) + 1 if len(below) else None


def reach(
    curves: Callable[[int, int], Mapping[str, Sequence[float]]],
    sizes: Sequence[int],
    seeds: int,
    targets: Sequence[float],
) -> dict[str, Any]:
    """Return for each kind of model, target (eV/A) and size of the training set the epochs to it, one for each seed.

    :param curves: returns for a size and a seed the force errors by epoch of a model of each kind.
    """
    found = {(size, seed): curves(size, seed) for size in sizes for seed in range(1, seeds + 1)}
    return {
        kind: {
            f"{target:g}": {
                size: [epochs_to(found[size, seed][kind], target) for seed in range(1, seeds + 1)] for size in sizes
            }
            for target in targets
        }
        for kind in KINDS
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print tables and write the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("benchmark"), help="where frames and models are kept")
    parser.add_argument("--frames", type=int, default=20, help="training frames of the timed trainings")
    parser.add_argument("--epochs", type=int, nargs=2, default=[5, 25], help="epochs of the short and long trainings")
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is timed")
    parser.add_argument("--sizes", type=int, nargs="*", default=[20, 60], help="frames of the models that learn")
    parser.add_argument("--seeds", type=int, default=3, help="models of each kind and size")
    parser.add_argument("--steps", type=int, default=3000, help="optimiser steps of a model")
    parser.add_argument("--targets", type=float, nargs="+", default=[0.5, 0.4, 0.3], help="force MAE, eV/A")
    parser.add_argument("--output", type=Path, default=Path("training.json"), help="file of the numbers")
    options = parser.parse_args(arguments)
    bench = Bench(options.folder, options.frames)

    def curves(size: int, seed: int) -> dict[str, list[float]]:
        models = train_kinds(bench.study, seed, temperature=TEMPERATURE, size=size, steps=options.steps)
        return {kind: model.curve["validation_force_mae"] for kind, model in models.items()}

    report = {
        "machine": {"processor": processor(), "cores": os.cpu_count(), "load": os.getloadavg()[0]},
        "versions": {name: metadata.version(name) for name in ("aiida-sicmlip", "torch", "nequip", "nequip-allegro")},
        "frames": options.frames,
        "epochs": options.epochs,
        "rounds": options.rounds,
        "ways": bench.measure(tuple(options.epochs), options.rounds),
        "reach": reach(curves, options.sizes, options.seeds, options.targets),
    }
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    for way, entry in report["ways"].items():
        print(
            f"{way:<9}{entry['epoch']['median']:8.3f} s an epoch, {entry['rest']['median']:6.1f} s besides, "
            f"{entry['of_direct']['median']:.3f} of direct "
            f"({entry['of_direct']['least']:.3f} to {entry['of_direct']['greatest']:.3f})"
        )
    print(json.dumps(report["reach"], indent=1))
    print(f"Numbers in {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
