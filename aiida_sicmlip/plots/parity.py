"""Plots of predicted against reference energies and forces, and of their differences."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.ticker import MaxNLocator

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.plots.density import draw_density
from aiida_sicmlip.plots.style import COLOURS, logarithmic
from aiida_sicmlip.science.evaluation.metrics import determination

MIN_BINS, MAX_BINS = 10, 60


def plot_parity(
    axes: Axes,
    reference: np.ndarray,
    predicted: np.ndarray,
    *,
    quantity: str = "force component",
    unit: str = "eV/Å",
    error_unit: tuple[str, float] | None = None,
    count: str = "components",
) -> Axes:
    """Draw predicted against reference values, as a density if there are many, with the diagonal.

    The plot shows RMSE, MAE and the coefficient of determination R2.

    :param reference: of any shape.
    :param predicted: of the same shape.
    :param quantity: name of the values, for the axes.
    :param unit: of the values.
    :param error_unit: unit of the errors, if different, and its conversion factor, such as ``("meV/atom", 1000.0)``.
    :param count: plural name of the values, for the colour bar.
    :raises InputError: if there are no values, or the shapes differ.
    """
    reference, predicted = _compared(reference, predicted)
    error_unit = error_unit or (unit, 1.0)
    lowest, highest = (function([function(reference), function(predicted)]) for function in (np.min, np.max))
    margin = 0.03 * (highest - lowest) or 0.01
    limits = (lowest - margin, highest + margin)
    drawn = draw_density(axes, reference, predicted)
    if drawn is not None:
        _add_colour_bar(axes, drawn, f"{count} per cell")
    axes.plot(limits, limits, color="black", linestyle="--", linewidth=0.9)
    axes.set(xlim=limits, ylim=limits, box_aspect=1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=5))
    # Energies per atom differ little; a common offset at the end of the axis would be overlooked.
    axes.ticklabel_format(useOffset=False)
    axes.set_xlabel(f"reference {quantity} ({unit})")
    axes.set_ylabel(f"predicted {quantity} ({unit})")
    difference = predicted - reference
    unit, scale = error_unit
    r_squared = determination(predicted, reference)
    text = (
        f"RMSE {scale * np.sqrt(np.mean(difference**2)):.3g} {unit}\n"
        f"MAE {scale * np.abs(difference).mean():.3g} {unit}\n"
        f"R² {'-' if r_squared is None else _format_r_squared(r_squared)}"
    )
    # The points are along the diagonal, so that this corner is empty.
    axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", fontsize="small")
    return axes


def plot_residuals(
    axes: Axes, reference: np.ndarray, predicted: np.ndarray, *, quantity: str = "force component", unit: str = "eV/Å"
) -> Axes:
    """Draw a histogram of predicted minus reference values, with logarithmic counts.

    :param reference: of any shape.
    :param predicted: of the same shape.
    :raises InputError: if there are no values, or the shapes differ.
    """
    reference, predicted = _compared(reference, predicted)
    difference = predicted - reference
    maximum = float(np.abs(difference).max()) or 1.0
    bins = int(np.clip(len(difference) // 2, MIN_BINS, MAX_BINS))
    axes.hist(difference, bins=bins, range=(-maximum, maximum), color=COLOURS[0], alpha=0.75)
    axes.axvline(0.0, color="black", linestyle="--", linewidth=0.9)
    logarithmic(axes.yaxis)
    axes.set_ylim(bottom=0.6)
    axes.set_xlabel(f"predicted - reference {quantity} ({unit})")
    axes.set_ylabel("number")
    return axes


def _add_colour_bar(axes: Axes, drawn: ScalarMappable, label: str) -> None:
    """Add a colour bar in the corner below the diagonal, so that the size of the axes does not change."""
    inside = axes.inset_axes((0.6, 0.09, 0.36, 0.035))
    figure = axes.get_figure()
    if figure is not None:
        bar = figure.colorbar(drawn, cax=inside, orientation="horizontal")
        bar.ax.set_title(label, fontsize="small")
        bar.ax.tick_params(labelsize="small")


def _compared(reference: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as (N,).

    :raises InputError: if there are no values, or the shapes differ.
    """
    reference, predicted = np.asarray(reference, dtype=float), np.asarray(predicted, dtype=float)
    if reference.shape != predicted.shape:
        raise InputError(
            f"Reference values have the shape {reference.shape}, predicted ones {predicted.shape}; give equal shapes."
        )
    if not reference.size:
        raise InputError("There are no values to compare; give at least one.")
    return reference.ravel(), predicted.ravel()


def _format_r_squared(value: float) -> str:
    """Return a coefficient of determination with enough digits to differ from 1."""
    return f"{value:.3f}" if value < 0.9995 else f"{value:.5f}"
