"""Plots of the picks of a selection, their novelty, and its correlation with errors of the potential."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, MaxNLocator, NullFormatter

from aiida_sicmlip.plots.style import COLOURS, distinct_colours, logarithmic, thin
from aiida_sicmlip.science.selection.novelty import Coefficient

#: Marker, maximum size and colour of picks for the training, validation and fixed validation set.
PICKS = (("^", 22, COLOURS[1]), ("s", 18, COLOURS[2]), ("D", 18, COLOURS[3]))
POOL = "#BBBBBB"


@dataclass(frozen=True)
class RoundErrors:
    """Novelty and errors of the labelled frames of a round.

    name: of the round.
    distance: from the training set, (F,).
    error: force error of each frame, (F,), eV/A.
    rank: rank correlation of the two; None if there are too few frames.
    """

    name: str
    distance: np.ndarray
    error: np.ndarray
    rank: Coefficient | None = None

    @property
    def shown(self) -> np.ndarray:
        """Whether each frame is shown: its distance and error are finite and positive, (F,)."""
        return np.isfinite(self.distance) & np.isfinite(self.error) & (self.distance > 0) & (self.error > 0)


def plot_novelty(axes: Axes, distances: Mapping[str, np.ndarray]) -> Axes:
    """Draw the distance at which each training configuration was picked, a line for each round.

    :param distances: by round, (P,) each, in the order of the picks; values that are not positive leave a gap.
    """
    for (name, values), colour in zip(distances.items(), distinct_colours(len(distances)), strict=True):
        shown = np.where(np.isfinite(values) & (np.asarray(values) > 0), values, np.nan)
        number = np.arange(1, len(shown) + 1)
        axes.plot(number, shown, color=colour, linewidth=1.4, marker="o", markersize=2.5, label=name)
    axes.set_yscale("log")
    axes.set_xlabel("number of the pick")
    axes.set_ylabel("distance when picked")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    # Distances decrease, so that this corner is empty.
    axes.legend(frameon=False, fontsize="small", loc="upper right")
    return axes


def plot_error_against_distance(axes: Axes, rounds: Sequence[RoundErrors]) -> Axes:
    """Draw the force MAE (eV/A) of frames against their distance from the training set, in a colour for each round.

    The legend gives the rank correlations with their confidence intervals.
    """
    for errors, colour in zip(rounds, distinct_colours(len(rounds)), strict=True):
        if not errors.shown.any():
            continue
        rank = "too few" if errors.rank is None else f"{errors.rank.value:.2f}"
        interval = "" if errors.rank is None else f" ({errors.rank.lowest:.2f} to {errors.rank.highest:.2f})"
        axes.scatter(
            errors.distance[errors.shown],
            errors.error[errors.shown],
            s=14,
            color=colour,
            alpha=0.7,
            linewidth=0,
            label=f"{errors.name}: {rank}{interval}",
        )
    axes.set_xscale("log")
    # Labels at 1 and 3 times powers of ten: more would overlap, and a single one may be outside the range.
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axes.xaxis.set_major_formatter(LogFormatterSciNotation(labelOnlyBase=False, minor_thresholds=(np.inf, np.inf)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    logarithmic(axes.yaxis)
    axes.set_xlabel("distance from the training set")
    axes.set_ylabel("force MAE, exploring potential (eV/Å)")
    # Novel frames with small errors should be rare, so that this corner is empty.
    axes.legend(frameon=False, fontsize="small", title="rank correlation", title_fontsize="small", loc="lower right")
    return axes


def plot_map(
    axes: Axes,
    pool: np.ndarray,
    training_set: np.ndarray,
    picked: Mapping[str, np.ndarray],
    variance: Sequence[float] | None = None,
) -> Axes:
    """Draw the frames of a round, the training set before the round, and the picks, in principal components.

    Points are (K, 2), in the first two principal components of the descriptors. The legend is drawn by
    :func:`~aiida_sicmlip.plots.style.add_shared_legend`.

    :param pool: all frames of the round.
    :param training_set: training set before the round.
    :param picked: picks, by purpose.
    :param variance: fraction of the variance of each component.
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
            # Separates adjacent picks.
            drawn.set(edgecolor="white", linewidth=0.3)
    explained = ["", ""] if variance is None else [f" ({100 * part:.0f} % of variance)" for part in variance]
    axes.set_xlabel(f"component 1{explained[0]}")
    axes.set_ylabel(f"component 2{explained[1]}")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.set_box_aspect(0.9)
    return axes


def _size(points: np.ndarray, largest: float) -> float:
    """Return the size of markers, which is smaller for many points."""
    return float(np.clip(2500 / len(points), 3, largest))
