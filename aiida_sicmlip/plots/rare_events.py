"""Plot of cumulative distributions of force errors on migrating and other atoms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.plots.style import distinct_colours
from aiida_sicmlip.science.evaluation.rare_events import ErrorDistribution

#: Line styles of models.
LINE_STYLES = ("-", "--", ":", "-.")


def plot_cumulative(
    axes: Axes, distributions: Mapping[str, Mapping[str, ErrorDistribution]], *, quantity: str, unit: str
) -> Axes:
    """Draw the cumulative distribution of errors, a line for each model and region.

    The normalised area below a line is NAC. The legend gives NAC and the number of atoms. Regions without atoms are not
    drawn.

    :param distributions: by model and region, with the same bins.
    :param quantity: such as ``delta_F``, for the axis.
    :param unit: of the quantity.
    :raises InputError: if no region of any model has atoms.
    """
    regions = list(dict.fromkeys(region for of_model in distributions.values() for region in of_model))
    # Colours distinguish regions, or models if there is one region; line styles distinguish models.
    by_model = len(regions) == 1
    names = list(distributions) if by_model else regions
    colours = dict(zip(names, distinct_colours(len(names)), strict=True))
    upper = 0.0
    for number, (model, of_model) in enumerate(distributions.items()):
        style = LINE_STYLES[number % len(LINE_STYLES)]
        for region, distribution in of_model.items():
            if not distribution.n:
                continue
            fraction = np.cumsum(distribution.counts) / distribution.n
            upper = max(upper, distribution.edges[-1])
            name = region if len(distributions) == 1 else f"{model}, {region}"
            axes.step(
                distribution.edges,
                np.append(fraction, fraction[-1]),
                where="post",
                color=colours[model if by_model else region],
                linestyle=style,
                linewidth=1.5,
                label=f"{name}: {distribution.nac:.3f} ({distribution.n})",
            )
    if not upper:
        raise InputError("No region has atoms with known errors; there is nothing to draw.")
    axes.set_xlim(0.0, upper)
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel(f"{quantity} ({unit})")
    axes.set_ylabel("fraction of the atoms")
    # Above the axes, since lines may be anywhere.
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
