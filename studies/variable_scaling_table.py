"""Table and picture of what `studies.variable_scaling` has measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def columns(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a row that are compared between arms, as far as they are there."""
    numbers = {}
    if "gradient_noise" in row:
        numbers["gradient noise"] = float(np.mean(row["gradient_noise"]))
    if "variance_explained" in row:
        numbers["variance explained"] = row["variance_explained"]
    if row.get("separation"):
        numbers["hop seen (std)"] = float(np.max(row["separation"]))
    if "walker" in row:
        found = row["walker"]["heating"]
        numbers["hotter (K)"] = found["biased"]["value"] - found["others"]["value"]
        numbers["drift of the walker (eV/ps)"] = found["drift"]["value"]
        numbers["waited for a hop (ps)"] = row["walker"]["first_hop_ps"] or row["walker"]["length_ps"]
        numbers["hops"] = float(row["walker"]["first_hop_ps"] is not None)
    for step, drift in row.get("pulled_drift_by_timestep_fs", {}).items():
        numbers[f"pulled, {step} fs (eV/ps)"] = drift
    for step, drift in row.get("drift_by_timestep_fs", {}).items():
        numbers[f"NVE, {step} fs (eV/ps)"] = drift["ev_per_ps"]
    return numbers


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, tuple[float, float, int]]]:
    """Return mean, standard error and number of seeds of each column, by arm."""
    found: dict[str, dict[str, tuple[float, float, int]]] = {}
    for arm in dict.fromkeys(row["arm"] for row in rows):
        tables = [columns(row) for row in rows if row["arm"] == arm]
        found[arm] = {}
        for name in dict.fromkeys(name for table in tables for name in table):
            values = np.array([table[name] for table in tables if name in table])
            error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan
            found[arm][name] = (float(values.mean()), error, len(values))
    return found


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the columns that are there, one panel each, with a point for each seed and the mean of each arm."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    wanted = ["pulled, 1 fs (eV/ps)", "NVE, 1 fs (eV/ps)", "hotter (K)", "gradient noise", "variance explained"]
    wanted.append("waited for a hop (ps)")
    means = {arm: numbers for arm, numbers in summary(rows).items() if numbers}
    names = [name for name in wanted if any(name in numbers for numbers in means.values())]
    figure, panels = plt.subplots(1, len(names), figsize=(3.0 * len(names), 3.2), layout="constrained", sharey=True)
    panels = np.atleast_1d(panels)
    for axes, name in zip(panels, names, strict=True):
        for place, arm in enumerate(means):
            values = [columns(row).get(name, np.nan) for row in rows if row["arm"] == arm]
            axes.plot(values, [place] * len(values), "o", color="0.6", markersize=4)
            if name in means[arm]:
                mean, error, _ = means[arm][name]
                axes.errorbar(mean, place, xerr=error, fmt="|", color="C0", markersize=14, capsize=3)
        axes.set_xlabel(name)
        axes.set_yticks(range(len(means)), list(means))
    panels[0].invert_yaxis()
    figure.savefig(path, dpi=110)
    plt.close(figure)
