"""Plots of loss, errors and learning rate of a training by optimiser step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.plots.style import COLOURS, GREY, logarithmic


class Quantity(NamedTuple):
    """Axis label of a quantity, and the factor for its unit."""

    text: str
    scale: float


QUANTITIES = {
    "loss": Quantity("loss (eV²/atom², eV²/Å²)", 1.0),
    "force_mae": Quantity("force MAE (eV/Å)", 1.0),
    "energy_mae": Quantity("energy MAE (meV/atom)", 1000.0),
}
SETS = {"training": COLOURS[0], "validation": COLOURS[1]}


def plot_curve(
    axes: Axes,
    curve: Mapping[str, np.ndarray],
    quantity: str = "loss",
    *,
    kept: float | None = None,
    attempts: Sequence[float] = (),
    threshold: float | None = None,
) -> Axes:
    """Draw one of the :data:`QUANTITIES` of the training and validation set by step, on a logarithmic axis.

    :param curve: columns of a training curve, (V,) each: ``step``, ``training_loss``, ``validation_loss`` and so on,
        energies in eV/atom, forces in eV/A. Values that are not positive leave a gap. Curves of earlier versions have
        no ``step``; ``epoch`` is then on the axis.
    :param kept: step of the packaged model, which is marked.
    :param attempts: last steps before the training was continued.
    :param threshold: of the quantity, in the unit of the axis.
    :raises InputError: if the curve is empty, or the quantity is unknown.
    """
    if quantity not in QUANTITIES:
        raise InputError(f"`quantity` is {quantity!r}. {nearest_name(quantity, QUANTITIES)}")
    axis, steps = _steps(curve)
    text, scale = QUANTITIES[quantity]
    values = {name: scale * np.asarray(curve[f"{name}_{quantity}"], dtype=float) for name in SETS}
    _mark_attempts(axes, attempts)
    for name, colour in SETS.items():
        shown = np.where(values[name] > 0, values[name], np.nan)
        # A line through a single point is invisible.
        marker = "o" if len(steps) == 1 else ""
        axes.plot(steps, shown, color=colour, marker=marker, markersize=4, linewidth=1.4, label=name)
    at = np.flatnonzero(steps == kept)
    if len(at):
        axes.plot(
            steps[at],
            values["validation"][at],
            linestyle="",
            marker="D",
            markersize=6,
            markerfacecolor="none",
            markeredgecolor="black",
            label=f"kept: {axis} {kept:,.10g}",
            zorder=3,
        )
    if threshold is not None:
        axes.axhline(threshold, color="black", linestyle="--", linewidth=1, label=f"threshold, {threshold:g}")
    logarithmic(axes.yaxis)
    _name_axes(axes, axis, text)
    axes.legend(frameon=False, fontsize="small")
    return axes


def plot_learning_rate(axes: Axes, curve: Mapping[str, np.ndarray], *, attempts: Sequence[float] = ()) -> Axes:
    """Draw the learning rate at each validation, logarithmic; see :func:`plot_curve`.

    :raises InputError: if the curve is empty.
    """
    axis, steps = _steps(curve)
    _mark_attempts(axes, attempts)
    marker = "o" if len(steps) == 1 else ""
    rate = np.asarray(curve["learning_rate"], dtype=float)
    axes.step(steps, rate, where="mid", color=GREY, marker=marker, markersize=4, linewidth=1.4)
    logarithmic(axes.yaxis)
    _name_axes(axes, axis, "learning rate")
    if len(attempts):
        axes.legend(frameon=False, fontsize="small")
    return axes


def plot_training(
    panels: Sequence[Axes],
    curve: Mapping[str, np.ndarray],
    *,
    kept: float | None = None,
    attempts: Sequence[float] = (),
    threshold: float | None = None,
) -> Sequence[Axes]:
    """Draw loss, force MAE, energy MAE and learning rate into four panels.

    The other parameters are those of :func:`plot_curve`.

    :param threshold: of the force MAE, eV/A.
    """
    for axes, quantity in zip(panels, QUANTITIES, strict=False):
        shown = threshold if quantity == "force_mae" else None
        plot_curve(axes, curve, quantity, kept=kept, attempts=attempts, threshold=shown)
    plot_learning_rate(panels[len(QUANTITIES)], curve, attempts=attempts)
    return panels


def _steps(curve: Mapping[str, np.ndarray]) -> tuple[str, np.ndarray]:
    """Return the name and the values of the horizontal axis."""
    axis = "step" if "step" in curve else "epoch"
    steps = np.asarray(curve[axis], dtype=float)
    if not len(steps):
        raise InputError("The training curve is empty: the training stopped before the first validation.")
    return axis, steps


def _mark_attempts(axes: Axes, attempts: Sequence[float]) -> None:
    """Draw a line where a training was continued."""
    for number, last in enumerate(attempts):
        label = "continued" if number == 0 else "_nolegend_"
        axes.axvline(last, color=GREY, linestyle=":", linewidth=1.2, label=label)


def _name_axes(axes: Axes, axis: str, text: str) -> None:
    axes.set_xlabel(axis)
    axes.set_ylabel(text)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
