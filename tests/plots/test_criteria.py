"""Criteria by round, and costs by step."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from aiida_sicmlip.plots.costs import plot_costs
from aiida_sicmlip.plots.criteria import plot_criterion


@pytest.mark.parametrize(("at_least", "met"), [(False, [2.0]), (True, [0.0])])
def test_rounds_that_meet_a_criterion_are_filled(at_least, met):
    axes = Figure().subplots()
    plot_criterion(axes, [0, 1, 2], [0.3, None, 0.1], 0.2, name="force MAE", unit="eV/A", at_least=at_least)
    filled, empty = axes.lines[1:3]
    assert list(filled.get_xdata()) == met and len(empty.get_xdata()) == 1
    assert empty.get_markerfacecolor() == "white"
    assert axes.lines[3].get_ydata()[0] == 0.2
    low, high = axes.get_ylim()
    assert low == 0.0 and high > 0.3
    shaded = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (shaded.y0, shaded.y1) == pytest.approx((0.2, high) if at_least else (0.0, 0.2))


def test_steps_of_a_round_stand_behind_one_another():
    axes = Figure().subplots()
    plot_costs(axes, [3, 4], {"labelling": [2.0, 1.0], "training": [0.5, 0.25]})
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    np.testing.assert_allclose(ends, [2.0, 1.0, 2.5, 1.25])
    # The first round is on top.
    assert axes.yaxis_inverted() and list(axes.get_yticks()) == [3, 4]
