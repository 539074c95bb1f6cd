"""Predicted against reference energies and forces, and what is left between them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.ticker import MaxNLocator

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.plots.density import draw_density
from aiida_sicmlip.plots.style import COLOURS, logarithmic
from aiida_sicmlip.science.evaluation.metrics import determination

FEWEST_BINS, MOST_BINS = 10, 60


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
    """Draw predicted against reference values of any shape, their density where they are many, and the diagonal.

    RMSE, MAE and the coefficient of determination R2 are written into the picture.

    :param quantity: what is compared, for the axes.
    :param unit: of the quantity.
    :param error_unit: another unit for the errors, and what makes them so: ``("meV/atom", 1000.0)``.
    :param count: what values are of, for the colour bar.
    :raises InputError: when there is no value or the shapes differ.
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
    # Energies per atom differ by little; a part that all share, written elsewhere, would be overlooked.
    axes.ticklabel_format(useOffset=False)
    axes.set_xlabel(f"reference {quantity} ({unit})")
    axes.set_ylabel(f"predicted {quantity} ({unit})")
    difference = predicted - reference
    unit, scale = error_unit
    found = determination(predicted, reference)
    text = (
        f"RMSE {scale * np.sqrt(np.mean(difference**2)):.3g} {unit}\n"
        f"MAE {scale * np.abs(difference).mean():.3g} {unit}\n"
        f"R² {'-' if found is None else _share(found)}"
    )
    # Points lie along the diagonal, so that this corner is free.
    axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", fontsize="small")
    return axes


def plot_residuals(
    axes: Axes, reference: np.ndarray, predicted: np.ndarray, *, quantity: str = "force component", unit: str = "eV/Å"
) -> Axes:
    """Draw how predictions minus references, of any shape, are distributed, their numbers on a logarithmic scale.

    :raises InputError: when there is no value or the shapes differ.
    """
    reference, predicted = _compared(reference, predicted)
    difference = predicted - reference
    greatest = float(np.abs(difference).max()) or 1.0
    bins = int(np.clip(len(difference) // 2, FEWEST_BINS, MOST_BINS))
    axes.hist(difference, bins=bins, range=(-greatest, greatest), color=COLOURS[0], alpha=0.75)
    axes.axvline(0.0, color="black", linestyle="--", linewidth=0.9)
    logarithmic(axes.yaxis)
    axes.set_ylim(bottom=0.6)
    axes.set_xlabel(f"predicted - reference {quantity} ({unit})")
    axes.set_ylabel("number")
    return axes


def _add_colour_bar(axes: Axes, drawn: ScalarMappable, label: str) -> None:
    """Add a colour bar in the corner below the diagonal, so that the axes keep their size."""
    inside = axes.inset_axes((0.6, 0.09, 0.36, 0.035))
    figure = axes.get_figure()
    if figure is not None:
        bar = figure.colorbar(drawn, cax=inside, orientation="horizontal")
        bar.ax.set_title(label, fontsize="small")
        bar.ax.tick_params(labelsize="small")


def _compared(reference: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as (N,), once they are known to belong together."""
    reference, predicted = np.asarray(reference, dtype=float), np.asarray(predicted, dtype=float)
    if reference.shape != predicted.shape:
        raise InputError(
            f"Reference values have the shape {reference.shape}, predicted ones {predicted.shape}: give as many."
        )
    if not reference.size:
        raise InputError("There are no values to compare: give one or more.")
    return reference.ravel(), predicted.ravel()


def _share(value: float) -> str:
    """Return a coefficient of determination with digits enough to be told from 1."""
    return f"{value:.3f}" if value < 0.9995 else f"{value:.5f}"
