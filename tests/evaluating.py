"""Evaluations made by hand, as the calculation leaves them."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm

from aiida_sicmlip.engine.prediction import prediction_errors
from aiida_sicmlip.tools.evaluations import EVALUATION
from tests.exploring import Explored


def evaluated(
    explored: Explored,
    dataset: Any,
    potential: Any,
    *,
    noise: float = 0.2,
    regions: bool = True,
    energy_offsets: dict[str, float] | None = None,
) -> orm.CalcJobNode:
    """Return an evaluation whose predictions are wrong by noise (eV/A, eV).

    With ``regions`` the first two atoms of each frame are migrating and the next three surround them; distances to the
    defect grow by 1 A from atom to atom, from 0.5 A.
    """
    frames = dataset.frames()
    rng = np.random.default_rng(11)
    predictions = [
        (
            frame.get_potential_energy() + noise * rng.normal(),
            frame.get_forces() + noise * rng.normal(size=(len(frame), 3)),
        )
        for frame in frames
    ]
    arrays = orm.ArrayData()
    arrays.set_array("energies", np.array([energy for energy, _ in predictions]))
    arrays.set_array("forces", np.concatenate([forces for _, forces in predictions]))
    arrays.set_array("n_atoms", np.array([len(frame) for frame in frames]))
    if regions:
        place = np.concatenate([np.arange(len(frame)) for frame in frames])
        arrays.set_array("region", np.digitize(place, [2, 5]))
        arrays.set_array("distance_to_defect", place + 0.5)
    node = explored.process(orm.CalcJobNode, EVALUATION, dataset=dataset, potential=potential)
    results = prediction_errors(frames, predictions)
    explored.output(node, "results", orm.Dict({**results, "energy_offsets": energy_offsets or {}}))
    explored.output(node, "predictions", arrays)
    return node
