"""Plots of force errors by distance from a defect, and against the disagreement of a committee."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.plots.density import draw_density
from aiida_sicmlip.plots.style import COLOURS, GREY, add_colour_bar, logarithmic
from aiida_sicmlip.science.evaluation.binned_quantiles import BinnedQuantiles

#: Bands: lower quantile, upper quantile, opacity.
BANDS = ((0.05, 0.95, 0.18), (0.25, 0.75, 0.4))


def plot_error_by_distance(
    panels: Sequence[Axes],
    quantiles: BinnedQuantiles,
    *,
    boundaries: Sequence[float] = (),
    threshold: float | None = None,
) -> None:
    """Draw the force errors of atoms (eV/A) by their distance from the nearest defect (A), and the numbers of atoms.

    Bins without atoms leave a gap.

    :param panels: for the median with bands of quantiles, and for the number of atoms in each bin.
    :param quantiles: 0.05, 0.25, 0.5, 0.75 and 0.95 of the errors in bins of the distance.
    :param boundaries: distances up to which atoms count as near the defect, one for each kind of host, A.
    :param threshold: of the force error, eV/A.
    :raises InputError: if no atom is in a bin.
    """
    if not quantiles.counts.any():
        raise InputError(
            "No atom has a known distance from a defect: the frames have no known host or no defect; give the host."
        )
    top, bottom = panels
    for lowest, highest, opacity in BANDS:
        top.stairs(
            quantiles.at(highest),
            quantiles.edges,
            baseline=quantiles.at(lowest),
            fill=True,
            color=COLOURS[0],
            alpha=opacity,
            linewidth=0,
            label=f"{100 * lowest:.0f} to {100 * highest:.0f} % of the atoms",
        )
    top.stairs(quantiles.at(0.5), quantiles.edges, baseline=None, color=COLOURS[0], linewidth=1.8, label="median")
    if threshold is not None:
        top.axhline(threshold, color="black", linestyle="--", linewidth=1, label=f"threshold, {threshold:g} eV/Å")
    for boundary in boundaries:
        for number, axes in enumerate(panels):
            name = f"near the defect: {boundary:g} Å" if number == 0 else "_nolegend_"
            axes.axvline(boundary, color="black", linestyle=":", linewidth=1, label=name)
    logarithmic(top.yaxis)
    top.set_ylabel("force error of an atom (eV/Å)")
    top.legend(frameon=False, fontsize="small", loc="best")
    top.tick_params(labelbottom=False)
    bottom.stairs(quantiles.counts, quantiles.edges, fill=True, color=GREY, alpha=0.6)
    logarithmic(bottom.yaxis)
    bottom.set_ylim(bottom=0.5)
    bottom.set_ylabel("atoms")
    bottom.set_xlabel("distance from the nearest defect (Å)")
    top.set_xlim(quantiles.edges[0], quantiles.edges[-1])
    bottom.set_xlim(quantiles.edges[0], quantiles.edges[-1])


def plot_disagreement(
    axes: Axes, disagreement: np.ndarray, error: np.ndarray, *, correlation: float | None = None
) -> Axes:
    """Draw force errors against the disagreement of a committee on logarithmic axes.

    :param disagreement: of each atom, (N,), eV/A.
    :param error: force error of each atom, (N,), eV/A.
    :param correlation: rank correlation of the two, for the legend.
    :raises InputError: if fewer than two atoms have both above zero.
    """
    shown = np.isfinite(disagreement) & np.isfinite(error) & (disagreement > 0) & (error > 0)
    if np.count_nonzero(shown) < 2:
        raise InputError("Fewer than two atoms have a disagreement and an error above zero; there is nothing to draw.")
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
