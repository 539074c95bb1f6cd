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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aiida_sicmlip.common import filenames
from aiida_sicmlip.science.pines.export import CollectiveVariableModel, read_model, write_model
from aiida_sicmlip.science.pines.layout import PivLayout
from aiida_sicmlip.science.pines.piv import pair_distances
from aiida_sicmlip.science.pines.settings import AutoencoderSettings, SwitchingFunction
from aiida_sicmlip.science.pines.training import train_autoencoder
from studies.variable_scaling_runs import NVE_TIMESTEPS, Arm, Study, constant_energy, pulled, walk, without_bias
from studies.variable_scaling_table import columns, draw, summary

MEASURED = (
    "variance_explained",
    "gradient_noise",
    "pulled_drift_by_timestep_fs",
    "separation",
    "walker",
    "drift_by_timestep_fs",
)
"""Keys of a row, in the order in which they are filled in for all arms and seeds."""


ARMS = {
    "entry": Arm("entry", 3.2, 6),
    "block": Arm("block", 3.2, 6),
    "vector": Arm("vector", 3.2, 6),
    "entry, 2.6 A": Arm("entry", 2.6, 8),
    "block, 2.6 A": Arm("block", 2.6, 8),
    "vector, 2.6 A": Arm("vector", 2.6, 8),
}


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
    first, second = study.before_and_after(model, seed)
    return (np.abs(second.mean(0) - first.mean(0)) / first.std(0)).tolist() if len(second) else None


def measurements(study: Study, name: str, seed: int) -> dict[str, Callable[[], Any]]:
    """Return what is measured of an arm and a seed, by its key in the row; the cheapest first."""
    arm = ARMS[name]
    folder = study.folder / re.sub(r"\W+", "_", name) / f"seed_{seed:03d}"

    def model() -> CollectiveVariableModel:
        return train(study, folder / "variables", arm, seed)

    return {
        "variance_explained": lambda: model().description["variance_explained"]["training"],
        "gradient_noise": lambda: gradient_noise(model(), study.quick_frames(seed), study.atoms.cell.array),
        "pulled_drift_by_timestep_fs": lambda: pulled(study, model(), folder, seed),
        "separation": lambda: separation(study, model(), seed),
        "walker": lambda: walk(study, folder / "walker", folder / "variables", arm, seed),
        "drift_by_timestep_fs": lambda: {
            f"{1000 * timestep:g}": constant_energy(folder / "walker", folder / f"nve_{1000 * timestep:g}", timestep)
            for timestep in NVE_TIMESTEPS
        },
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
