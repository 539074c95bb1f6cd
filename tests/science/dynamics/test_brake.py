"""Bounds of temperature and distance, and what a log says of a stop."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_sicmlip.science.dynamics.brake import DISTANCE, Stop, find_halt, min_distances, temperature_bound
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings


@pytest.mark.parametrize("n_atoms", [14, 62])
def test_bound_is_so_many_standard_deviations_of_the_temperature(n_atoms: int) -> None:
    """Velocities of the Maxwell distribution, in units where the mean temperature is 1."""
    velocities = np.random.default_rng(1).normal(size=(20000, 3 * n_atoms))
    temperatures = (velocities**2).mean(axis=1)
    assert temperature_bound(1.0, n_atoms, 10.0) - 1.0 == pytest.approx(10.0 * temperatures.std(), rel=0.02)


def test_default_bound() -> None:
    settings = ExplorationSettings(temperature=1500.0)
    assert settings.maximum_temperature(62) == pytest.approx(1500.0 * 2.037, rel=1e-3)
    assert settings.maximum_temperature(14) == pytest.approx(1500.0 * 3.182, rel=1e-3)
    assert ExplorationSettings(temperature_deviations=None).maximum_temperature(62) is None


def test_distances_of_silicon_carbide() -> None:
    assert min_distances(["C", "Si"], 0.75) == pytest.approx(
        {("C", "C"): 1.14, ("C", "Si"): 1.4025, ("Si", "Si"): 1.665}
    )
    assert ExplorationSettings(min_distance_ratio=None).min_distances(["C"]) == {}


@pytest.mark.parametrize(("frame_interval", "expected"), [(0.1, 10), (0.005, 5), (0.015, 5), (0.007, 1)])
def test_each_frame_is_checked(frame_interval: float, expected: int) -> None:
    settings = ExplorationSettings(frame_interval=frame_interval, production=2.1, equilibration=0.0)
    assert settings.check_steps == expected


def test_halts_of_a_log() -> None:
    text = "Fix halt condition for fix-id stop_{} met on step 120 with value {} (src/fix_halt.cpp:308)\n"
    halt = find_halt("some rows\n" + text.format("distance_C_Si", 2) + text.format("temperature", 4000.5))
    assert halt is not None
    assert (halt.cause, halt.pair, halt.step, halt.value, halt.position) == (DISTANCE, ("C", "Si"), 120, 2.0, 10)
    halt = find_halt(text.format("disagreement", "1.625"))
    assert halt is not None and (halt.cause, halt.pair, halt.value) == ("disagreement", (), 1.625)
    assert find_halt(text.replace("stop_{}", "mine").format(1)) is None


def test_messages() -> None:
    stop = Stop("disagreement", 1.6251, 1.5, 3.21, in_production=True, at_once=False)
    assert stop.message == "disagreement of the committee 1.625 eV/A, above 1.5 eV/A, after 3.21 ps of the production"
    stop = Stop(DISTANCE, None, 1.4025, 0.5, in_production=False, at_once=True, pair=("C", "Si"))
    assert stop.message == "C-Si distance below 1.40 A, after 0.5 ps of the equilibration"
    assert stop.to_dict()["unit"] == "A" and stop.to_dict()["pair"] == ["C", "Si"]
