"""Pictures of selections show what they are given."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from aiida_sicmlip.plots.selection import (
    RoundErrors,
    plot_error_against_distance,
    plot_map,
    plot_novelty,
)
from aiida_sicmlip.plots.style import add_shared_legend
from aiida_sicmlip.science.selection.novelty import Coefficient

POINTS = np.random.default_rng(2).normal(size=(50, 2))
DISTANCE = np.array([0.001, 0.01, 0.1, 0.2])
ERROR = np.array([0.05, 0.1, 0.3, 0.2])


def names(legend) -> list[str]:
    return [text.get_text() for text in legend.get_texts()]


def test_novelty():
    axes = Figure().subplots()
    assert plot_novelty(axes, {"round 0": np.array([np.inf, 0.2, 0.1]), "round 1": np.array([0.1, 0.0])}) is axes
    first, second = axes.get_lines()
    np.testing.assert_array_equal(first.get_xdata(), [1, 2, 3])
    # What has no logarithm leaves a gap, at its place.
    np.testing.assert_array_equal(first.get_ydata(), [np.nan, 0.2, 0.1])
    np.testing.assert_array_equal(second.get_ydata(), [0.1, np.nan])
    assert first.get_color() != second.get_color()
    assert (axes.get_yscale(), axes.get_ylabel()) == ("log", "distance when picked")
    assert names(axes.get_legend()) == ["round 0", "round 1"]


def test_errors_of_rounds():
    lines = Figure().subplots()
    plot_novelty(lines, dict.fromkeys(("round 0", "round 1", "round 2"), DISTANCE))
    axes = Figure().subplots()
    with_gaps = np.where(ERROR > 0.25, np.nan, ERROR)
    rounds = [
        RoundErrors("round 0", np.full(4, np.inf), ERROR),
        RoundErrors("round 1", DISTANCE, with_gaps, Coefficient(0.5, -0.25, 0.875)),
        RoundErrors("round 2", 2 * DISTANCE, ERROR),
    ]
    assert plot_error_against_distance(axes, rounds) is axes
    second, third = axes.collections
    np.testing.assert_array_equal(second.get_offsets(), np.array([DISTANCE, ERROR]).T[[0, 1, 3]])
    np.testing.assert_array_equal(third.get_offsets(), np.array([2 * DISTANCE, ERROR]).T)
    # A round has one colour in both pictures, whether or not those before it have frames to show.
    expected = [to_hex(line.get_color()) for line in lines.get_lines()[1:]]
    assert [to_hex(drawn.get_facecolor()[0]) for drawn in (second, third)] == expected
    assert names(axes.get_legend()) == ["round 1: 0.50 (-0.25 to 0.88)", "round 2: too few"]
    assert axes.get_legend().get_title().get_text() == "rank correlation"
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert "eV/Å" in axes.get_ylabel()


def test_map():
    axes = Figure().subplots()
    picked = {"training": POINTS[:3] + 1, "validation": POINTS[3:5], "fixed validation": POINTS[:0]}
    assert plot_map(axes, POINTS, POINTS[5:9] - 1, picked, [0.614, 0.2]) is axes
    drawn = {collection.get_label(): collection.get_offsets() for collection in axes.collections}
    assert list(drawn) == ["frames", "training set", "new: training", "new: validation"]
    for offsets, points in zip(drawn.values(), (POINTS, POINTS[5:9] - 1, POINTS[:3] + 1, POINTS[3:5]), strict=True):
        np.testing.assert_array_equal(offsets, points)
    assert axes.get_xlabel() == "component 1 (61 % of variance)"
    assert axes.get_ylabel() == "component 2 (20 % of variance)"


def test_map_of_a_first_round_and_legend_of_several():
    figure = Figure(layout="constrained")
    panels = figure.subplots(1, 2)
    fixed = {"training": POINTS[:2], "validation": POINTS[2:4], "fixed validation": POINTS[4:6]}
    plot_map(panels[0], POINTS, POINTS[:0], fixed)
    plot_map(panels[1], POINTS, POINTS[:9], {"training": POINTS[9:12]})
    assert panels[0].get_xlabel() == "component 1"
    assert "training set" not in panels[0].get_legend_handles_labels()[1]
    add_shared_legend(panels)
    (legend,) = figure.legends
    assert names(legend) == ["frames", "training set", "new: training", "new: validation", "new: fixed validation"]
