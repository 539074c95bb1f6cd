"""Common style of plots: colours, colour bars, tick labels, and thinning of points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.ticker import LogLocator
from matplotlib.typing import ColorType

#: Colours of Okabe and Ito, which are distinguishable with colour vision deficiencies.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREY = "#555555"
#: Maximum number of points; more would overlap and make vector graphics large.
MAX_POINTS = 4000


def distinct_colours(count: int) -> Sequence[ColorType]:
    """Return ``count`` colours: the first of :data:`COLOURS`, or of a colour map if these are not enough."""
    if count <= len(COLOURS):
        return COLOURS[:count]
    from matplotlib import colormaps

    return list(colormaps["viridis"](np.linspace(0, 0.95, count)))


def thin(values: np.ndarray) -> np.ndarray:
    """Return at most :data:`MAX_POINTS` of the values, at even intervals."""
    return values[:: max(1, -(-len(values) // MAX_POINTS))]


def add_colour_bar(axes: Axes, drawn: ScalarMappable, label: str, *, beyond: bool = False) -> None:
    """Add a colour bar beside the axes.

    :param beyond: whether values exceed its upper end, which is shown by an arrow.
    """
    figure = axes.get_figure()
    if figure is not None:
        figure.colorbar(drawn, ax=axes, label=label, extend="max" if beyond else "neither")


def logarithmic(axis: Axis) -> None:
    """Make an axis logarithmic, with plain numbers, including 2 and 5 times powers of ten for short ranges."""
    (axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale)("log")

    def minor_label(value: float, _: object) -> str:
        lowest, highest = sorted(axis.get_view_interval())
        return f"{value:g}" if lowest > 0 and highest / lowest < 150 else ""

    axis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(minor_label)


def add_shared_legend(panels: Sequence[Axes]) -> None:
    """Add a common legend below panels, where it covers no points."""
    named: dict[str, Artist] = {}
    # Later panels may have additional items; the order is that of the first panel.
    for axes in reversed(panels):
        named |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    panels[0].figure.legend(
        named.values(),
        list(named),
        loc="outside lower center",
        ncols=len(named),
        frameon=False,
        fontsize="small",
    )
