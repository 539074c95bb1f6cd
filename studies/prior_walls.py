"""Does a Lennard-Jones prior keep atoms apart where a potential has no data? Hot runs of small, cold training sets.

A divacancy in 3C-SiC (62 atoms). Models without a prior, with the fitted one, with its walls alone and with the
screened repulsion of nuclei (ZBL), alike in everything else, learn 20 frames of EDIP at 300 K. Each then runs at
3000 K, several times (ASE, Langevin, on the packaged model), and EDIP itself does for comparison. Two atoms overlap
where they are nearer than 0.7 of the sum of their covalent radii. A run ends 0.5 ps after the first overlap.

    python -m studies.prior_walls benchmark

writes models, runs, `prior_walls.json` and the picture `prior_walls.png` into the folder `benchmark`. It takes about
ten minutes on one core. What is there is not made again; for other settings take another folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.langevin import Langevin

from aiida_sicmlip.engine.classical_potential import ClassicalPotential
from aiida_sicmlip.engine.reports import read_json
from aiida_sicmlip.science.defects.crystals import frames_with_overlap
from studies.edip_runs import POTENTIAL_COMMANDS, SPECIES
from studies.options import study_parser
from studies.prior_accuracy import train_kinds
from studies.small_models import KINDS, Study, Trained, errors_on

OVERLAP = 0.7
"""Of the sum of the covalent radii."""
TIMESTEP, BETWEEN_ROWS = 0.001, 10
"""Time step in ps, and steps from one row to the next."""
AFTERWARDS = 0.5
"""Time in ps that a run goes on after the first overlap."""
TOO_HOT = 5.0
"""A run ends when it gets hotter than so many times its thermostat."""
TITLES = {
    "none": "no prior",
    "fitted": "fitted prior",
    "wall": "walls alone",
    "zbl": "nuclear repulsion (ZBL)",
    "edip": "EDIP itself",
}

Compute = Callable[[Atoms], tuple[float, np.ndarray]]


class Potential(Calculator):
    """A function that returns energy (eV) and forces (N, 3) (eV/A) as a calculator of ASE."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012 - ASE has it so

    def __init__(self, compute: Compute) -> None:
        super().__init__()
        self._compute = compute

    def calculate(
        self, atoms: Atoms | None = None, properties: Sequence[str] = (), system_changes: Sequence[str] = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results["energy"], self.results["forces"] = self._compute(self.atoms)


def run(start: Atoms, compute: Compute, temperature: float, length: float, seed: int) -> dict[str, Any]:
    """Run molecular dynamics and return what happened.

    Times are in ps, distances in A, temperatures in K, a row each :data:`BETWEEN_ROWS` steps. `overlap`: the time of
    the first row in which two atoms overlap, null without. `end`: `complete`, `overlap`, `too hot`, or `not finite`.
    """
    atoms = start.copy()
    atoms.calc = Potential(compute)
    rng = np.random.default_rng(seed)
    widths = np.sqrt(units.kB * temperature / atoms.get_masses())[:, None]
    atoms.set_velocities(widths * rng.normal(size=(len(atoms), 3)))
    dynamics = Langevin(
        atoms, 1000 * TIMESTEP * units.fs, temperature_K=temperature, friction=0.01 / units.fs, fixcm=False, rng=rng
    )
    rows: dict[str, list[float]] = {"times": [], "distances": [], "temperatures": []}
    overlap, end = None, "complete"
    for row in range(round(length / TIMESTEP / BETWEEN_ROWS) + 1):
        if row:
            dynamics.run(BETWEEN_ROWS)
        time = row * BETWEEN_ROWS * TIMESTEP
        if not np.isfinite(atoms.positions).all():
            end = "not finite"
            break
        distances = atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)]
        for name, value in zip(rows, (time, distances.min(), atoms.get_temperature()), strict=True):
            rows[name].append(float(value))
        overlaps = frames_with_overlap(atoms.positions[None], atoms.cell.array, atoms.numbers, OVERLAP)[0]
        if overlap is None and overlaps:
            overlap = time
        if atoms.get_temperature() > TOO_HOT * temperature:
            end = "too hot"
            break
        if overlap is not None and time - overlap >= AFTERWARDS - 1e-9:
            end = "overlap"
            break
    return {
        "end": end,
        "overlap": overlap,
        "lowest_distance": min(rows["distances"]),
        "highest_temperature": max(rows["temperatures"]),
        **rows,
    }


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

    figure, panels = plt.subplots(1, len(kinds), figsize=(13, 3.2), sharex=True, sharey=True, layout="constrained")
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
    parser = study_parser(__doc__)
    parser.add_argument("--frames", type=int, default=20, help="frames of a training set")
    parser.add_argument("--training-temperature", type=float, default=300.0, help="of the training set")
    parser.add_argument("--steps", type=int, default=2000, help="optimiser steps of a training")
    parser.add_argument("--models", type=int, default=2, help="trainings of each kind, each with frames of its own")
    parser.add_argument("--temperature", type=float, default=3000.0, help="of the runs")
    parser.add_argument("--runs", type=int, default=2, help="runs of each model, and of EDIP for each training")
    parser.add_argument("--length", type=float, default=1.0, help="of a run")
    return parser.parse_args(words)


def main() -> None:
    """Do the study, print its numbers and draw the picture."""
    options = arguments()
    study = Study(options.folder)
    held_out = study.frames(options.training_temperature, options.frames, 91)
    kinds: dict[str, list[dict[str, Any]]] = {kind: [] for kind in (*KINDS, "edip")}
    training = []
    with ClassicalPotential(SPECIES, POTENTIAL_COMMANDS) as edip:
        for number in range(1, options.models + 1):
            models = train_kinds(
                study, number, temperature=options.training_temperature, size=options.frames, steps=options.steps
            )
            potentials: dict[str, Compute] = {"edip": edip.compute}
            for kind, model in models.items():
                training.append({"kind": kind, "model": number, "force_mae": errors_on(model, held_out).force_mae})
                print(training[-1], flush=True)
                potentials[kind] = packaged(model)
            for kind, entries in kinds.items():
                for seed in range(100 * number + 1, 100 * number + options.runs + 1):
                    kept = study.folder / "hot" / f"{kind}_{seed}.json"
                    if not kept.exists():
                        kept.parent.mkdir(exist_ok=True)
                        found = run(study.atoms, potentials[kind], options.temperature, options.length, seed)
                        kept.write_text(json.dumps(found))
                    entries.append({"model": number, "seed": seed, **read_json(kept, "run")})
                    shown = {name: value for name, value in entries[-1].items() if not isinstance(value, list)}
                    print(kind, shown, flush=True)
    results = {"temperature": options.temperature, "length": options.length, "training": training}
    results["kinds"] = {kind: summary(entries) for kind, entries in kinds.items()}
    results["runs"] = kinds
    (study.folder / "prior_walls.json").write_text(json.dumps(results) + "\n")
    print(json.dumps(results["kinds"], indent=1))
    draw(kinds, study.bond, study.folder / "prior_walls.png")


def packaged(model: Trained) -> Compute:
    """Return what computes energy and forces with a model."""
    from aiida_sicmlip.engine.packaged_model import PackagedModel

    return PackagedModel.load(model.package).compute


if __name__ == "__main__":
    main()
