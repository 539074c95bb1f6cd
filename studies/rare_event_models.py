"""Has the potential with the lower mean force error also the better forces on migrating atoms?

A divacancy in 3C-SiC (62 atoms), labels of EDIP. Models that differ in seed, size and kind of the training set, weights
of the loss and prior are ranked by two measures: the mean absolute force error over all atoms of held-out frames, and
the score P of `sicmlip score` on the migrating atoms of frames of hot runs.

    python -m studies.rare_event_models benchmark

writes `rare_event_models.json` and a picture into the folder `benchmark`, in which the models of `prior_accuracy.py`
are taken where they are. It takes some ten minutes on one core beyond that study's quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import write
from scipy.stats import spearmanr

from aiida_sicmlip.engine.reports import read_json
from aiida_sicmlip.science.defects.migrating_atoms import DefectFinder
from aiida_sicmlip.science.evaluation.rare_events import score_forces
from studies.edip_runs import program
from studies.options import model_study_parser
from studies.prior_accuracy import HELD_OUT_SEED, N_VALIDATION, train_kinds, training_settings
from studies.small_models import Study, Trained, errors_on, predict

HOT = 2500.0
"""K; the divacancy often comes near to a hop."""
RUN_FRAMES = 300
"""Frames, 0.1 ps apart, of a hot run that is searched for migrating atoms."""
N_ADDED = 20
"""Frames that the mixed training sets have instead of as many at the temperature of the training."""
RESAMPLES = 1000
PRIORS = {"none": "", "fitted": ", fitted prior", "wall": ", walls", "zbl": ", ZBL"}


def migrating_frames(study: Study, seeds: Sequence[int]) -> list[Atoms]:
    """Return the frames of hot runs in which an atom is migrating."""
    finder = DefectFinder(study.host)
    frames = [frame for seed in seeds for frame in study.frames(HOT, RUN_FRAMES, seed)]
    return [frame for frame in frames if finder.find(frame).migrating.any()]


def train_all(study: Study, options: argparse.Namespace) -> dict[str, dict[str, Trained]]:
    """Return the models by group and seed.

    Groups: those of `prior_accuracy.py`; and, with the largest number of frames, `energies` with a hundredfold weight
    of the energies, `hot` with frames of 2500 K alone, and two with `N_ADDED` frames replaced: `mixed` by frames of
    2500 K, `migrating` by such in which an atom is migrating.
    """
    groups: dict[str, dict[str, Trained]] = {}
    for size in options.sizes:
        for seed in range(1, options.seeds + 1):
            both = train_kinds(study, seed, temperature=options.temperature, size=size, steps=options.steps)
            for kind, model in both.items():
                groups.setdefault(f"{size} frames" + PRIORS[kind], {})[str(seed)] = model
    size = max(options.sizes)
    validation = study.frames(options.temperature, N_VALIDATION, HELD_OUT_SEED + 1)
    for seed in range(1, options.further_seeds + 1):
        cold, hot = study.frames(options.temperature, size, seed), study.frames(HOT, size, 300 + seed)
        jumping = migrating_frames(study, [2 * seed + 399, 2 * seed + 400])
        sets = {
            "energies": cold,
            "hot": hot,
            "mixed": cold[:-N_ADDED] + hot[:N_ADDED],
            "migrating": cold[:-N_ADDED] + jumping[:N_ADDED],
        }
        for name, training in sets.items():
            settings = training_settings(len(training), options.steps, seed)
            if name == "energies":
                settings["loss"] = {"energy": 100.0}
            model = study.train(f"{name}_{size}_seed_{seed}", training, validation, settings)
            groups.setdefault(f"{size} frames, {name}", {})[str(seed)] = model
            print(f"{name}, seed {seed}: {model.report['best']['validation']['force_mae']:.3f} eV/A", flush=True)
    return groups


def score(study: Study, model: Trained, frames: Sequence[Atoms], reference: Path) -> dict[str, Any]:
    """Return the scores of the regions that `sicmlip score` gives a model, and its forces on the migrating atoms."""
    folder = model.folder
    predicted = predict(model.package, frames)
    write(folder / "prediction.extxyz", predicted)
    host = study.folder / "host.extxyz"
    program(
        "aiida_sicmlip.engine.programs.main",
        "score",
        str(reference),
        "prediction.extxyz",
        "--host",
        str(host),
        folder=folder,
    )
    report = read_json(folder / "score.json", "report")
    forces = [frame.get_forces()[entry["migrating"]] for frame, entry in zip(predicted, report["frames"], strict=True)]
    return {"regions": report["regions"], "forces": forces}


def rank_correlation(plain: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Return how two rankings of models agree: by ascending mean error, and by descending score.

    `spearman`: rank correlation, 1 where the model with the lower error always has the higher score.
    `agreeing_pairs`: share of the pairs of models in which it has; pairs with equal values count as not.
    """
    pairs = list(combinations(range(len(plain)), 2))
    agreeing = [(plain[i] - plain[j]) * (scores[i] - scores[j]) < 0 for i, j in pairs]
    return {"spearman": float(-spearmanr(plain, scores).statistic), "agreeing_pairs": float(np.mean(agreeing))}


def interval(
    plain: np.ndarray, predicted: Sequence[Sequence[np.ndarray]], reference: Sequence[np.ndarray], seed: int = 1
) -> dict[str, Any]:
    """Return 95 % intervals of the rank correlation and the standard error of each P, from bootstrap samples of frames.

    :param plain: mean error of each model. :param predicted: for each model, forces on the migrating atoms by frame.
    :param reference: the true ones.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(RESAMPLES):
        chosen = rng.integers(len(reference), size=len(reference))
        true = np.concatenate([reference[index] for index in chosen])
        drawn.append([score_forces(np.concatenate([model[i] for i in chosen]), true).score for model in predicted])
    scores = np.array(drawn, dtype=float)
    correlations = [rank_correlation(plain, row)["spearman"] for row in scores]
    return {
        "spearman": [float(value) for value in np.quantile(correlations, [0.025, 0.975])],
        "standard_errors": scores.std(axis=0, ddof=1).tolist(),
    }


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw P against the mean force error, a colour a group."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.5, 4.0), layout="constrained")
    for number, group in enumerate(dict.fromkeys(row["group"] for row in rows)):
        mine = [row for row in rows if row["group"] == group]
        axes.errorbar(
            [row["force_mae"] for row in mine],
            [row["migrating"]["score"] for row in mine],
            [row["migrating"]["standard_error"] for row in mine],
            marker="osD^vP*X"[number % 8],
            linestyle="none",
            label=group,
            capsize=2,
        )
    axes.set_xlabel("force MAE over all atoms of held-out frames (eV/Å)")
    axes.set_ylabel("P of the migrating atoms")
    axes.legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the models as text, in the order of the mean force error."""
    lines = [f"{'model':<32}{'MAE 1500 K':>11}{'MAE hot':>9}{'MAE migr.':>10}{'P all':>8}{'P migrating':>18}"]
    for row in sorted(rows, key=lambda row: row["force_mae"]):
        here, everywhere = row["migrating"], row["all"]
        lines.append(
            f"{row['group'] + ', seed ' + row['seed']:<32}{row['force_mae']:11.3f}{everywhere['force_mae']:9.3f}"
            f"{here['force_mae']:10.3f}{everywhere['score']:8.3f}{here['score']:10.3f} +- {here['standard_error']:.3f}"
        )
    return "\n".join(lines)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; the first options are those of `prior_accuracy.py`."""
    parser = model_study_parser(__doc__)
    parser.add_argument("--further-seeds", type=int, default=2, help="trainings of each further kind")
    parser.add_argument("--hot-runs", type=int, default=8, help="hot runs that are searched for migrating atoms")
    return parser.parse_args(words)


def main() -> None:
    """Do the study, print its table and draw the picture."""
    options = arguments()
    study = Study(options.folder)
    groups = train_all(study, options)
    held_out = study.frames(options.temperature, options.held_out, HELD_OUT_SEED)
    frames = migrating_frames(study, range(201, 201 + options.hot_runs))
    reference = study.folder / "reference.extxyz"
    write(reference, frames)
    write(study.folder / "host.extxyz", study.host)
    rows, predicted = [], []
    for group, models in groups.items():
        for seed, model in models.items():
            found = score(study, model, frames, reference)
            predicted.append(found["forces"])
            plain = errors_on(model, held_out).force_mae
            rows.append({"group": group, "seed": seed, "force_mae": plain, **found["regions"]})
    finder = DefectFinder(study.host)
    true = [frame.get_forces()[finder.find(frame).migrating] for frame in frames]
    plain = np.array([row["force_mae"] for row in rows])
    drawn = interval(plain, predicted, true)
    for row, error in zip(rows, drawn.pop("standard_errors"), strict=True):
        row["migrating"]["standard_error"] = error
    results: dict[str, Any] = {"frames": len(frames), "migrating_atoms": sum(len(forces) for forces in true)}
    for name, errors in (("held_out", plain), ("same_frames", np.array([row["all"]["force_mae"] for row in rows]))):
        results[name] = rank_correlation(errors, np.array([row["migrating"]["score"] for row in rows]))
    results["held_out"]["spearman_interval"] = drawn["spearman"]
    print(table(rows))
    print(json.dumps(results, indent=1))
    (study.folder / "rare_event_models.json").write_text(json.dumps({**results, "models": rows}, indent=1) + "\n")
    draw(rows, study.folder / "rare_event_models.png")


if __name__ == "__main__":
    main()
