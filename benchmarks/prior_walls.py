"""Does a Lennard-Jones prior keep atoms apart where a potential has no data? Hot runs of small, cold training sets.

A divacancy in 3C-SiC (62 atoms). Models with and without the prior, alike in everything else, learn 20 frames of EDIP
at 300 K. Each then runs at 3000 K with `sicmlip-lmp`, several times, and EDIP itself does for comparison. Two atoms
overlap where they are nearer than 0.7 of the sum of their covalent radii.

    python benchmarks/prior_walls.py studies

writes models, runs, `prior_walls.json` and the picture `prior_walls.png` into the folder `studies`. It takes about a
quarter of an hour on one core. What is there is not made again; for other settings take another folder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from edip_runs import POTENTIAL_COMMANDS, SPECIES, program, write_run
from prior_accuracy import train_both
from small_models import KINDS, Study, Trained, errors_on

from aiida_sicmlip.common import filenames
from aiida_sicmlip.science.crystals import frames_with_overlap
from aiida_sicmlip.science.exploration import ExplorationSettings
from aiida_sicmlip.science.io.dcd import read_dcd
from aiida_sicmlip.science.io.lammps_log import RunEnd, find_errors, parse_thermo

OVERLAP = 0.7
"""Of the sum of the covalent radii."""
TITLES = {"none": "without the prior", "lennard-jones": "with the prior", "edip": "EDIP"}


def compiled(model: Trained) -> Path:
    """Return the model compiled for `pair_style allegro`, compiling it unless it is there."""
    target = model.folder / filenames.COMPILED_MODEL_FILE
    if not target.exists():
        program("aiida_sicmlip.engine.potential_cli", "compile", str(model.package), folder=model.folder)
    return target


def run(folder: Path, atoms: Atoms, settings: ExplorationSettings, seed: int, commands: Sequence[str]) -> None:
    """Run in ``folder``, unless the run is there; it may fail, which is what the study is about."""
    finished = folder / "exit_status"
    if finished.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_run(folder, atoms, settings, seed, potential_commands=commands)
    command = [sys.executable, "-m", "aiida_sicmlip.engine.lmp", "-in", filenames.LAMMPS_INPUT_FILE]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    finished.write_text(f"{done.returncode}\n{done.stderr}")


def describe(folder: Path, atoms: Atoms, settings: ExplorationSettings) -> dict[str, Any]:
    """Return what happened in a run.

    Times are in ps, distances in A, temperatures in K. `overlap`: the time of the first frame in which two atoms
    overlap, null without. `end` is `complete`, or the reason why the run ended before its time.
    """
    log = (folder / filenames.LAMMPS_LOG_FILE).read_text()
    thermo = parse_thermo(log)
    kept = thermo["Production"]
    times = thermo["Step"][kept] * settings.timestep
    distances, temperatures = thermo["c_least_distance"][kept], thermo["Temp"][kept]
    positions, _ = read_dcd(folder / filenames.TRAJECTORY_FILE)
    finite = np.isfinite(positions).all(axis=(1, 2))
    overlapping = np.flatnonzero(frames_with_overlap(positions[finite], atoms.cell.array, atoms.numbers, OVERLAP))
    return {
        "end": how_it_ended(find_errors(log, (folder / "exit_status").read_text())),
        "end_time": float(times[-1]),
        "overlap": float(overlapping[0] * settings.frame_interval) if len(overlapping) else None,
        "lowest_distance": float(np.nanmin(distances)),
        "highest_temperature": float(np.nanmax(temperatures)),
        "times": times.tolist(),
        "distances": distances.tolist(),
    }


def how_it_ended(end: RunEnd) -> str:
    """Return one word or two for the end of a run."""
    if end.lost_atoms:
        return "lost atoms"
    if end.halted_temperature:
        return "too hot"
    if end.finished:
        return "complete"
    return "; ".join(end.errors) or "killed"


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return numbers of runs of one kind: overlaps and their times, ends, lowest distance and highest temperature.

    The median of the first overlap counts runs without one as later than any; null where that is the half of them.
    """
    overlaps = sorted(np.inf if one["overlap"] is None else one["overlap"] for one in runs)
    median = float(np.median(overlaps)) if np.isfinite(overlaps[len(overlaps) // 2]) else None
    return {
        "runs": len(runs),
        "with_overlap": int(np.isfinite(overlaps).sum()),
        "first_overlap_median": median,
        "first_overlap_earliest": overlaps[0] if np.isfinite(overlaps[0]) else None,
        "ends": {end: sum(one["end"] == end for one in runs) for end in sorted({one["end"] for one in runs})},
        "lowest_distance": min(one["lowest_distance"] for one in runs),
        "lowest_distance_median": float(np.median([one["lowest_distance"] for one in runs])),
        "highest_temperature": max(one["highest_temperature"] for one in runs),
    }


def draw(kinds: Mapping[str, Sequence[Mapping[str, Any]]], bond: float, path: Path) -> None:
    """Draw the least distance of each run against time, a panel a kind."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(kinds), figsize=(10, 3.4), sharex=True, sharey=True, layout="constrained")
    for axes, (kind, runs) in zip(panels, kinds.items(), strict=True):
        for one in runs:
            (line,) = axes.plot(one["times"], one["distances"], linewidth=0.7, alpha=0.8)
            if one["end"] != "complete":
                axes.plot(one["times"][-1], one["distances"][-1], "x", color=line.get_color())
        axes.axhline(OVERLAP * bond, color="black", linestyle="--", linewidth=1)
        axes.set_title(TITLES[kind], fontsize="medium")
        axes.set_xlabel("time (ps)")
    panels[0].set_ylabel("least distance of two atoms (Å)")
    panels[0].set_ylim(bottom=0.0)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; temperatures are in K, lengths in ps."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where to write everything")
    parser.add_argument("--frames", type=int, default=20, help="frames of a training set")
    parser.add_argument("--training-temperature", type=float, default=300.0, help="of the training set")
    parser.add_argument("--steps", type=int, default=2000, help="optimiser steps of a training")
    parser.add_argument("--models", type=int, default=2, help="trainings of each kind, each with frames of its own")
    parser.add_argument("--temperature", type=float, default=3000.0, help="of the runs")
    parser.add_argument("--runs", type=int, default=3, help="runs of each model, and of EDIP for each training")
    parser.add_argument("--length", type=float, default=5.0, help="of a run")
    return parser.parse_args(words)


def main() -> None:
    """Do the study, print its numbers and draw the picture."""
    options = arguments()
    study = Study(options.folder)
    settings = ExplorationSettings(
        temperature=options.temperature, equilibration=0.0, production=options.length, frame_interval=0.01
    )
    held_out = study.frames(options.training_temperature, options.frames, 91)
    kinds: dict[str, list[dict[str, Any]]] = {kind: [] for kind in (*KINDS, "edip")}
    training = []
    for model_seed in range(1, options.models + 1):
        models = train_both(
            study,
            model_seed,
            temperature=options.training_temperature,
            size=options.frames,
            steps=options.steps,
        )
        commands = {"edip": POTENTIAL_COMMANDS}
        for kind, model in models.items():
            errors = errors_on(model, held_out)
            training.append({"kind": kind, "seed": model_seed, "force_mae": errors.force_mae})
            print(training[-1], flush=True)
            commands[kind] = ["pair_style allegro", f"pair_coeff * * {compiled(model)} {' '.join(SPECIES)}"]
        for kind, entries in kinds.items():
            for number in range(1, options.runs + 1):
                seed = 100 * model_seed + number
                folder = study.folder / "hot" / f"{kind}_{seed}"
                run(folder, study.atoms, settings, seed, commands[kind])
                entries.append({"model": model_seed, "seed": seed, **describe(folder, study.atoms, settings)})
                shown = {name: value for name, value in entries[-1].items() if name not in ("times", "distances")}
                print(kind, shown, flush=True)
    results = {"temperature": options.temperature, "length": options.length, "training": training}
    results["kinds"] = {kind: summary(entries) for kind, entries in kinds.items()}
    results["runs"] = kinds
    (study.folder / "prior_walls.json").write_text(json.dumps(results) + "\n")
    print(json.dumps(results["kinds"], indent=1))
    draw(kinds, study.bond, study.folder / "prior_walls.png")


if __name__ == "__main__":
    main()
