"""Settings of a training for another try."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.io.training_settings import complete_training_settings


def with_lower_learning_rate(settings: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """Return ``settings`` of a training with its learning rate times ``factor``; the least one falls with it.

    :raises InputError: where ``factor`` is not between 0 and 1, or the settings are none.
    """
    if not 0 < factor < 1:
        raise InputError(f"The factor of the learning rate is {factor}: give a number between 0 and 1.")
    complete = complete_training_settings(settings)
    changed = copy.deepcopy(dict(settings))
    rate = complete["optimiser"]["learning_rate"] * factor
    changed["optimiser"] = {**changed.get("optimiser", {}), "learning_rate": rate}
    if complete["schedule"]["minimum_learning_rate"] > rate:
        changed["schedule"] = {**changed.get("schedule", {}), "minimum_learning_rate": rate}
    return changed
