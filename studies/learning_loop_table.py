"""Table and picture of `studies.learning_loop`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aiida_sicmlip.plots import style

PANELS = {
    "biased walkers": lambda errors: errors["biased"]["force_mae"],
    "2500 K": lambda errors: errors["hot"]["force_mae"],
    "migrating atoms": lambda errors: errors["migrating"]["by_region"]["migrating"]["force_mae"],
}
"""Panels of the picture: their titles, and what they show of the errors of a round, eV/A."""
HEADER = (
    "run                            round  labels  trained  biased   hot    migr.  around    P    meV/atom  "
    "exploring  > 30 eV/A  stopped"
)


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the errors of each round, force MAE in eV/A, with labels, and walkers that were stopped early."""
    lines = [HEADER]
    for name, run in results.items():
        for entry in run["rounds"]:
            errors = entry["errors"]
            regions = errors["migrating"]["by_region"]
            walkers = [walker for walker in entry["walkers"] if walker["name"].startswith("walker")]
            stopped = sum(walker["stopped"] is not None or walker["time"] is None for walker in walkers)
            exploring = entry["of_round"].get("exploring", {}).get("force_mae", float("nan"))
            lines.append(
                f"{name:32s} {entry['round']:3d} {entry['labels']:7d} {entry['n_training']:8d} "
                f"{errors['biased']['force_mae']:8.3f} {errors['hot']['force_mae']:6.3f} "
                f"{regions['migrating']['force_mae']:7.3f} {regions['surroundings']['force_mae']:7.3f} "
                f"{errors['migrating']['score'] or float('nan'):5.2f} {1000 * errors['biased']['energy_mae']:9.1f} "
                f"{exploring:10.3f} {entry['large_labels']:10d} {stopped:4d} of {len(walkers)}"
            )
    return "\n".join(lines)


def draw(results: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw force errors on the test frames against labels: the mean of each arm, and each seed as a ring."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(PANELS), figsize=(11.0, 3.8), layout="constrained")
    arms = list(dict.fromkeys(run["arm"] for run in results.values()))
    for axes, (title, value_of) in zip(panels, PANELS.items(), strict=True):
        for place, arm in enumerate(arms):
            by_labels: dict[int, list[float]] = {}
            for run in results.values():
                for entry in run["rounds"] if run["arm"] == arm else ():
                    by_labels.setdefault(entry["labels"], []).append(value_of(entry["errors"]))
            labels = sorted(by_labels)
            means = [np.mean(by_labels[count]) for count in labels]
            axes.plot(labels, means, "o-", markersize=4, color=style.COLOURS[place], label=arm)
            for count in labels:
                values = by_labels[count]
                axes.plot([count] * len(values), values, "o", fillstyle="none", color=style.COLOURS[place], alpha=0.5)
        style.logarithmic(axes.yaxis)
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel("labels")
    panels[0].set_ylabel("force MAE on test frames (eV/Å)")
    style.add_shared_legend(panels)
    figure.savefig(path, dpi=110)
    plt.close(figure)
