"""Errors by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

COLOURS = {"training": "#0072B2", "validation": "#D55E00", "exploring": "#555555"}
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
    axes.set_yscale("log")
    for axis_format in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        axis_format("{x:g}")
    axes.set_xticks(list(rounds))
    axes.set_xlabel("round")
    axes.set_ylabel("force MAE (eV/Å)")
    axes.legend(frameon=False, fontsize="small")
    return axes
