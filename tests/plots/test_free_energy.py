"""Pictures of free energies: what is drawn where, in which units."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure

from aiida_sicmlip.plots.free_energy import plot_free_energy_curve, plot_free_energy_map
from aiida_sicmlip.science.free_energy.reweighting import FreeEnergySettings, Walker, reweighted_free_energy


@pytest.fixture(scope="module")
def walkers() -> list[Walker]:
    """Two walkers with points around two places."""
    generator = np.random.default_rng(2)
    centres = generator.choice([-2.0, 2.0], size=(2, 3000, 1))
    return [Walker(center + generator.normal(0, 0.6, size=(3000, 2)), np.zeros(3000)) for center in centres]


def test_curve(walkers):
    axes = Figure().subplots()
    found = reweighted_free_energy(walkers, [0], temperature=1500, settings=FreeEnergySettings(bins=20))
    plot_free_energy_curve(axes, found, variable="CV 3", label="all walkers")
    dotted, line = axes.lines
    np.testing.assert_array_equal(dotted.get_ydata(), found.free_energy)
    known = np.isfinite(found.error)
    assert 0 < np.count_nonzero(known) < 20
    np.testing.assert_array_equal(np.isfinite(line.get_ydata()), known)
    (band,) = axes.collections
    highest = np.nanmax(np.where(known, found.free_energy + found.error, np.nan))
    assert band.get_datalim(axes.transData).ymax == pytest.approx(highest)
    assert axes.get_xlabel() == "CV 3"
    assert axes.get_ylabel() == "free energy (eV)"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["all walkers"]


def test_map(walkers):
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    found = reweighted_free_energy(walkers, [0, 1], temperature=1500, settings=FreeEnergySettings(bins=24, smoothing=1))
    plot_free_energy_map(axes, found, variables=("CV 2", "CV 3"))
    mesh = next(item for item in axes.collections if isinstance(item, QuadMesh))
    drawn = np.ma.getmaskarray(mesh.get_array()).reshape(24, 24)
    # The first variable runs along x, and what was not sampled is not drawn.
    np.testing.assert_array_equal(drawn, ~np.isfinite(found.free_energy.T))
    assert mesh.get_clim() == (0.0, pytest.approx(np.nanmax(found.free_energy)))
    lines = next(item for item in axes.collections if isinstance(item, QuadContourSet))
    assert 3 <= len(lines.levels) <= 12
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("CV 2", "CV 3")
    assert figure.axes[1].get_ylabel() == "free energy (eV)"


def test_map_up_to_a_chosen_height(walkers):
    figure = Figure()
    axes = figure.subplots()
    found = reweighted_free_energy(walkers, [0, 1], temperature=1500, settings=FreeEnergySettings(bins=12))
    plot_free_energy_map(axes, found, spacing=0.1, highest=0.35)
    lines = next(item for item in axes.collections if isinstance(item, QuadContourSet))
    np.testing.assert_allclose(lines.levels, [0.1, 0.2, 0.3])
    assert next(item for item in axes.collections if isinstance(item, QuadMesh)).get_clim() == (0.0, 0.35)
