"""Models as trainings leave them in the graph, made by hand on data sets that grew from labels for real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm

from aiida_sicmlip.calculations.functions.extend_dataset import extend_dataset
from aiida_sicmlip.common.labels import label_of_index
from aiida_sicmlip.common.process_types import TRAINING_CALCULATION
from aiida_sicmlip.data.dataset import LabelledDataSetData
from tests.graphs.packaged_models import stored_model
from tests.graphs.processes import output, process

PARAMETERS = {"model": {"cutoff": 4.0}, "maximum_steps": 5}
VERSIONS = {"python": "3.11.7", "torch": "2.13.0", "nequip": "0.19.1"}


def grown(labels: list[Any], level: Any, *sizes: int) -> LabelledDataSetData:
    """Return a data set of labels that grew in steps of the given sizes."""
    dataset, start = None, 0
    for size in sizes:
        indices = {label_of_index(start + index): labels[start + index] for index in range(size)}
        dataset = extend_dataset(level, **({} if dataset is None else {"previous": dataset}), **indices)
        start += size
    assert dataset is not None
    return dataset


def metrics(dataset: LabelledDataSetData, scale: float) -> dict[str, Any]:
    """Return errors of each configuration of a set: its index, from 1, times a scale."""
    by_frame = scale * np.arange(1.0, dataset.n_frames + 1)
    sizes = [len(frame) for frame in dataset.frames()]
    return {
        "n_frames": dataset.n_frames,
        "force_mae": float(np.average(by_frame, weights=sizes)),
        "force_rmse": float(by_frame.max()),
        "energy_mae": float(by_frame.mean() / 10),
        "force_mae_per_frame": by_frame.tolist(),
        "energy_error_per_frame": (by_frame / -10).tolist(),
    }


def trained(
    path: Path,
    code: orm.AbstractCode,
    training_set: LabelledDataSetData,
    validation_set: LabelledDataSetData,
    *,
    seed: int | None = 1,
    scale: float = 0.1,
    changes: dict[str, Any] | None = None,
    versions: dict[str, str] | None = None,
    caller: Any = None,
    **inputs: Any,
) -> Any:
    """Return a model that a training on both sets has made; ``scale`` gives its errors and weights."""
    path.mkdir(parents=True, exist_ok=True)
    given = {"code": code, "training_set": training_set, "validation_set": validation_set, **inputs}
    given["parameters"] = orm.Dict({**PARAMETERS, **(changes or {})})
    if seed is not None:
        given["seed"] = orm.Int(seed)
    node = process(orm.CalcJobNode, TRAINING_CALCULATION, caller, "training", **given)
    results = {"versions": {**VERSIONS, **(versions or {})}, "device": "cpu", "threads": 1, "stop_reason": "maximum"}
    output(node, "results", orm.Dict(results))
    errors = {"training": metrics(training_set, scale), "validation": metrics(validation_set, 2 * scale)}
    return output(node, "potential", stored_model(path / "m.nequip.zip", {"a.weight": [scale, 1.0]}, metrics=errors))
