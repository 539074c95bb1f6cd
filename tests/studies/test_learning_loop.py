"""The study of the loop: its arms, and the table and picture of its results."""

from __future__ import annotations

import functools
import operator

import pytest

from aiida_sicmlip.workflows.protocols.loop import load_protocol
from studies.learning_loop import ARMS, settings_of
from studies.learning_loop_table import draw, table


@pytest.fixture(scope="module")
def arms():
    """The complete settings of each arm."""
    return {arm: load_protocol("fast", settings_of(arm, "edip", 3, 4, 20.0)) for arm in ARMS}


def test_arms_differ_in_what_they_undo(arms):
    """One after the other they lose the variables, the brake, and the trainings; the labels are the same."""

    def value(path: str) -> list:
        return [functools.reduce(operator.getitem, path.split("."), settings) for settings in arms.values()]

    scalings = value("exploration.collective_variables.parameters.autoencoder.standardisation")
    assert scalings == ["vector", "entry", "entry", "entry"]
    assert value("training.committee_size") == [2, 2, 1, 1]
    assert [ramp is None for ramp in value("exploration.ramp")] == [False, False, True, True]
    assert value("training.parameters.model.pair_potential") == ["lennard-jones", "lennard-jones", "none", "none"]
    assert value("training.parameters.batch_size") == [1, 1, 1, 5]
    for path in ("selection.parameters.n_training", "selection.parameters.n_validation", "bootstrap", "max_rounds"):
        assert all(entry == value(path)[0] for entry in value(path))


def errors(scale: float) -> dict:
    """Errors of a potential on the test sets."""
    region = {"n_atoms": 60, "force_mae": 3 * scale}
    return {
        "biased": {"force_mae": scale, "force_rmse": 2 * scale, "energy_mae": 0.002},
        "hot": {"force_mae": 1.5 * scale, "force_rmse": 3 * scale, "energy_mae": 0.003},
        "migrating": {
            "force_mae": scale,
            "force_rmse": 2 * scale,
            "energy_mae": 0.003,
            "by_region": {"migrating": region, "surroundings": region},
            "score": 0.5,
        },
    }


def test_table_and_picture(tmp_path):
    """Each round is a line, with the walkers that were stopped or left no frames."""
    walkers = [
        {"name": "unbiased_00", "time": 50.0, "stopped": None},
        {"name": "walker_00", "time": 20.0, "stopped": None},
        {"name": "walker_01", "time": 3.0, "stopped": {"message": "too hot"}},
        {"name": "walker_02", "time": None, "stopped": None},
    ]
    rounds = [
        {
            "round": index,
            "labels": 75 * (index + 1),
            "n_training": 56,
            "errors": errors(0.2 / (index + 1)),
            "of_round": {"exploring": {"force_mae": 0.3}},
            "large_labels": 1,
            "walkers": walkers,
        }
        for index in range(2)
    ]
    results = {"edip, full, seed 1": {"arm": "full", "rounds": rounds}}
    lines = table(results).splitlines()
    assert len(lines) == 3 and len({len(line) for line in lines[1:]}) == 1
    assert lines[2].endswith("2 of 3") and "0.100" in lines[2] and "150" in lines[2]
    draw(results, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10000
