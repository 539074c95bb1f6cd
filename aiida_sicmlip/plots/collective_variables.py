"""Plots of samples in the space of two collective variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.typing import ColorType

from aiida_sicmlip.plots.style import distinct_colours, thin

#: Markers of highlighted points, which can be drawn unfilled.
MARKERS = "o^sDvP*X"


@dataclass(frozen=True)
class RoundSamples:
    """Samples of a round in two collective variables.

    name: of the round.
    walkers: points of each walker, (F, 2).
    selected: points of the frames selected for labelling, (K, 2).
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
    """Draw sets of samples, each in its own colour, and highlighted points on top of them.

    :param samples: points by name, (F, 2) each.
    :param marked: highlighted points by name, (K, 2) each.
    :param variables: names of the two variables.
    """
    handles: list[Artist] = []
    for (name, points), colour in zip(samples.items(), distinct_colours(len(samples)), strict=True):
        _dots(axes, points, colour)
        # The dots of the samples are too small and faint for a legend.
        handles.append(Line2D([], [], linestyle="", marker="o", markersize=5, color=colour, label=name))
    for (name, points), marker in zip((marked or {}).items(), MARKERS, strict=False):
        handles.append(_mark(axes, points, marker, name))
    axes.legend(handles=handles, frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    _name_axes(axes, variables)
    return axes


def plot_rounds(
    panels: Sequence[Axes], rounds: Sequence[RoundSamples], *, variables: Sequence[str] = ("CV 1", "CV 2")
) -> Sequence[Axes]:
    """Draw a panel for each round, with its walkers in colours and the selected frames as rings.

    The variables of rounds differ, so that the axes of panels are independent.
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
    # Larger for few points, and smaller for many, which would overlap.
    size = float(np.clip(2000 / max(1, len(x)), 3, 14))
    axes.scatter(x, y, s=size, color=colour, alpha=0.45, linewidth=0, rasterized=True)


def _mark(axes: Axes, points: np.ndarray, marker: str, name: str) -> Artist:
    x, y = points.T
    return axes.scatter(x, y, s=28, marker=marker, facecolors="none", edgecolors="black", linewidths=0.9, label=name)


def _name_axes(axes: Axes, variables: Sequence[str]) -> None:
    axes.set_xlabel(variables[0])
    axes.set_ylabel(variables[1])
