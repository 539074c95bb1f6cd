"""Errors by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.plots import style

COLOURS = {"training": style.COLOURS[0], "validation": style.COLOURS[1], "exploring": style.GREY}
NAMES = {
    "training": "new potential, training set",
    "validation": "new potential, validation set",
    "exploring": "exploring potential, new labels",
}


def plot_force_errors(
    axes: Axes, rounds: Sequence[int], errors: Mapping[str, Sequence[float]], threshold: float | None = None
) -> Axes:
    """Draw the force MAE (eV/A, logarithmic) against the round, and the threshold of convergence.

    :param errors: for each of ``training``, ``validation`` and ``exploring`` a value for each round.
    """
    for name, values in errors.items():
        axes.plot(rounds, values, marker="o", color=COLOURS[name], label=NAMES[name])
    if threshold is not None:
        axes.axhline(threshold, color="black", linestyle="--", linewidth=1, label=f"threshold, {threshold:g} eV/Å")
    style.logarithmic(axes.yaxis)
    axes.set_xticks(list(rounds))
    axes.set_xlabel("round")
    axes.set_ylabel("force MAE (eV/Å)")
    axes.legend(frameon=False, fontsize="small")
    return axes


def plot_error_boxes(
    axes: Axes,
    errors: Mapping[int, np.ndarray],
    *,
    quantity: str = "force MAE (eV/Å)",
    threshold: float | None = None,
) -> Axes:
    """Draw a box for the errors of the configurations of each round, and a line through their means.

    As in Figure 3 of the paper: a box from the first to the third quartile with the median and the mean in it, whiskers
    to the last value within 1.5 times the distance of the quartiles, and all values beyond as rings. The legend is left
    to :func:`~aiida_sicmlip.plots.style.add_shared_legend`.

    :param errors: by round, (K,) each; a round without any keeps its place.
    :param threshold: in the unit of the quantity.
    :raises InputError: when no round has an error.
    """
    rounds = _rounds(errors, "error")
    drawn = [index for index in rounds if len(errors[index])]
    parts = axes.boxplot(
        [np.asarray(errors[index]) for index in drawn],
        positions=drawn,
        widths=0.55,
        manage_ticks=False,
        showmeans=True,
        meanline=True,
        medianprops={"color": style.COLOURS[1], "linewidth": 1.6},
        meanprops={"color": style.COLOURS[2], "linewidth": 1.6, "linestyle": "--"},
        flierprops={"marker": "o", "markersize": 3, "markeredgecolor": style.GREY, "markeredgewidth": 0.7},
    )
    means = [float(np.mean(errors[index])) for index in drawn]
    (trend,) = axes.plot(drawn, means, color=style.COLOURS[3], marker=".", linewidth=1.2)
    named = {"median": parts["medians"][0], "mean": parts["means"][0], "means by round": trend}
    if threshold is not None:
        # Panels with several thresholds share a legend; the axis tells the value.
        named["threshold"] = axes.axhline(threshold, color="black", linestyle=":", linewidth=1.2)
    axes.set_ylim(bottom=0.0)
    axes.set_xlim(rounds[0] - 0.6, rounds[-1] + 0.6)
    axes.set_xticks(rounds)
    axes.set_xlabel("round")
    axes.set_ylabel(quantity)
    for name, artist in named.items():
        artist.set_label(name)
    return axes


def plot_energy_distributions(axes: Axes, energies: Mapping[int, np.ndarray]) -> Axes:
    """Draw how the reference energies (eV/atom) of the configurations of each round are distributed.

    :param energies: by round, (K,) each.
    :raises InputError: when no round has a configuration.
    """
    rounds = [index for index in _rounds(energies, "configuration") if len(energies[index])]
    everything = np.concatenate([energies[index] for index in rounds])
    edges = np.histogram_bin_edges(everything, "rice")
    for index, colour in zip(rounds, style.distinct_colours(len(rounds)), strict=True):
        counts, _ = np.histogram(energies[index], edges)
        axes.stairs(counts, edges, color=colour, linewidth=1.5, label=f"round {index} ({len(energies[index])})")
        axes.stairs(counts, edges, color=colour, fill=True, alpha=0.12)
    # Room for the legend.
    axes.set_ylim(0.0, 1.35 * axes.dataLim.ymax)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    # Energies per atom have many digits.
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.set_xlabel("reference energy (eV/atom)")
    axes.set_ylabel("configurations")
    axes.legend(frameon=False, fontsize="small")
    return axes


def _rounds(values: Mapping[int, np.ndarray], what: str) -> list[int]:
    """Return the rounds in their order."""
    if not any(len(entry) for entry in values.values()):
        raise InputError(f"No round has {'an' if what[0] in 'aeiou' else 'a'} {what} to draw.")
    return sorted(values)
