"""Errors by round as pictures."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.plots.rounds import (
    COLOURS,
    NAMES,
    plot_energy_distributions,
    plot_error_boxes,
    plot_force_errors,
)


def test_curves_threshold_and_labels():
    """Three curves with the given values, the threshold as a line, units on the axes; the axes come back."""
    axes = Figure().subplots()
    errors = {name: [0.3 + shift, 0.1 + shift] for shift, name in enumerate(COLOURS)}
    assert plot_force_errors(axes, [0, 1], errors, 0.05) is axes
    curves = {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}
    assert {label: values for label, values in curves.items() if label in NAMES.values()} == {
        NAMES[name]: values for name, values in errors.items()
    }
    assert any("0.05" in str(label) and list(values) == [0.05, 0.05] for label, values in curves.items())
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == "force MAE (eV/Å)"


ERRORS = {0: np.array([0.1, 0.2, 0.3, 0.4, 2.0]), 1: np.array([0.15]), 2: np.zeros(0)}


def test_boxes_of_rounds():
    """Boxes at numpy's quartiles with median and mean, a line through the means; a round without errors has a place."""
    axes = Figure().subplots()
    assert plot_error_boxes(axes, ERRORS, threshold=0.1) is axes
    lines = {}
    for line in axes.get_lines():
        lines.setdefault(line.get_label(), line)
    np.testing.assert_allclose(lines["median"].get_ydata(), np.median(ERRORS[0]))
    np.testing.assert_allclose(lines["mean"].get_ydata(), np.mean(ERRORS[0]))
    np.testing.assert_allclose(lines["means by round"].get_xydata(), [[0, np.mean(ERRORS[0])], [1, 0.15]])
    assert list(lines["threshold"].get_ydata()) == [0.1, 0.1]
    box = axes.get_lines()[0].get_ydata()
    assert (min(box), max(box)) == (pytest.approx(np.quantile(ERRORS[0], 0.25)), pytest.approx(0.4))
    # Beyond 1.5 times the distance of the quartiles.
    rings = [line for line in axes.get_lines() if line.get_marker() == "o" and len(line.get_xdata())]
    assert [list(line.get_ydata()) for line in rings] == [[2.0]]
    assert list(axes.get_xticks()) == [0, 1, 2]
    assert axes.get_xlim() == (-0.6, 2.6)
    assert axes.get_ylim()[0] == 0.0
    assert axes.get_ylabel() == "force MAE (eV/Å)"


def test_energies_of_rounds():
    """Histograms of all rounds have the same bins and hold all configurations."""
    axes = Figure().subplots()
    energies = {0: np.linspace(-6.0, -5.9, 20), 1: np.linspace(-5.9, -5.5, 30), 2: np.zeros(0)}
    assert plot_energy_distributions(axes, energies) is axes
    outlines = [patch.get_data() for patch in axes.patches[::2]]
    assert [data.values.sum() for data in outlines] == [20, 30]
    np.testing.assert_array_equal(outlines[0].edges, outlines[1].edges)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["round 0 (20)", "round 1 (30)"]


@pytest.mark.parametrize("draw", [plot_error_boxes, plot_energy_distributions])
@pytest.mark.parametrize("given", [{}, {0: np.zeros(0)}])
def test_nothing_to_draw_is_said(draw, given):
    with pytest.raises(InputError, match=r"No round has an? (error|configuration) to draw"):
        draw(Figure().subplots(), given)
