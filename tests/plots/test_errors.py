"""Pictures of where forces are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.plots.errors import plot_disagreement, plot_error_by_distance
from aiida_sicmlip.science.evaluation.binned_quantiles import quantiles_by_bin

GENERATOR = np.random.default_rng(5)
DISTANCE = GENERATOR.uniform(0, 6, 900)
ERROR = 0.1 * GENERATOR.exponential(size=900)
EDGES = np.arange(0.0, 6.5, 0.5)


def test_median_bands_and_counts_by_distance():
    panels = Figure().subplots(2, 1)
    plot_error_by_distance(panels, quantiles_by_bin(DISTANCE, ERROR, EDGES), threshold=0.1)
    wide, narrow, median = (patch.get_data() for patch in panels[0].patches)
    inside = [np.floor(2 * DISTANCE) == number for number in range(len(EDGES) - 1)]
    np.testing.assert_allclose(median.values, [np.median(ERROR[atoms]) for atoms in inside])
    np.testing.assert_allclose(wide.values, [np.quantile(ERROR[atoms], 0.95) for atoms in inside])
    np.testing.assert_allclose(wide.baseline, [np.quantile(ERROR[atoms], 0.05) for atoms in inside])
    np.testing.assert_allclose(narrow.baseline, [np.quantile(ERROR[atoms], 0.25) for atoms in inside])
    np.testing.assert_array_equal(panels[1].patches[0].get_data().values, [atoms.sum() for atoms in inside])
    assert panels[0].get_xlim() == panels[1].get_xlim() == (0.0, 6.0)
    assert "Å" in panels[1].get_xlabel() and "eV/Å" in panels[0].get_ylabel()
    names = [text.get_text() for text in panels[0].get_legend().get_texts()]
    assert names == ["5 to 95 % of the atoms", "25 to 75 % of the atoms", "median", "threshold, 0.1 eV/Å"]


def test_no_known_distance_is_said():
    found = quantiles_by_bin(np.full(3, np.nan), np.ones(3), EDGES)
    with pytest.raises(InputError, match="No atom has a known distance"):
        plot_error_by_distance(Figure().subplots(2, 1), found)


def test_one_atom_is_drawn():
    panels = Figure().subplots(2, 1)
    plot_error_by_distance(panels, quantiles_by_bin(np.array([1.2]), np.array([0.3]), EDGES))
    assert panels[0].patches[2].get_data().values[2] == 0.3


def test_disagreement_against_error():
    figure = Figure()
    axes = figure.subplots()
    disagreement = ERROR * np.exp(0.3 * GENERATOR.normal(size=900))
    disagreement[:10] = 0.0
    assert plot_disagreement(axes, disagreement, ERROR, correlation=0.87) is axes
    (cells,) = axes.collections
    # What has no logarithm has no place.
    assert cells.get_array().sum() == 890
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_legend().get_title().get_text() == "rank correlation 0.87"
    assert figure.axes[1].get_ylabel() == "atoms per cell"
    lowest, highest = axes.get_xlim()
    assert lowest < disagreement[10:].min() and highest > disagreement.max()


def test_too_few_atoms_to_compare_are_said():
    with pytest.raises(InputError, match="Fewer than two atoms"):
        plot_disagreement(Figure().subplots(), np.array([0.1, np.nan]), np.array([0.1, 0.2]))
