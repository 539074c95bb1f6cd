"""Plot of points in a plane: as a density if there are many, which would overlap, and individually otherwise."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm

from aiida_sicmlip.plots.style import COLOURS

#: Largest number of points drawn individually.
FEW_POINTS = 500
CELLS = 60
"""Number of hexagons along the x axis."""


def draw_density(axes: Axes, x: np.ndarray, y: np.ndarray, *, logarithmic: bool = False) -> ScalarMappable | None:
    """Draw up to :data:`FEW_POINTS` points individually, and more as hexagons coloured by the number of points.

    :param x: (N,).
    :param y: (N,).
    :param logarithmic: whether both axes are logarithmic.
    :return: the hexagons, for a colour bar; None for individual points.
    """
    if len(x) <= FEW_POINTS:
        size = float(np.clip(2500 / max(1, len(x)), 8, 22))
        axes.scatter(x, y, s=size, color=COLOURS[0], alpha=0.6, linewidth=0)
        return None
    return axes.hexbin(
        x,
        y,
        gridsize=CELLS,
        norm=LogNorm(),
        xscale="log" if logarithmic else "linear",
        yscale="log" if logarithmic else "linear",
        mincnt=1,
        cmap="viridis",
        linewidths=0.1,
        rasterized=True,
    )
