"""Parity pictures: what is drawn, and that the errors written into them are those of the data."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure
from sklearn.metrics import r2_score

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.plots.density import FEW_POINTS
from aiida_sicmlip.plots.parity import plot_parity, plot_residuals

GENERATOR = np.random.default_rng(4)
REFERENCE = GENERATOR.normal(size=(400, 3))
PREDICTED = REFERENCE + 0.1 * GENERATOR.normal(size=(400, 3))


def test_density_diagonal_and_errors():
    figure = Figure()
    axes = figure.subplots()
    assert plot_parity(axes, REFERENCE, PREDICTED) is axes
    (cells,) = axes.collections
    assert isinstance(cells, PolyCollection)
    assert cells.get_array().sum() == REFERENCE.size
    # The same scale on both axes, wide enough for all values.
    assert axes.get_xlim() == axes.get_ylim()
    lowest, highest = axes.get_xlim()
    assert lowest < min(REFERENCE.min(), PREDICTED.min()) and highest > max(REFERENCE.max(), PREDICTED.max())
    np.testing.assert_array_equal(axes.get_lines()[0].get_xdata(), axes.get_lines()[0].get_ydata())
    difference = PREDICTED - REFERENCE
    rmse, mae = np.sqrt((difference**2).mean()), np.abs(difference).mean()
    r2 = r2_score(REFERENCE.ravel(), PREDICTED.ravel())
    assert axes.texts[0].get_text() == f"RMSE {rmse:.3g} eV/Å\nMAE {mae:.3g} eV/Å\nR² {r2:.3f}"
    assert axes.get_xlabel() == "reference force component (eV/Å)"
    assert axes.child_axes[0].get_title() == "components per cell"


def test_few_values_are_points_and_errors_may_have_another_unit():
    axes = Figure().subplots()
    reference, predicted = np.array([-6.0, -5.9, -5.8]), np.array([-5.999, -5.901, -5.798])
    plot_parity(axes, reference, predicted, quantity="energy", unit="eV/atom", error_unit=("meV/atom", 1000.0))
    (points,) = axes.collections
    assert isinstance(points, PathCollection)
    np.testing.assert_allclose(points.get_offsets(), np.column_stack([reference, predicted]))
    # 1, -1 and 2 meV/atom.
    assert axes.texts[0].get_text() == "RMSE 1.41 meV/atom\nMAE 1.33 meV/atom\nR² 0.99970"
    assert axes.child_axes == []


def test_density_begins_where_points_would_be_too_many():
    for count, kind in ((FEW_POINTS, PathCollection), (FEW_POINTS + 1, PolyCollection)):
        axes = Figure().subplots()
        plot_parity(axes, REFERENCE.ravel()[:count], PREDICTED.ravel()[:count])
        assert isinstance(axes.collections[0], kind)


def test_energies_are_written_in_full():
    """Those of a program with its own zero: no part that all share is taken out."""
    figure = Figure()
    axes = figure.subplots()
    plot_parity(axes, np.array([-192.35, -192.32]), np.array([-192.34, -192.33]), quantity="energy", unit="eV/atom")
    figure.draw_without_rendering()
    assert axes.xaxis.get_offset_text().get_text() == ""
    labels = [float(label.get_text().replace("\N{MINUS SIGN}", "-")) for label in axes.get_xticklabels()]
    np.testing.assert_allclose(labels, axes.get_xticks())


def test_one_value_has_no_coefficient():
    axes = Figure().subplots()
    plot_parity(axes, np.array([1.0]), np.array([1.0]))
    assert axes.texts[0].get_text().endswith("R² -")
    assert axes.get_xlim()[0] < 1.0 < axes.get_xlim()[1]


def test_residuals():
    axes = Figure().subplots()
    assert plot_residuals(axes, REFERENCE, PREDICTED) is axes
    heights = [bar.get_height() for bar in axes.patches]
    assert sum(heights) == REFERENCE.size
    left, right = axes.patches[0].get_x(), axes.patches[-1].get_x() + axes.patches[-1].get_width()
    greatest = np.abs(PREDICTED - REFERENCE).max()
    np.testing.assert_allclose([left, right], [-greatest, greatest])
    assert axes.get_yscale() == "log"


@pytest.mark.parametrize("draw", [plot_parity, plot_residuals])
def test_what_cannot_be_compared_is_said(draw):
    axes = Figure().subplots()
    with pytest.raises(InputError, match="no values to compare"):
        draw(axes, np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(InputError, match=r"\(2, 3\), predicted ones \(3, 3\)"):
        draw(axes, np.zeros((2, 3)), np.zeros((3, 3)))
