"""Plots of free energies along one and two collective variables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from aiida_sicmlip.plots.style import COLOURS, add_colour_bar
from aiida_sicmlip.science.free_energy.reweighting import FreeEnergy


def plot_free_energy_curve(
    axes: Axes, result: FreeEnergy, *, variable: str = "CV 1", label: str | None = None, colour: str = COLOURS[0]
) -> Axes:
    """Draw a free energy (eV) along one variable, with a band of plus and minus one standard deviation.

    Where the error is unknown, since all samples are from one block or one walker, the line is dotted without a band.
    """
    (x,), y = result.centres, result.free_energy
    known = np.isfinite(result.error)
    error = np.where(known, result.error, np.nan)
    axes.fill_between(x, y - error, y + error, color=colour, alpha=0.25, linewidth=0)
    axes.plot(x, y, color=colour, linestyle=":", linewidth=1.2)
    axes.plot(x, np.where(known, y, np.nan), color=colour, label=label, linewidth=1.6, marker="o", markersize=2.5)
    axes.set_xlabel(variable)
    axes.set_ylabel("free energy (eV)")
    if label is not None:
        axes.legend(frameon=False, fontsize="small")
    return axes


def plot_free_energy_map(
    axes: Axes,
    result: FreeEnergy,
    *,
    variables: Sequence[str] = ("CV 1", "CV 2"),
    spacing: float | None = None,
    highest: float | None = None,
) -> Axes:
    """Draw a free energy (eV) over two variables with contour lines; regions without samples are white.

    :param spacing: of the contour lines, eV; by default a round number that gives four to ten lines.
    :param highest: upper end of the colours, eV; by default the maximum of the free energy.
    """
    values = np.ma.masked_invalid(result.free_energy.T)
    top = float(values.max()) if highest is None else highest
    spacing = _round_spacing(top / 6) if spacing is None else spacing
    levels = np.arange(spacing, top, spacing)
    mesh = axes.pcolormesh(*result.edges, values, cmap="viridis", vmin=0.0, vmax=top, rasterized=True)
    # Contours of masked values end at the last complete cell, so that none follows the boundary.
    if len(levels):
        lines = axes.contour(*result.centres, values, levels=levels, colors="white", linewidths=0.7)
        axes.clabel(lines, levels[1::2] if len(levels) > 3 else levels, fmt="%g", fontsize=7)
    add_colour_bar(axes, mesh, "free energy (eV)", beyond=highest is not None and top < float(values.max()))
    axes.set_xlabel(variables[0])
    axes.set_ylabel(variables[1])
    return axes


def _round_spacing(spacing: float) -> float:
    """Return the nearest number of the form 1, 2 or 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(max(spacing, 1e-6)))
    return float(min((power * step for step in (1, 2, 5, 10)), key=lambda candidate: abs(np.log(candidate / spacing))))
