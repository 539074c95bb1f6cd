"""Plots of errors and reference energies by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.plots import style

COLOURS = {
    "training": style.COLOURS[0],
    "validation": style.COLOURS[1],
    "fixed_validation": style.COLOURS[2],
    "exploring": style.GREY,
}
NAMES = {
    "training": "new potential, training set",
    "validation": "new potential, validation set",
    "fixed_validation": "new potential, fixed validation set",
    "exploring": "exploring potential, new labels",
}


def plot_force_errors(
    axes: Axes, rounds: Sequence[int], errors: Mapping[str, Sequence[float]], threshold: float | None = None
) -> Axes:
    """Draw the force MAE on a logarithmic axis by round, and the convergence threshold.

    :param errors: by the keys of :data:`NAMES`, one value for each round, eV/A.
    :param threshold: eV/A.
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
    """Draw a box plot of the errors of the configurations of each round, and a line through the means.

    As in Figure 3 of the paper: boxes from the first to the third quartile with median and mean, whiskers to the last
    value within 1.5 interquartile ranges, and outliers as rings. The legend is drawn by
    :func:`~aiida_sicmlip.plots.style.add_shared_legend`.

    :param errors: by round, (K,) each; a round without errors leaves a gap.
    :param threshold: in the unit of the quantity.
    :raises InputError: if no round has errors.
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
        # The shared legend of panels with different thresholds gives no values.
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
    """Draw histograms of the reference energies of the configurations of each round.

    :param energies: by round, (K,) each, eV/atom.
    :raises InputError: if no round has configurations.
    """
    rounds = [index for index in _rounds(energies, "configuration") if len(energies[index])]
    all_energies = np.concatenate([energies[index] for index in rounds])
    edges = np.histogram_bin_edges(all_energies, "rice")
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
    """Return the rounds in ascending order.

    :raises InputError: if none has a value.
    """
    if not any(len(of_round) for of_round in values.values()):
        raise InputError(f"No round has {'an' if what[0] in 'aeiou' else 'a'} {what} to draw.")
    return sorted(values)
