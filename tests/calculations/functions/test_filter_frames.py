"""Which frames pass the filter, and how the rest is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aiida import orm

from aiida_sicmlip.calculations.functions.filter_frames import filter_trajectory


@pytest.fixture
def thermodynamics() -> Callable[..., orm.ArrayData]:
    """Makes the output of a run with frames each 40 steps: values of a column at the frames, by its name."""

    def make(rows: int = 5, **columns: list[float]) -> orm.ArrayData:
        node = orm.ArrayData()
        # Two rows of an equilibration come first, with steps that occur again.
        node.set_array("step", np.array([0, 40, *range(0, 40 * rows, 40)]))
        node.set_array("production", np.array([False, False] + [True] * rows))
        usual = {"potential_energy": -80.0, "min_distance": 1.7, "max_force": 3.0}
        for name, value in usual.items():
            node.set_array(name, np.array([value] * 2 + columns.get(name, [value] * rows)))
        return node.store()

    return make


def test_frames_are_kept_by_what_the_run_said_of_them(
    generate_segment: Callable[..., Any], thermodynamics: Callable[..., Any]
) -> None:
    trajectory = generate_segment(n_frames=5)
    run = thermodynamics(
        min_distance=[1.7, 0.9, 1.7, 1.7, 1.7],
        max_force=[3.0, 50.0, 3.0, 40.0, 3.0],
        potential_energy=[-80.0, -80.0, -80.0, -80.0, float("nan")],
    )
    parameters = orm.Dict({"min_distance": 1.2, "max_force": 20.0})
    result = filter_trajectory(parameters, trajectory, run)
    assert result.get_array("kept").tolist() == [0, 2]
    counts = result.base.attributes
    assert (counts.get("n_frames"), counts.get("n_kept"), counts.get("n_dropped")) == (5, 2, 3)
    dropped = {reason: count for reason, count in counts.get("dropped").items() if count}
    assert dropped == {"min_distance": 1, "max_force": 1, "not_finite": 1}


def test_frames_without_a_row_are_unknown(
    generate_segment: Callable[..., Any], thermodynamics: Callable[..., Any]
) -> None:
    """A run that was killed may have written a frame whose row is lost."""
    result = filter_trajectory(orm.Dict({}), generate_segment(n_frames=5), thermodynamics(rows=4))
    assert result.get_array("kept").tolist() == [0, 1, 2, 3]
    assert result.base.attributes.get("dropped")["unknown"] == 1
