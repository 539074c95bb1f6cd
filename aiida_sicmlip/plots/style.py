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

#: Okabe and Ito's colours, distinguishable with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREY = "#555555"
#: More points than this are thinned evenly: they would hide each other, and make vector pictures large.
MOST_POINTS = 4000


def distinct_colours(count: int) -> Sequence[ColorType]:
    """Return as many colours: the first of a list, or steps of a colour map where the list is too short."""
    if count <= len(COLOURS):
        return COLOURS[:count]
    from matplotlib import colormaps

    return list(colormaps["viridis"](np.linspace(0, 0.95, count)))


def thin(values: np.ndarray) -> np.ndarray:
    """Return at most :data:`MOST_POINTS` of the values, evenly spread."""
    return values[:: max(1, -(-len(values) // MOST_POINTS))]


def add_colour_bar(axes: Axes, drawn: ScalarMappable, label: str, *, beyond: bool = False) -> None:
    """Add a colour bar beside the axes; ``beyond`` says by an arrow that values go on above its end."""
    figure = axes.get_figure()
    if figure is not None:
        figure.colorbar(drawn, ax=axes, label=label, extend="max" if beyond else "neither")


def logarithmic(axis: Axis) -> None:
    """Make an axis logarithmic, with plain numbers; 2 and 5 of each power of ten are written where there is room."""
    (axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale)("log")

    def between(value: float, _: object) -> str:
        lowest, highest = sorted(axis.get_view_interval())
        return f"{value:g}" if lowest > 0 and highest / lowest < 150 else ""

    axis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(between)


def add_shared_legend(panels: Sequence[Axes]) -> None:
    """Add one legend for panels that stand together, below them: inside it would hide points."""
    named: dict[str, Artist] = {}
    # Later panels may have more, which then stands where it does on them.
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
