"""Plot of a convergence criterion by round, with its threshold."""

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
    """Draw the values of a criterion by round, with filled markers where it is met, and shade the range that meets it.

    :param values: one for each round; None, which leaves a gap, if it is unknown.
    :param at_least: whether the value has to be at least the threshold, instead of below it.
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
    maximum = max(np.nanmax(known, initial=0.0), threshold)
    axes.set_ylim(0.0, 1.25 * maximum)
    axes.axhspan(*((threshold, 1.25 * maximum) if at_least else (0.0, threshold)), color=COLOURS[2], alpha=0.1)
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
