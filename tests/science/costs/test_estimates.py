"""Estimates of cost: they hold what was measured, follow their scalings, and find the budget that ends a run."""

from __future__ import annotations

import dataclasses
import math

import pytest

from aiida_sicmlip.science.costs.budgets import Budget
from aiida_sicmlip.science.costs.estimates import (
    TIMED,
    Bounds,
    Cell,
    Network,
    label_seconds,
    product_size,
    step_seconds,
    training_frame_seconds,
)
from aiida_sicmlip.science.costs.runs import (
    Labels,
    Trainings,
    Walkers,
    Workload,
    costs_by_round,
    first_exhausted_budget,
    total_costs,
)
from aiida_sicmlip.science.training.neighbour_pairs import neighbour_pairs
from aiida_sicmlip.science.training.settings import TrainingParameters
from tests.crystals import silicon_carbide_host

CUBE = 4.416**3
CELLS = {14: Cell(14, 4 * CUBE / 2), 30: Cell(30, 4 * CUBE), 62: Cell(62, 8 * CUBE), 214: Cell(214, 27 * CUBE)}
NETWORKS = {
    "small, 4.5 A, l_max 2": dataclasses.replace(TIMED, cutoff=4.5, l_max=2),
    "small": TIMED,
    "small, l_max 2": dataclasses.replace(TIMED, l_max=2),
    "small, two layers": dataclasses.replace(TIMED, num_layers=2),
    "small, wide": dataclasses.replace(TIMED, num_scalar_features=64, mlp_width=64, mlp_depth=2),
    "small, tensors": dataclasses.replace(TIMED, num_tensor_features=32),
    "paper": Network(6.0, 2, 2, 64, 16, 2, 64, "float64"),
}
# Measured with `benchmarks/cost_bases.py` on a machine that did much else, which makes times longer by 1.76.
LOADED = 47.6 / 27.0
TRAINING_MS = {
    ("small, 4.5 A, l_max 2", 14): 19.4,
    ("small", 62): 47.6,
    ("small, l_max 2", 62): 59.7,
    ("small, two layers", 62): 79.6,
    ("small, wide", 62): 81.7,
    ("small, tensors", 62): 61.7,
    ("paper", 62): 2334.0,
}


def scf(n_atoms: int, cutoff: float = 30.0, **changes: object) -> Bounds:
    given = {"spin_polarised": True, "kpoints": 1, "gamma_only": True, **changes}
    return label_seconds(n_atoms, cutoff, **given)


@pytest.mark.parametrize(
    ("n_atoms", "cutoff", "seconds"),
    [(14, 30.0, 11.2), (14, 30.0, 15.0), (14, 55.0, 37.5), (30, 30.0, 64.9), (62, 30.0, 410.4)],
)
def test_labels_that_were_measured_lie_within_the_bounds(n_atoms: int, cutoff: float, seconds: float) -> None:
    bounds = scf(n_atoms, cutoff)
    assert bounds.low < seconds < bounds.high


def test_scaling_of_labels() -> None:
    """Plane waves grow with the 3/2 power of the cutoff; spin, and points without a trick, double the work."""
    assert scf(62, 60.0).middle == pytest.approx(2**1.5 * scf(62, 30.0).middle)
    assert scf(62, spin_polarised=False).middle == pytest.approx(scf(62).middle / 2)
    assert scf(62, gamma_only=False, kpoints=4).middle == pytest.approx(scf(62).middle * 8)
    large, larger = scf(200), scf(400)
    assert larger.high / large.high == pytest.approx(8.0)
    # The farther from what was measured, the less is known.
    assert larger.high / larger.low > large.high / large.low > scf(30).high / scf(30).low


@pytest.mark.parametrize(("network", "n_atoms"), TRAINING_MS)
def test_trainings_that_were_measured(network: str, n_atoms: int) -> None:
    """From the smallest network to that of the paper, of a hundred times the time, within a third."""
    estimate = training_frame_seconds(CELLS[n_atoms], NETWORKS[network], 2).middle
    assert 1000 * estimate == pytest.approx(TRAINING_MS[network, n_atoms] / LOADED, rel=0.35)


@pytest.mark.parametrize(
    ("n_atoms", "biased", "ms"), [(62, False, 6.4), (214, False, 28.6), (62, True, 7.7), (214, True, 34.7)]
)
def test_steps_that_were_measured(n_atoms: int, biased: bool, ms: float) -> None:
    """Those of `benchmarks/engine.py`, with the network that all times are counted in."""
    assert 1000 * step_seconds(CELLS[n_atoms], TIMED, biased=biased).middle == pytest.approx(ms, rel=0.25)


def test_a_step_with_edip_and_one_on_a_gpu() -> None:
    """14,000 steps a second of 62 atoms without bias and 1,600 with one; about 6 ns a day of 214 atoms on a GPU."""
    assert step_seconds(CELLS[62], None, biased=False).middle == pytest.approx(1 / 14000, rel=0.1)
    assert step_seconds(CELLS[62], None, biased=True).middle == pytest.approx(1 / 1600, rel=0.1)
    on_gpu = step_seconds(CELLS[214], Network(cutoff=6.0), biased=True, on_gpu=True)
    assert on_gpu.low < 86400 / 6.0e6 < on_gpu.high
    # Few atoms do not use a GPU up.
    few = step_seconds(CELLS[14], Network(cutoff=6.0), biased=True, on_gpu=True)
    assert few.low == pytest.approx(2.0e-3) and few.high < on_gpu.high


def test_pairs_are_those_of_the_crystal() -> None:
    """The mean over a continuum agrees with the neighbours in the crystal, beyond the first shells."""
    crystal = silicon_carbide_host(repeats=(2, 2, 2))
    cell = Cell(len(crystal), crystal.get_volume())
    for cutoff in (5.0, 6.0):
        assert cell.edges(cutoff) == pytest.approx(len(neighbour_pairs(crystal, cutoff)[0]), rel=0.15)


def test_products_of_tensors() -> None:
    """Of orders 0 and 1: one product of numbers, three that have a vector twice, and the cross product."""
    assert product_size(0) == 1
    assert product_size(1) == 1 + 3 * 9 + 27


@pytest.fixture
def workload() -> Workload:
    """Three rounds of ten labels in 62 atoms, on cores."""
    return Workload(
        rounds=3,
        walkers=[Walkers(CELLS[62], 2, 1000, 11)],
        unbiased_runs=[Walkers(CELLS[62], 4, 500, 6)],
        labels=Labels(7, 3, 2, scf(62), cores=2, concurrent=5),
        trainings=Trainings(
            Network(), TrainingParameters(maximum_steps=100, validation_interval=50, batch_size=2), members=2
        ),
        n_centres=30,
        max_variable_frames=20,
        variable_epochs=5,
        concurrent=2,
    )


def test_counts_are_exact(workload: Workload) -> None:
    total = total_costs(workload)
    assert total.steps == 3 * 2 * 1000 + 4 * 500
    assert total.frames == 3 * 2 * 11
    assert total.labels == 3 * 10 + 2
    assert total.trainings == 3 * 2
    # 100 steps are 25 passes of 4 steps, 14 of 7 and 9 of 11, with a validation after every 12, 7 or 5 of them.
    assert total.training_frames == 2 * (24 * 7 + 14 * 14 + 10 * 21)
    assert total.optimiser_steps == 2 * (24 * 4 + 14 * 7 + 10 * 11)
    given = dataclasses.replace(workload.trainings, initial_training=5)
    assert total_costs(dataclasses.replace(workload, trainings=given)).training_frames == 2 * (
        16 * 12 + 10 * 19 + 8 * 26
    )


def test_committee_is_evaluated_beside_the_walkers(workload: Workload) -> None:
    """Each further member costs an unbiased step at each check, once there is a committee."""
    alone = dataclasses.replace(workload, trainings=dataclasses.replace(workload.trainings, members=1))
    checked = [Walkers(CELLS[62], 2, 1000, 11, check_steps=25)]
    first, second, _ = costs_by_round(dataclasses.replace(workload, walkers=checked))
    first_alone, second_alone, _ = costs_by_round(alone)
    assert first.dynamics == first_alone.dynamics
    further = second.dynamics.middle / second_alone.dynamics.middle - 1
    network = workload.trainings.network
    share = step_seconds(CELLS[62], network, biased=False).middle / step_seconds(CELLS[62], network, biased=True).middle
    assert further == pytest.approx(share / 25)
    assert 0.02 < further < 0.04


def test_rounds_differ_by_what_explores_and_what_is_trained_on(workload: Workload) -> None:
    first, second, third = costs_by_round(workload)
    # EDIP costs next to nothing, and trainings grow with their set.
    assert first.dynamics.high < second.dynamics.low
    assert second.dynamics == third.dynamics
    assert first.training.middle < second.training.middle < third.training.middle
    assert first.labelling.middle > second.labelling.middle == third.labelling.middle
    # Ten labels of two cores, five at a time: a fifth of their core hours, and then half of that.
    alone = dataclasses.replace(workload, walkers=[], unbiased_runs=[])
    assert costs_by_round(alone)[1].wall.high >= second.labelling.high / 10
    # A model that is there already explores the first round, too.
    known = dataclasses.replace(workload, first_network=Network(), first_members=2, unbiased_runs=[])
    assert costs_by_round(known)[0].dynamics == second.dynamics


def test_what_runs_on_a_gpu_is_counted_there(workload: Workload) -> None:
    trainings = dataclasses.replace(workload.trainings, on_gpu=True)
    first, second, _ = costs_by_round(dataclasses.replace(workload, trainings=trainings, dynamics_on_gpu=True))
    # EDIP runs on cores.
    assert first.dynamics.high > 0 and second.dynamics.high == 0
    assert 0 < first.gpu.middle < second.gpu.middle
    assert total_costs(workload).gpu.high == 0


def test_the_first_budget_that_is_used_up(workload: Workload) -> None:
    rounds = costs_by_round(workload)
    dft = sum(entry.labelling.middle for entry in rounds[:2])
    assert first_exhausted_budget(Budget(), rounds) is None
    assert first_exhausted_budget(Budget(labels=32), rounds) is None
    assert first_exhausted_budget(Budget(labels=31), rounds) == ("labels", 2)
    assert first_exhausted_budget(Budget(labels=31, dft_core_hours=0.9 * dft), rounds) == ("dft_core_hours", 1)
    assert first_exhausted_budget(Budget(labels=11, gpu_hours=1.0), rounds) == ("labels", 0)
    assert first_exhausted_budget(Budget(wall_hours=rounds[0].wall.low / 10), rounds) == ("wall_hours", 0)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        (Bounds(4.46, 30.2), "4.5 to 30 core hours"),
        (Bounds(0.02, 0.2), "1.2 to 12 core minutes"),
        (Bounds(0.001, 0.004), "3.6 to 14 core seconds"),
        (Bounds(12345.0, 12345.0), "12,000 core hours"),
        (Bounds(), "0 core seconds"),
    ],
)
def test_bounds_in_words(bounds: Bounds, words: str) -> None:
    assert bounds.formatted("core") == words
    assert math.isclose(Bounds(2.0, 8.0).middle, 4.0)
