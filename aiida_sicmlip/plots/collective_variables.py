"""Samples of runs in the space of their collective variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.typing import ColorType

from aiida_sicmlip.plots.style import distinct_colours, thin

#: Of marked points; all have an inside that can be left empty.
MARKERS = "o^sDvP*X"


@dataclass(frozen=True)
class RoundSamples:
    """Two collective variables of what one round sampled.

    walkers: points (F, 2) of each walker.
    selected: points (K, 2) of the frames selected for labelling.
    """

    name: str
    walkers: Sequence[np.ndarray]
    selected: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))


def plot_samples(
    axes: Axes,
    samples: Mapping[str, np.ndarray],
    *,
    marked: Mapping[str, np.ndarray] | None = None,
    variables: Sequence[str] = ("CV 1", "CV 2"),
) -> Axes:
    """Draw clouds of points (F, 2), each in a colour of its own, and points (K, 2) marked on top of them."""
    handles: list[Artist] = []
    for (name, points), colour in zip(samples.items(), distinct_colours(len(samples)), strict=True):
        _dots(axes, points, colour)
        # Dots as small and faint as those of a cloud are not told apart in a legend.
        handles.append(Line2D([], [], linestyle="", marker="o", markersize=5, color=colour, label=name))
    for (name, points), marker in zip((marked or {}).items(), MARKERS, strict=False):
        handles.append(_mark(axes, points, marker, name))
    axes.legend(handles=handles, frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    _name_axes(axes, variables)
    return axes


def plot_rounds(
    panels: Sequence[Axes], rounds: Sequence[RoundSamples], *, variables: Sequence[str] = ("CV 1", "CV 2")
) -> Sequence[Axes]:
    """Draw a panel for each round: its walkers in colours, the selected frames as rings.

    Each round has its own variables, so that panels have their own axes.
    """
    for axes, samples in zip(panels, rounds, strict=True):
        for points, colour in zip(samples.walkers, distinct_colours(len(samples.walkers)), strict=True):
            _dots(axes, points, colour)
        if len(samples.selected):
            _mark(axes, samples.selected, "o", f"{len(samples.selected)} selected")
            axes.legend(frameon=False, fontsize="small", loc="best", handletextpad=0.2)
        axes.set_title(samples.name, fontsize="medium")
        _name_axes(axes, variables)
    return panels


def _dots(axes: Axes, points: np.ndarray, colour: ColorType) -> None:
    x, y = thin(points).T
    # Large where there are few, so that they are seen, and small where they would cover each other.
    size = float(np.clip(2000 / max(1, len(x)), 3, 14))
    axes.scatter(x, y, s=size, color=colour, alpha=0.45, linewidth=0, rasterized=True)


def _mark(axes: Axes, points: np.ndarray, marker: str, name: str) -> Artist:
    x, y = points.T
    return axes.scatter(x, y, s=28, marker=marker, facecolors="none", edgecolors="black", linewidths=0.9, label=name)


def _name_axes(axes: Axes, variables: Sequence[str]) -> None:
    axes.set_xlabel(variables[0])
    axes.set_ylabel(variables[1])
