"""Pictures of a training show its curve, its attempts and the model that was kept."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.plots.training import plot_curve, plot_learning_rate, plot_training

STEPS = np.arange(1, 7)
CURVE = {
    "step": STEPS,
    "learning_rate": np.array([0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025]),
    **{
        f"{name}_{quantity}": factor / STEPS
        for name, factor in (("training", 1.0), ("validation", 2.0))
        for quantity in ("loss", "force_mae", "energy_mae")
    },
}


def shown(axes) -> dict:
    return {line.get_label(): line for line in axes.get_lines()}


def test_curves_threshold_kept_model_and_legs():
    axes = Figure().subplots()
    assert plot_curve(axes, CURVE, "force_mae", kept=5, attempts=[4], threshold=0.1) is axes
    lines = shown(axes)
    assert set(lines) == {"continued", "training", "validation", "kept: step 5", "threshold, 0.1"}
    np.testing.assert_array_equal(lines["training"].get_xdata(), STEPS)
    np.testing.assert_allclose(lines["training"].get_ydata(), 1 / STEPS)
    np.testing.assert_allclose(lines["validation"].get_ydata(), 2 / STEPS)
    np.testing.assert_allclose(lines["kept: step 5"].get_xydata(), [[5, 2 / 5]])
    assert list(lines["continued"].get_xdata()) == [4, 4]
    assert list(lines["threshold, 0.1"].get_ydata()) == [0.1, 0.1]
    assert (axes.get_yscale(), axes.get_xlabel(), axes.get_ylabel()) == ("log", "step", "force MAE (eV/Å)")


def test_energies_are_shown_in_mev():
    axes = Figure().subplots()
    plot_curve(axes, CURVE, "energy_mae")
    np.testing.assert_allclose(shown(axes)["validation"].get_ydata(), 2000 / STEPS)
    assert axes.get_ylabel() == "energy MAE (meV/atom)"


def test_several_legs_have_one_entry_in_the_legend():
    axes = Figure().subplots()
    plot_learning_rate(axes, CURVE, attempts=[3, 5])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["continued"]
    assert [line.get_xdata()[0] for line in axes.get_lines()[:2]] == [3, 5]
    np.testing.assert_array_equal(axes.get_lines()[2].get_ydata(), CURVE["learning_rate"])


def test_four_panels():
    panels = Figure().subplots(2, 2).ravel().tolist()
    plot_training(panels, CURVE, kept=6, threshold=0.2)
    assert [axes.get_ylabel().split(" (")[0] for axes in panels] == ["loss", "force MAE", "energy MAE", "learning rate"]
    # Only the force error has the threshold.
    assert ["threshold, 0.2" in shown(axes) for axes in panels] == [False, True, False, False]
    assert panels[3].get_legend() is None


def test_one_validation_is_a_point_and_zero_leaves_a_gap():
    axes = Figure().subplots()
    one = {name: values[:1] for name, values in CURVE.items()} | {"training_loss": np.zeros(1)}
    plot_curve(axes, one, kept=1)
    assert shown(axes)["validation"].get_marker() == "o"
    assert np.isnan(shown(axes)["training"].get_ydata()).all()


def test_what_cannot_be_drawn_is_said():
    axes = Figure().subplots()
    empty = {name: values[:0] for name, values in CURVE.items()}
    for draw in (plot_curve, plot_learning_rate):
        with pytest.raises(InputError, match="curve is empty"):
            draw(axes, empty)
    with pytest.raises(InputError, match=r"`quantity` is 'force'.*force_mae"):
        plot_curve(axes, CURVE, "force")
