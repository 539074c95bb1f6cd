"""Errors along free runs against time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from aiida_sicmlip.plots.style import distinct_colours


def plot_final_run(axes: Axes, runs: Sequence[Mapping[str, Any]], threshold: float, production: float) -> Axes:
    """Draw the force MAE of each label along each run, the mean of each half, and the threshold.

    :param runs: each with `structure`, `labels` (`time` in ps, `force_mae` in eV/A), `halves` (two means or None),
        `ended_early` and `reached` (ps).
    :param threshold: eV/A.
    :param production: length that the runs should have, ps.
    """
    numbers: dict[str, int] = {}
    for colour, run in zip(distinct_colours(len(runs)), runs, strict=False):
        name = run["structure"]
        numbers[name] = numbers.get(name, 0) + 1
        several = sum(other["structure"] == name for other in runs) > 1
        label = f"{name}, run {numbers[name]}" if several else name
        labels = run["labels"]
        axes.plot(
            [entry["time"] for entry in labels],
            [entry["force_mae"] for entry in labels],
            linestyle="",
            marker="o",
            markersize=5,
            color=colour,
            label=label,
        )
        for begin, mean in zip((0.0, production / 2), run["halves"], strict=True):
            if mean is not None:
                axes.plot([begin, begin + production / 2], [mean, mean], color=colour, linewidth=1.4)
        if run["ended_early"]:
            axes.axvline(run["reached"], color=colour, linestyle=":", linewidth=1.4, label=f"{label} ended")
    axes.axhline(threshold, color="black", linestyle="--", linewidth=1, label=f"below {threshold:g} eV/Å")
    highest = max([threshold, *(entry["force_mae"] for run in runs for entry in run["labels"])])
    axes.set_ylim(0.0, 1.15 * highest)
    axes.set_xlim(0.0, 1.02 * production)
    axes.set_xlabel("time (ps)")
    axes.set_ylabel("force MAE (eV/Å)")
    axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return axes
