"""Picks of a selection, their novelty, and its correlation with the errors of the potential."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, MaxNLocator, NullFormatter

from aiida_sicmlip.plots.style import COLOURS, distinct_colours, logarithmic, thin
from aiida_sicmlip.science.selection.novelty import Coefficient

#: Marker, largest size and colour of picks on a map, by what they are for; the first colour is the training set's.
PICKS = (("^", 22, COLOURS[1]), ("s", 18, COLOURS[2]), ("D", 18, COLOURS[3]))
POOL = "#BBBBBB"


@dataclass(frozen=True)
class RoundErrors:
    """Labelled frames of one round.

    distance: distances from the training set, (F,).
    error: force errors, (F,) in eV/A; frames with a distance or error that is not finite and positive are not shown.
    rank: the rank correlation, where there is one.
    """

    name: str
    distance: np.ndarray
    error: np.ndarray
    rank: Coefficient | None = None

    @property
    def shown(self) -> np.ndarray:
        """Which frames can be shown on logarithmic axes, (F,) bool."""
        return np.isfinite(self.distance) & np.isfinite(self.error) & (self.distance > 0) & (self.error > 0)


def plot_novelty(axes: Axes, distances: Mapping[str, np.ndarray]) -> Axes:
    """Draw the distance at which each training configuration was picked against its number, a line for each round.

    :param distances: by round, (P,) each in the order of the picks; one that has no logarithm leaves a gap.
    """
    for (name, values), colour in zip(distances.items(), distinct_colours(len(distances)), strict=True):
        shown = np.where(np.isfinite(values) & (np.asarray(values) > 0), values, np.nan)
        number = np.arange(1, len(shown) + 1)
        axes.plot(number, shown, color=colour, linewidth=1.4, marker="o", markersize=2.5, label=name)
    axes.set_yscale("log")
    axes.set_xlabel("number of the pick")
    axes.set_ylabel("distance when picked")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    # Distances fall, so that this corner is free.
    axes.legend(frameon=False, fontsize="small", loc="upper right")
    return axes


def plot_error_against_distance(axes: Axes, rounds: Sequence[RoundErrors]) -> Axes:
    """Draw the force MAE (eV/A) of frames against their distance from the training set, a colour for each round.

    The legend says the rank correlation of each with its interval. Rounds without a frame to show keep their colour.
    """
    for entry, colour in zip(rounds, distinct_colours(len(rounds)), strict=True):
        if not entry.shown.any():
            continue
        rank = "too few" if entry.rank is None else f"{entry.rank.value:.2f}"
        between = "" if entry.rank is None else f" ({entry.rank.lowest:.2f} to {entry.rank.highest:.2f})"
        axes.scatter(
            entry.distance[entry.shown],
            entry.error[entry.shown],
            s=14,
            color=colour,
            alpha=0.7,
            linewidth=0,
            label=f"{entry.name}: {rank}{between}",
        )
    axes.set_xscale("log")
    # 3 of each power of ten beside it: more would run into each other, and one alone may lie outside.
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axes.xaxis.set_major_formatter(LogFormatterSciNotation(labelOnlyBase=False, minor_thresholds=(np.inf, np.inf)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    logarithmic(axes.yaxis)
    axes.set_xlabel("distance from the training set")
    axes.set_ylabel("force MAE, exploring potential (eV/Å)")
    # Far frames with small errors are what there should not be.
    axes.legend(frameon=False, fontsize="small", title="rank correlation", title_fontsize="small", loc="lower right")
    return axes


def plot_map(
    axes: Axes,
    pool: np.ndarray,
    training_set: np.ndarray,
    picked: Mapping[str, np.ndarray],
    variance: Sequence[float] | None = None,
) -> Axes:
    """Draw all frames of a round faintly, and on top of them the training set of that time and what was picked.

    The legend is left to :func:`~aiida_sicmlip.plots.style.add_shared_legend`.

    All points are (K, 2), coordinates on the first two principal axes of the descriptors.

    :param picked: by what the frames were picked for.
    :param variance: the part of the variance along each axis.
    """
    x, y = thin(pool).T
    axes.scatter(x, y, s=4, color=POOL, linewidth=0, rasterized=True, label="frames")
    if len(training_set):
        x, y = thin(training_set).T
        axes.scatter(x, y, s=_size(x, 9), color=COLOURS[0], alpha=0.7, linewidth=0, label="training set")
    for (name, points), (marker, size, colour) in zip(picked.items(), PICKS, strict=False):
        if len(points):
            x, y = points.T
            drawn = axes.scatter(x, y, s=_size(x, size), marker=marker, facecolor=colour, label=f"new: {name}")
            # So that picks beside each other are told apart.
            drawn.set(edgecolor="white", linewidth=0.3)
    parts = ["", ""] if variance is None else [f" ({100 * part:.0f} % of variance)" for part in variance]
    axes.set_xlabel(f"component 1{parts[0]}")
    axes.set_ylabel(f"component 2{parts[1]}")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.set_box_aspect(0.9)
    return axes


def _size(points: np.ndarray, largest: float) -> float:
    """Return a size of markers: small where there are many, which would cover each other."""
    return float(np.clip(2500 / len(points), 3, largest))
