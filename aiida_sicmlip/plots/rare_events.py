"""Errors of forces on migrating atoms and elsewhere, as cumulative distributions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.plots.style import distinct_colours
from aiida_sicmlip.science.evaluation.rare_events import ErrorDistribution

#: Of models beside each other.
LINE_STYLES = ("-", "--", ":", "-.")


def plot_cumulative(
    axes: Axes, distributions: Mapping[str, Mapping[str, ErrorDistribution]], *, quantity: str, unit: str
) -> Axes:
    """Draw which share of the atoms has an error of at most so much: a line for each model and region.

    A line is the upper edge of the bars whose area is NAC, so that the area below it is NAC of the whole. The legend
    gives NAC and the number of atoms. Regions without atoms are left out.

    :param distributions: by model and region, all on the same bins.
    :param quantity: such as ``delta_F``, for the axis.
    :param unit: of the quantity.
    :raises InputError: when no region of any model has atoms.
    """
    regions = list(dict.fromkeys(region for found in distributions.values() for region in found))
    # Colours tell what there are several of; lines of both are told apart in print, too.
    by_model = len(regions) == 1
    names = list(distributions) if by_model else regions
    colours = dict(zip(names, distinct_colours(len(names)), strict=True))
    upper = 0.0
    for number, (model, found) in enumerate(distributions.items()):
        style = LINE_STYLES[number % len(LINE_STYLES)]
        for region, distribution in found.items():
            if not distribution.n:
                continue
            share = np.cumsum(distribution.counts) / distribution.n
            upper = max(upper, distribution.edges[-1])
            name = region if len(distributions) == 1 else f"{model}, {region}"
            axes.step(
                distribution.edges,
                np.append(share, share[-1]),
                where="post",
                color=colours[model if by_model else region],
                linestyle=style,
                linewidth=1.5,
                label=f"{name}: {distribution.nac:.3f} ({distribution.n})",
            )
    if not upper:
        raise InputError("No region has atoms whose errors are known: there is nothing to draw.")
    axes.set_xlim(0.0, upper)
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel(f"{quantity} ({unit})")
    axes.set_ylabel("share of the atoms")
    # Lines may run anywhere, so that the legend stands above.
    axes.legend(
        frameon=False,
        fontsize="small",
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        title="NAC (atoms)",
        title_fontsize="small",
        alignment="left",
    )
    return axes
