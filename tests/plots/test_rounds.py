"""Errors by round as a picture."""

from __future__ import annotations

from matplotlib.figure import Figure

from aiida_sicmlip.plots.rounds import COLOURS, NAMES, plot_force_errors


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
