"""A criterion of convergence by round, with its threshold."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from aiida_sicmlip.plots.style import COLOURS


def plot_criterion(
    axes: Axes,
    rounds: Sequence[int],
    values: Sequence[float | None],
    threshold: float,
    *,
    name: str,
    unit: str = "",
    at_least: bool = False,
) -> Axes:
    """Draw the value of a criterion by round, filled where it is met, with the side of its threshold that meets it.

    :param values: one for each round; None where it is not known, which leaves a gap.
    :param at_least: whether the value has to be at least the threshold; else it has to be below it.
    """
    known = np.array([np.nan if value is None else value for value in values], dtype=float)
    met = known >= threshold if at_least else known < threshold
    axes.plot(rounds, known, color=COLOURS[0], linewidth=1.4)
    for shown, face in ((met, COLOURS[0]), (~met & np.isfinite(known), "white")):
        where = np.flatnonzero(shown)
        axes.plot(
            np.asarray(rounds)[where],
            known[where],
            linestyle="",
            marker="o",
            markersize=6,
            markerfacecolor=face,
            markeredgecolor=COLOURS[0],
        )
    greatest = max(np.nanmax(known, initial=0.0), threshold)
    axes.set_ylim(0.0, 1.25 * greatest)
    axes.axhspan(*((threshold, 1.25 * greatest) if at_least else (0.0, threshold)), color=COLOURS[2], alpha=0.1)
    sign = "at least" if at_least else "below"
    label = f"{sign} {threshold:g} {unit}".rstrip()
    axes.axhline(threshold, color="black", linestyle="--", linewidth=1, label=label)
    axes.set_xlim(rounds[0] - 0.5, rounds[-1] + 0.5)
    axes.set_xticks(list(rounds))
    axes.set_xlabel("round")
    axes.set_ylabel(unit.replace("/A", "/Å"))
    axes.set_title(textwrap.fill(name, 34), fontsize="small")
    axes.legend(frameon=False, fontsize="small")
    return axes
