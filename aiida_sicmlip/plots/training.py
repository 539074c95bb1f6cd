"""Plots of loss, errors and learning rate of a training by epoch."""

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
    best_epoch: float | None = None,
    attempts: Sequence[float] = (),
    threshold: float | None = None,
) -> Axes:
    """Draw one of the :data:`QUANTITIES` of the training and validation set by epoch, on a logarithmic axis.

    :param curve: columns of a training curve, (E,) each: ``epoch``, ``training_loss``, ``validation_loss`` and so on,
        energies in eV/atom, forces in eV/A. Values that are not positive leave a gap.
    :param best_epoch: epoch of the packaged model, which is marked.
    :param attempts: first epochs of the calculations that continued the training.
    :param threshold: of the quantity, in the unit of the axis.
    :raises InputError: if there are no epochs, or the quantity is unknown.
    """
    if quantity not in QUANTITIES:
        raise InputError(f"`quantity` is {quantity!r}. {nearest_name(quantity, QUANTITIES)}")
    epochs = _epochs(curve)
    text, scale = QUANTITIES[quantity]
    values = {name: scale * np.asarray(curve[f"{name}_{quantity}"], dtype=float) for name in SETS}
    _mark_attempts(axes, attempts)
    for name, colour in SETS.items():
        shown = np.where(values[name] > 0, values[name], np.nan)
        # A line through a single point is invisible.
        marker = "o" if len(epochs) == 1 else ""
        axes.plot(epochs, shown, color=colour, marker=marker, markersize=4, linewidth=1.4, label=name)
    at = np.flatnonzero(epochs == best_epoch)
    if len(at):
        axes.plot(
            epochs[at],
            values["validation"][at],
            linestyle="",
            marker="D",
            markersize=6,
            markerfacecolor="none",
            markeredgecolor="black",
            label=f"kept: epoch {best_epoch:g}",
            zorder=3,
        )
    if threshold is not None:
        axes.axhline(threshold, color="black", linestyle="--", linewidth=1, label=f"threshold, {threshold:g}")
    logarithmic(axes.yaxis)
    _name_epochs(axes, text)
    axes.legend(frameon=False, fontsize="small")
    return axes


def plot_learning_rate(axes: Axes, curve: Mapping[str, np.ndarray], *, attempts: Sequence[float] = ()) -> Axes:
    """Draw the learning rate of each epoch, logarithmic; see :func:`plot_curve`.

    :raises InputError: if there are no epochs.
    """
    epochs = _epochs(curve)
    _mark_attempts(axes, attempts)
    marker = "o" if len(epochs) == 1 else ""
    rate = np.asarray(curve["learning_rate"], dtype=float)
    axes.step(epochs, rate, where="mid", color=GREY, marker=marker, markersize=4, linewidth=1.4)
    logarithmic(axes.yaxis)
    _name_epochs(axes, "learning rate")
    if len(attempts):
        axes.legend(frameon=False, fontsize="small")
    return axes


def plot_training(
    panels: Sequence[Axes],
    curve: Mapping[str, np.ndarray],
    *,
    best_epoch: float | None = None,
    attempts: Sequence[float] = (),
    threshold: float | None = None,
) -> Sequence[Axes]:
    """Draw loss, force MAE, energy MAE and learning rate into four panels.

    The other parameters are those of :func:`plot_curve`.

    :param threshold: of the force MAE, eV/A.
    """
    for axes, quantity in zip(panels, QUANTITIES, strict=False):
        shown = threshold if quantity == "force_mae" else None
        plot_curve(axes, curve, quantity, best_epoch=best_epoch, attempts=attempts, threshold=shown)
    plot_learning_rate(panels[len(QUANTITIES)], curve, attempts=attempts)
    return panels


def _epochs(curve: Mapping[str, np.ndarray]) -> np.ndarray:
    epochs = np.asarray(curve["epoch"], dtype=float)
    if not len(epochs):
        raise InputError("The training curve has no epochs: the training stopped before the first one was finished.")
    return epochs


def _mark_attempts(axes: Axes, attempts: Sequence[float]) -> None:
    """Draw a line before the first epoch of each calculation that continued the training."""
    for number, first in enumerate(attempts):
        axes.axvline(
            first - 0.5, color=GREY, linestyle=":", linewidth=1.2, label="continued" if number == 0 else "_nolegend_"
        )


def _name_epochs(axes: Axes, text: str) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel(text)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
