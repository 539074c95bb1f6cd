"""Force errors by distance from a defect, and against the disagreement of a committee."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.plots.density import draw_density
from aiida_sicmlip.plots.style import COLOURS, GREY, add_colour_bar, logarithmic
from aiida_sicmlip.science.evaluation.binned_quantiles import BinnedQuantiles

#: Pairs of quantiles between which a band is drawn, with its opacity.
BANDS = ((0.05, 0.95, 0.18), (0.25, 0.75, 0.4))


def plot_error_by_distance(
    panels: Sequence[Axes], found: BinnedQuantiles, *, boundary: float | None = None, threshold: float | None = None
) -> None:
    """Draw the force errors of atoms (eV/A) by their distance from the nearest defect (A), and their numbers below.

    Bins without atoms leave a gap.

    :param panels: one for the median with bands of quantiles, one for the number of atoms in each bin.
    :param found: of the errors in bins of the distance, with the quantiles 0.05, 0.25, 0.5, 0.75 and 0.95.
    :param boundary: distance in A up to which atoms count as near the defect.
    :param threshold: of the force error in eV/A.
    :raises InputError: when no atom lies in a bin.
    """
    if not found.counts.any():
        raise InputError(
            "No atom has a known distance from a defect: the frames fit no host, or hold no defect; give the host."
        )
    top, below = panels
    for lowest, highest, opacity in BANDS:
        top.stairs(
            found.at(highest),
            found.edges,
            baseline=found.at(lowest),
            fill=True,
            color=COLOURS[0],
            alpha=opacity,
            linewidth=0,
            label=f"{100 * lowest:.0f} to {100 * highest:.0f} % of the atoms",
        )
    top.stairs(found.at(0.5), found.edges, baseline=None, color=COLOURS[0], linewidth=1.8, label="median")
    if threshold is not None:
        top.axhline(threshold, color="black", linestyle="--", linewidth=1, label=f"threshold, {threshold:g} eV/Å")
    if boundary is not None:
        for number, axes in enumerate(panels):
            name = f"near the defect: {boundary:g} Å" if number == 0 else "_nolegend_"
            axes.axvline(boundary, color="black", linestyle=":", linewidth=1, label=name)
    logarithmic(top.yaxis)
    top.set_ylabel("force error of an atom (eV/Å)")
    top.legend(frameon=False, fontsize="small", loc="best")
    top.tick_params(labelbottom=False)
    below.stairs(found.counts, found.edges, fill=True, color=GREY, alpha=0.6)
    logarithmic(below.yaxis)
    below.set_ylim(bottom=0.5)
    below.set_ylabel("atoms")
    below.set_xlabel("distance from the nearest defect (Å)")
    top.set_xlim(found.edges[0], found.edges[-1])
    below.set_xlim(found.edges[0], found.edges[-1])


def plot_disagreement(
    axes: Axes, disagreement: np.ndarray, error: np.ndarray, *, correlation: float | None = None
) -> Axes:
    """Draw true force errors (A,) against the disagreement of a committee (A,), both in eV/A, logarithmic.

    :param correlation: rank correlation of the two, for the legend.
    :raises InputError: when fewer than two atoms have both above zero.
    """
    shown = np.isfinite(disagreement) & np.isfinite(error) & (disagreement > 0) & (error > 0)
    if np.count_nonzero(shown) < 2:
        raise InputError("Fewer than two atoms have a disagreement and an error above zero: there is nothing to draw.")
    x, y = disagreement[shown], error[shown]
    drawn = draw_density(axes, x, y, logarithmic=True)
    if drawn is not None:
        add_colour_bar(axes, drawn, "atoms per cell")
    logarithmic(axes.xaxis)
    logarithmic(axes.yaxis)
    ends = np.array([min(x.min(), y.min()), max(x.max(), y.max())])
    axes.plot(ends, ends, color="black", linestyle="--", linewidth=1, label="error = disagreement")
    axes.set_xlabel("disagreement of the committee (eV/Å)")
    axes.set_ylabel("force error of an atom (eV/Å)")
    title = None if correlation is None else f"rank correlation {correlation:.2f}"
    axes.legend(frameon=False, fontsize="small", loc="upper left", title=title, title_fontsize="small")
    return axes
