"""Free energies from biased runs against those of known potentials, at 1160 K (kT = 0.1 eV)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias import Bias
from aiida_sicmlip.science.bias.tables import read_table
from aiida_sicmlip.science.free_energy.reweighting import (
    FreeEnergy,
    FreeEnergySettings,
    Walker,
    effective_samples,
    frame_weights,
    reweighted_free_energy,
    thermal_energy,
)

KT = 0.1
TEMPERATURE = KT / thermal_energy(1.0)
BARRIER = 0.6
STEPS = 60_000
EDGES = [np.linspace(1.6, 4.4, 29)]


def double_well(point: np.ndarray) -> np.ndarray:
    """Energy (eV) of points (1, ...): two wells at 2 and 4 A, 0.2 eV apart, 0.6 eV and 0.4 eV below the top."""
    x = point[0] - 3
    return 0.5 * (x**2 - 1) ** 2 + 0.1 * x


def slope_of_double_well(point: np.ndarray) -> np.ndarray:
    x = point[0] - 3
    return np.array([2 * x * (x**2 - 1) + 0.1])


def slanted_wells(point: np.ndarray) -> np.ndarray:
    """Energy (eV) of points (2, ...): the double well along x, and y follows x."""
    return double_well(point) + (point[1] - 3 - 0.6 * (point[0] - 3)) ** 2


def slope_of_slanted_wells(point: np.ndarray) -> np.ndarray:
    stretch = 2 * (point[1] - 3 - 0.6 * (point[0] - 3))
    return np.array([slope_of_double_well(point)[0] - 0.6 * stretch, stretch])


def biased_walker(folder: Path, slope: Callable[[np.ndarray], np.ndarray], action: str, seed: int) -> Walker:
    """Run overdamped Langevin dynamics of the distances from atom 1 to others, biased by a plumed.dat.

    The noise is that of Leimkuhler and Matthews (J. Chem. Phys. 138, 174102, 2013), whose distribution is exact to
    second order in the time step.
    """
    start = np.array([2.0, 2.4]) if seed % 2 else np.array([4.0, 3.6])
    position = start[: len(slope(start))]
    names = [f"d{number}" for number in range(len(position))]
    lines = ["UNITS LENGTH=A ENERGY=eV TIME=ps"]
    lines += [f"{name}: DISTANCE ATOMS=1,{atom} NOPBC" for atom, name in enumerate(names, start=2)]
    lines += [
        f"b: {action} ARG={','.join(names)} PACE=50 BARRIER={BARRIER} TEMP={TEMPERATURE} "
        f"SIGMA={','.join(['0.15'] * len(names))} FILE=KERNELS",
        f"PRINT ARG={','.join(names)},b.bias FILE=COLVAR STRIDE=5",
    ]
    n_atoms = len(names) + 1
    bias = Bias("\n".join(lines) + "\n", kt_ev=KT, timestep_ps=0.001, n_atoms=n_atoms, folder=folder)
    step = 0.03
    normal = np.random.default_rng(seed).normal(size=(STEPS + 1, len(names)))
    noise = (normal[1:] + normal[:-1]) * np.sqrt(KT * step / 2)
    positions, cell = np.zeros((n_atoms, 3)), np.eye(3) * 50
    for number in range(STEPS):
        positions[1:, 0] = position
        force = bias.calculate(number, positions, cell).forces[1:, 0] - slope(position)
        position = position + step * force + noise[number]
    bias.close()
    columns = read_table(folder / "COLVAR").columns
    return Walker(np.stack([columns[name] for name in names], axis=1), columns["b.bias"], f"walker {seed}")


def exact(energy: Callable[[np.ndarray], np.ndarray], edges: list[np.ndarray]) -> np.ndarray:
    """Return -kT log of the density of bins; the density is the mean over 20 points a bin along each variable."""
    fine = []
    for edge in edges:
        points = np.linspace(edge[0], edge[-1], 20 * (len(edge) - 1) + 1)
        fine.append((points[1:] + points[:-1]) / 2)
    weights = np.exp(-energy(np.stack(np.meshgrid(*fine, indexing="ij"))) / KT)
    for axis, edge in enumerate(edges):
        weights = weights.reshape(*weights.shape[:axis], len(edge) - 1, 20, *weights.shape[axis + 1 :]).mean(axis + 1)
    volume = np.prod([edge[1] - edge[0] for edge in edges])
    return -KT * np.log(weights / (weights.sum() * volume))


def deviations(found: FreeEnergy, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the deviations (eV) of the bins that have an error, and the same in units of it."""
    known = np.isfinite(found.error)
    deviation = -KT * np.log(found.probability[known]) - truth[known]
    return deviation, deviation / found.error[known]


@pytest.fixture(scope="module", params=["OPES_METAD", "OPES_METAD_EXPLORE"])
def biased_runs(request, tmp_path_factory) -> list[Walker]:
    """Three walkers over the double well, each with a bias of its own."""
    return [
        biased_walker(tmp_path_factory.mktemp("walker"), slope_of_double_well, request.param, seed)
        for seed in (1, 2, 3)
    ]


def test_double_well(biased_runs):
    walkers = biased_runs
    truth = exact(double_well, EDGES)
    for chosen, allowed, errors in ((walkers[:1], 0.12, 2.5), (walkers, 0.06, 1.5)):
        found = reweighted_free_energy(chosen, [0], temperature=TEMPERATURE, edges=EDGES)
        deviation, scaled = deviations(found, truth)
        assert len(deviation) == 28
        assert np.sqrt((scaled**2).mean()) < errors
        assert np.abs(deviation).max() < allowed
        assert found.frames == len(chosen) * 9600
        assert 0.2 < found.effective_samples / found.frames < 0.7
    # Here the walkers were as often as in the wells; unbiased ones are there once in 400 frames.
    np.testing.assert_allclose(found.free_energy, truth - truth.min(), atol=0.06)


def test_walkers_together_are_nearer_to_the_truth(biased_runs):
    walkers = biased_runs
    truth = exact(double_well, EDGES)

    def error(chosen: list[Walker]) -> float:
        found = reweighted_free_energy(chosen, [0], temperature=TEMPERATURE, edges=EDGES)
        return float(np.sqrt((deviations(found, truth)[0] ** 2).mean()))

    assert error(walkers) < 0.7 * np.mean([error([walker]) for walker in walkers])


def test_shifts_of_single_biases_change_nothing(biased_runs):
    walkers = biased_runs
    shifted = [
        replace(walker, bias=walker.bias + shift) for walker, shift in zip(walkers, (3.0, -50.0, 0), strict=True)
    ]
    first, second = (reweighted_free_energy(runs, [0], temperature=TEMPERATURE) for runs in (walkers, shifted))
    np.testing.assert_allclose(second.free_energy, first.free_energy, atol=1e-9)
    np.testing.assert_allclose(second.error, first.error, atol=1e-9)


def test_map_and_its_marginals(tmp_path_factory):
    walkers = [
        biased_walker(tmp_path_factory.mktemp("walker"), slope_of_slanted_wells, "OPES_METAD_EXPLORE", seed)
        for seed in (1, 2)
    ]
    edges = [np.linspace(1.6, 4.4, 15), np.linspace(1.6, 4.4, 15)]
    deviation, scaled = deviations(
        reweighted_free_energy(walkers, [0, 1], temperature=TEMPERATURE, edges=edges), exact(slanted_wells, edges)
    )
    assert len(deviation) > 60
    assert np.sqrt((scaled**2).mean()) < 2
    curve = reweighted_free_energy(walkers, [0], temperature=TEMPERATURE, edges=edges[:1])
    # The integral over y of the slanted wells is the double well along x.
    deviation, scaled = deviations(curve, exact(double_well, edges[:1]))
    assert np.sqrt((scaled**2).mean()) < 2
    assert np.abs(deviation).max() < 0.06
    turned = reweighted_free_energy(walkers, [1, 0], temperature=TEMPERATURE, edges=edges)
    np.testing.assert_allclose(
        turned.probability.T, reweighted_free_energy(walkers, [0, 1], temperature=TEMPERATURE, edges=edges).probability
    )


def test_unbiased_run_gives_the_plain_histogram():
    samples = np.random.default_rng(1).normal(size=(4000, 2))
    walker = Walker(samples, np.zeros(4000))
    settings = FreeEnergySettings(discard=0, bins=12)
    found = reweighted_free_energy([walker], [1], temperature=TEMPERATURE, settings=settings)
    density, edges = np.histogram(samples[:, 1], bins=12, density=True)
    np.testing.assert_allclose(found.edges[0], edges)
    np.testing.assert_allclose(found.probability, density)
    sampled = density > 0
    np.testing.assert_allclose(found.free_energy[sampled], -KT * np.log(density[sampled] / density.max()))
    assert np.isnan(found.free_energy[~sampled]).all() and np.isnan(found.error[~sampled]).all()
    assert found.effective_samples == pytest.approx(4000)


def test_static_bias_is_taken_out_again():
    """Samples of two normal distributions, which harmonic biases made of a third one; errors have the right size."""
    edges = [np.linspace(-1.5, 1.5, 13)]
    truth = exact(lambda point: KT * point[0] ** 2 / 2, edges)
    squares = []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        walkers = []
        for centre in (-0.5, 0.5):
            # exp(-x^2/2) times exp(-(x - 2 centre)^2/2) is normal with mean `centre` and variance 1/2.
            x = generator.normal(centre, np.sqrt(0.5), size=(2000, 1))
            walkers.append(Walker(x, KT * (x[:, 0] - 2 * centre) ** 2 / 2 + 7 * centre))
        found = reweighted_free_energy(
            walkers, [0], temperature=TEMPERATURE, edges=edges, settings=FreeEnergySettings(discard=0, blocks=20)
        )
        whole = np.exp(-truth / KT).sum() * 0.25
        _, scaled = deviations(found, truth + KT * np.log(whole))
        assert len(scaled) == 12
        squares.append(scaled**2)
    assert 0.6 < np.mean(squares) < 1.5


def test_walkers_that_never_meet_are_uncertain():
    """Each walker knows one well: its blocks agree with each other, and only the comparison of walkers tells."""
    generator = np.random.default_rng(3)
    wells = [Walker(generator.normal(centre, 0.3, size=(1000, 1)), np.zeros(1000)) for centre in (0, 3, 0, 3)]
    edges = [np.linspace(-0.5, 3.5, 5)]
    found = reweighted_free_energy(wells, [0], temperature=TEMPERATURE, edges=edges)
    assert found.error[[0, 3]].min() > 0.3 * KT
    alone = reweighted_free_energy(wells[:1], [0], temperature=TEMPERATURE, edges=edges)
    assert alone.error[0] < 0.1 * KT
    # Where a single walker has been nobody can tell how sure it is.
    found = reweighted_free_energy(wells[:2], [0], temperature=TEMPERATURE, edges=edges)
    assert np.isinf(found.error[[0, 3]]).all()


def test_frames_of_no_weight_do_not_count():
    generator = np.random.default_rng(5)
    good = generator.normal(size=(1000, 1))
    bias = 0.05 * good[:, 0]
    edges = [np.linspace(-2, 2, 9)]
    settings = FreeEnergySettings(discard=0)
    mixed = np.repeat(good, 2, axis=0)
    mixed[1::2] = 0.1
    with_dead = Walker(mixed, np.where(np.arange(2000) % 2, -np.inf, np.repeat(bias, 2)))
    found, expected = (
        reweighted_free_energy([walker], [0], temperature=TEMPERATURE, settings=settings, edges=edges)
        for walker in (with_dead, Walker(good, bias))
    )
    np.testing.assert_allclose(found.probability, expected.probability)
    np.testing.assert_allclose(found.error, expected.error)
    assert found.effective_samples == pytest.approx(expected.effective_samples)
    with pytest.raises(InputError, match="No frame has a weight"):
        reweighted_free_energy([replace(with_dead, bias=np.full(2000, -np.inf))], [0], temperature=TEMPERATURE)


def test_weights():
    bias = np.array([0.0, KT, -800 * KT, 1e4])
    np.testing.assert_allclose(frame_weights(bias[:2], TEMPERATURE), np.array([2, 2 * np.e]) / (1 + np.e))
    np.testing.assert_allclose(frame_weights(bias, TEMPERATURE), [0, 0, 0, 4])
    assert effective_samples(np.array([1.0, 1, 0, 0])) == 2
    assert thermal_energy(1500.0) == pytest.approx(1500 * 8.617333e-5, rel=1e-5)


def test_smoothing():
    """Kernels widen a distribution by their own variance and reach two standard deviations, no further."""
    samples = np.random.default_rng(7).normal(size=(20000, 1))
    walker = Walker(samples, np.zeros(20000))
    settings = FreeEnergySettings(discard=0, bins=80, smoothing=4)
    found = reweighted_free_energy([walker], [0], temperature=TEMPERATURE, settings=settings)
    x, width = found.centres[0], np.diff(found.edges[0])[0]
    assert (found.probability * width).sum() == pytest.approx(1)
    # A Gaussian cut at two standard deviations has 0.774 of its variance.
    variance = (found.probability * width * x**2).sum() - (found.probability * width * x).sum() ** 2
    assert variance == pytest.approx(samples.var() + 0.774 * (4 * width) ** 2, rel=0.05)
    lonely = reweighted_free_energy(
        [Walker(np.append(np.zeros((99, 1)), [[10.0]], axis=0), np.zeros(100))],
        [0],
        temperature=TEMPERATURE,
        settings=FreeEnergySettings(discard=0, bins=100, smoothing=2),
    )
    assert 17 <= np.count_nonzero(np.isfinite(lonely.free_energy)) <= 18


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"discard": 1.0}, "give a number of at least 0 and below 1"),
        ({"discard": -0.1}, "at least 0"),
        ({"bins": 1}, "at least 2"),
        ({"blocks": 1}, "at least 2"),
        ({"smoothing": -1}, "at least 0"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(InputError, match=message):
        FreeEnergySettings.from_mapping(settings)


def test_wrong_input():
    samples = np.random.default_rng(9).normal(size=(100, 2))
    walker = Walker(samples, np.zeros(100))

    def estimate(*walkers: Walker, columns: tuple[int, ...] = (0,), **options) -> FreeEnergy:
        return reweighted_free_energy(walkers, columns, **{"temperature": TEMPERATURE, **options})

    for wrong, message in (
        (lambda: Walker(samples, np.zeros(99)), "the shape"),
        (lambda: Walker(samples, np.full(100, np.nan)), "not finite"),
        (lambda: Walker(np.full((100, 2), np.inf), np.zeros(100)), "not finite"),
        (estimate, "at least one"),
        (lambda: estimate(walker, columns=(2,)), "0 to 1"),
        (lambda: estimate(walker, columns=(0, 0)), "different"),
        (lambda: estimate(walker, replace(walker, variables=samples[:, :1])), "has 1 variables"),
        (lambda: estimate(Walker(samples[:5], np.zeros(5), "the short one")), "the short one has 4 frames"),
        (lambda: estimate(Walker(np.ones((100, 2)), np.zeros(100))), "leave out the constant one"),
        (lambda: estimate(walker, edges=[np.linspace(50, 60, 5)]), "within `edges`"),
        (lambda: estimate(walker, edges=[np.linspace(0, 1, 5)] * 2), "bins of 2 variables"),
        (lambda: estimate(walker, settings=FreeEnergySettings(bins=10, smoothing=3)), "smoothing"),
        (lambda: estimate(walker, temperature=0.0), "temperature"),
    ):
        with pytest.raises(InputError, match=message):
            wrong()
