"""Cumulative distributions: the area below a line is the number in the legend."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.plots.rare_events import plot_cumulative
from aiida_sicmlip.science.evaluation.rare_events import score_regions

GENERATOR = np.random.default_rng(6)
REFERENCE = GENERATOR.normal(size=(60, 3))


def distributions(noise: float, quantity: str = "delta_f") -> dict:
    predicted = REFERENCE + noise * np.random.default_rng(7).normal(size=(60, 3))
    regions = {"migrating": np.arange(60) < 10, "elsewhere": np.arange(60) >= 10, "surroundings": np.zeros(60, bool)}
    return {name: getattr(score, quantity) for name, score in score_regions(predicted, REFERENCE, regions).items()}


@pytest.mark.parametrize(("quantity", "upper"), [("delta_f", 1.0), ("delta_theta", 90.0)])
def test_area_below_each_line_is_nac(quantity, upper):
    axes = Figure().subplots()
    found = distributions(0.4, quantity)
    assert plot_cumulative(axes, {"model": found}, quantity="error", unit="unit") is axes
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    # Regions without atoms are left out.
    assert [name.split(":")[0] for name in names] == ["migrating", "elsewhere", "all"]
    for line, name in zip(axes.get_lines(), names, strict=True):
        distribution = found[name.split(":")[0]]
        x, y = line.get_data()
        area = (np.diff(x) * y[:-1]).sum() / upper
        assert area == pytest.approx(distribution.nac)
        assert name.endswith(f": {distribution.nac:.3f} ({distribution.n})")
        assert line.get_drawstyle() == "steps-post"
    assert axes.get_xlim() == (0.0, upper)
    assert axes.get_xlabel() == "error (unit)"


def test_models_beside_each_other():
    axes = Figure().subplots()
    migrating = {name: {"migrating": distributions(noise)["migrating"]} for name, noise in (("a", 0.1), ("b", 0.8))}
    plot_cumulative(axes, migrating, quantity="delta_F", unit="eV/Å")
    first, second = axes.get_lines()
    assert (first.get_ydata() >= second.get_ydata()).all()
    assert first.get_color() != second.get_color()
    assert first.get_linestyle() != second.get_linestyle()
    assert [line.get_label().split(":")[0] for line in (first, second)] == ["a, migrating", "b, migrating"]


def test_several_regions_of_several_models_share_colours():
    axes = Figure().subplots()
    plot_cumulative(axes, {"a": distributions(0.1), "b": distributions(0.8)}, quantity="delta_F", unit="eV/Å")
    lines = axes.get_lines()
    assert [line.get_color() for line in lines[:3]] == [line.get_color() for line in lines[3:]]
    assert len({line.get_color() for line in lines}) == 3
    assert [line.get_linestyle() for line in lines] == 3 * ["-"] + 3 * ["--"]


def test_no_atoms_are_said():
    empty = {"migrating": distributions(0.1)["surroundings"]}
    for given in ({"model": empty}, {}):
        with pytest.raises(InputError, match="nothing to draw"):
            plot_cumulative(Figure().subplots(), given, quantity="delta_F", unit="eV/Å")
