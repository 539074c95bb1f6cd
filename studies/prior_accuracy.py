"""Is a potential with a prior as accurate as one without? The same data, network and seeds, with and without it.

A divacancy in 3C-SiC (62 atoms), labels of EDIP. For each seed a run of its own gives the training sets, the smaller
ones being beginnings of the larger. Models have no prior, the fitted Lennard-Jones prior, its walls alone
(`prior.wall_only`), or the screened repulsion of nuclei (ZBL), and take as many optimiser steps. Errors are those on
frames of other runs, at the temperature of the training and at a higher one.

    python -m studies.prior_accuracy benchmark

writes frames, models and `prior_accuracy.json` into the folder `benchmark`. It takes about a quarter of an hour on one
core. What is there is not made again; for other settings take another folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms

from studies.options import model_study_parser
from studies.small_models import KINDS, Study, Trained, errors_on

N_VALIDATION = 5
HELD_OUT_SEED = 91
"""Seed of the runs that are held out; of those for the choice of the best weights, the next one."""
MEASURES = ("force_mae", "energy_mae")


def training_settings(n_frames: int, steps: int, seed: int) -> dict[str, Any]:
    """Return settings of a training of so many optimiser steps, one frame each."""
    return {
        "maximum_steps": steps,
        "validation_interval": n_frames,
        "loss": {"huber_delta": None, "final_energy": None},
        "optimiser": {"learning_rate": 0.01, "average_decay": None},
        "seeds": {"model": seed, "data": seed},
    }


def train_kinds(study: Study, seed: int, *, temperature: float, size: int, steps: int) -> dict[str, Trained]:
    """Return a model of each kind, of the same data and seed."""
    training = study.frames(temperature, size, seed)
    validation = study.frames(temperature, N_VALIDATION, HELD_OUT_SEED + 1)
    settings = training_settings(size, steps, seed)
    return {
        kind: study.train(f"{temperature:g}K_{size}_{kind}_seed_{seed}", training, validation, settings, prior)
        for kind, prior in KINDS.items()
    }


def compare(errors: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return what one error of models of each kind tells; the values of a seed stand at the same place.

    For each kind the values, their mean and its standard error; and the same of the differences from the models without
    a prior, as `difference`: what data and seed do to all kinds is not in it. With one seed there is no error.
    """

    def spread(values: np.ndarray) -> dict[str, Any]:
        error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
        return {"mean": float(values.mean()), "standard_error": error}

    numbers = {kind: np.array(errors[kind]) for kind in KINDS}
    return {
        kind: {"values": values.tolist(), **spread(values), "difference": spread(values - numbers["none"])}
        for kind, values in numbers.items()
    }


def study_size(
    study: Study, held_out: Mapping[str, Sequence[Atoms]], options: argparse.Namespace, size: int
) -> dict[str, Any]:
    """Train models of each kind and seed with ``size`` frames, and compare the errors on held-out frames."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {name: {kind: [] for kind in KINDS} for name in held_out}
    for seed in range(1, options.seeds + 1):
        models = train_kinds(study, seed, temperature=options.temperature, size=size, steps=options.steps)
        for kind, model in models.items():
            for name, frames in held_out.items():
                errors = errors_on(model, frames)
                found[name][kind].append({measure: getattr(errors, measure) for measure in MEASURES})
            print(f"{size} frames, seed {seed}, {kind}: {found[next(iter(held_out))][kind][-1]}", flush=True)
    return {
        name: {
            measure: compare({kind: [entry[measure] for entry in entries] for kind, entries in kinds.items()})
            for measure in MEASURES
        }
        for name, kinds in found.items()
    }


def table(results: Mapping[str, Any]) -> str:
    """Return the results as text: means with standard errors, and differences from the models without a prior."""
    lines = [f"{'frames':>7} {'held out at':>12} {'error':>11} {'prior':>7} {'mean':>19} {'difference':>19}"]
    for size, temperatures in results["sizes"].items():
        for name, measures in temperatures.items():
            for measure, kinds in measures.items():
                for kind, entry in kinds.items():
                    cells = (
                        f"{part['mean']:10.4f} +- {part['standard_error'] or 0.0:.4f}"
                        for part in (entry, entry["difference"])
                    )
                    lines.append(f"{size:>7} {name:>12} {measure:>11} {kind:>7} " + " ".join(cells))
    return "\n".join(lines)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; temperatures are in K, energies in eV."""
    parser = model_study_parser(__doc__)
    parser.add_argument("--hot", type=float, default=2500.0, help="temperature of further held-out frames")
    return parser.parse_args(words)


def main() -> None:
    """Do the study and print its table."""
    options = arguments()
    study = Study(options.folder)
    held_out = {
        f"{temperature:g} K": study.frames(temperature, options.held_out, HELD_OUT_SEED)
        for temperature in (options.temperature, options.hot)
    }
    results = {
        "steps": options.steps,
        "units": {"force_mae": "eV/A", "energy_mae": "eV/atom"},
        "sizes": {size: study_size(study, held_out, options, size) for size in options.sizes},
    }
    (options.folder / "prior_accuracy.json").write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
