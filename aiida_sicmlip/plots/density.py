"""Many points in a plane: their density where they would hide each other, the points themselves where they are few."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm

from aiida_sicmlip.plots.style import COLOURS

#: Largest number of points drawn individually.
FEW_POINTS = 500
CELLS = 60
"""Hexagons along the axis."""


def draw_density(axes: Axes, x: np.ndarray, y: np.ndarray, *, logarithmic: bool = False) -> ScalarMappable | None:
    """Draw points (N,), or hexagons coloured by their number, which are returned for a colour bar.

    :param logarithmic: whether both axes are.
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
