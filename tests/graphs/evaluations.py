"""Evaluations made by hand, as the calculation leaves them."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm

from aiida_sicmlip.common.process_types import EVALUATION
from aiida_sicmlip.engine.evaluation_report import Predictions, report_committee
from aiida_sicmlip.engine.prediction import prediction_errors
from aiida_sicmlip.science.evaluation.rare_events import score_regions
from aiida_sicmlip.science.evaluation.regions import AtomRegions
from tests.graphs.explorations import Explored


def evaluated(
    explored: Explored,
    dataset: Any,
    potential: Any,
    *,
    noise: float = 0.2,
    regions: bool = True,
    near_defect_distance: float | None = None,
    energy_offsets: dict[str, float] | None = None,
    committee: int = 0,
) -> orm.CalcJobNode:
    """Return an evaluation whose predictions are wrong by noise (eV/A, eV).

    With ``regions`` the first two atoms of each frame are migrating and the next three surround them; distances to the
    defect grow by 1 A from atom to atom, from 0.5 A, and three atoms are near it. ``near_defect_distance`` makes it one
    of an earlier version, which had one for all hosts. Other members of a ``committee`` of so many are wrong likewise.
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
        if near_defect_distance is None:
            arrays.set_array("near_defect", place < 3)
    results = {**prediction_errors(frames, predictions), "energy_offsets": energy_offsets or {}}
    if regions:
        masks = AtomRegions(arrays.get_array("region"), place + 0.5, place < 3, []).of_rare_events
        reference = np.concatenate([frame.get_forces() for frame in frames])
        scores = score_regions(arrays.get_array("forces"), reference, masks)
        results["rare_events"] = {name: score.to_dict() for name, score in scores.items()}
        if near_defect_distance is None:
            results["hosts"] = {"vv": {"n_frames": len(frames), "near_defect_distance": 3.37}}
        else:
            results["near_defect_distance"] = near_defect_distance
    if committee:
        first, *others = (
            Predictions(
                arrays.get_array("energies") + shift * rng.normal(size=len(frames)),
                arrays.get_array("forces") + shift * rng.normal(size=(sum(map(len, frames)), 3)),
                arrays.get_array("n_atoms"),
                None,
            )
            for shift in [0.0, *[noise] * (committee - 1)]
        )
        found, disagreement = report_committee(frames, first, others, results["energy_error_per_frame"])
        results["committee"] = found
        for name, array in disagreement.items():
            arrays.set_array(name, array)
    node = explored.process(orm.CalcJobNode, EVALUATION, dataset=dataset, potential=potential)
    explored.output(node, "results", orm.Dict(results))
    explored.output(node, "predictions", arrays)
    return node
