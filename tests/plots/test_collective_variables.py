"""Pictures of samples in the space of collective variables."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from aiida_sicmlip.plots.collective_variables import (
    RoundSamples,
    plot_rounds,
    plot_samples,
)
from aiida_sicmlip.plots.style import MAX_POINTS, thin

POINTS = np.random.default_rng(4).normal(size=(300, 2))


def test_samples():
    axes = Figure().subplots()
    plot_samples(
        axes, {"before": POINTS, "after": POINTS + 3}, marked={"hop": POINTS[:2] + 1}, variables=("CV 2", "CV 3")
    )
    before, after, hop = axes.collections
    np.testing.assert_array_equal(before.get_offsets(), POINTS)
    np.testing.assert_array_equal(after.get_offsets(), POINTS + 3)
    np.testing.assert_array_equal(hop.get_offsets(), POINTS[:2] + 1)
    assert to_hex(before.get_facecolor()[0]) != to_hex(after.get_facecolor()[0])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["before", "after", "hop"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("CV 2", "CV 3")


def test_rounds():
    figure = Figure()
    panels = figure.subplots(1, 2)
    rounds = [
        RoundSamples("round 0", [POINTS, POINTS + 1], POINTS[:5]),
        RoundSamples("round 1", [POINTS + shift for shift in range(9)]),
    ]
    plot_rounds(panels, rounds)
    assert [axes.get_title() for axes in panels] == ["round 0", "round 1"]
    assert [len(axes.collections) for axes in panels] == [3, 9]
    assert panels[0].get_legend().get_texts()[0].get_text() == "5 selected"
    assert panels[1].get_legend() is None
    # More walkers than colours in the list: each still has its own.
    assert len({to_hex(cloud.get_facecolor()[0]) for cloud in panels[1].collections}) == 9


def test_long_runs_are_thinned_evenly():
    values = np.arange(3 * MAX_POINTS + 1)
    thinned = thin(values)
    assert len(thinned) <= MAX_POINTS
    assert set(np.diff(thinned)) == {4}
    np.testing.assert_array_equal(thin(values[:MAX_POINTS]), values[:MAX_POINTS])
