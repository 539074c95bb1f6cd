"""Settings of trainings as they were stored when their length was counted in passes over the training set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_DEFAULTS: dict[str, Any] = {
    "model": {
        "cutoff": 5.0,
        "l_max": 1,
        "parity": True,
        "num_layers": 1,
        "num_bessels": 8,
        "polynomial_cutoff_exponent": 6.0,
        "num_scalar_features": 24,
        "num_tensor_features": 8,
        "mlp_depth": 1,
        "mlp_width": 32,
        "readout_mlp_width": 16,
        "pair_potential": "none",
        "precision": "float64",
    },
    "loss": {"energy": 1.0, "forces": 1.0},
    "optimiser": {"learning_rate": 0.005, "gradient_clipping": None, "average_decay": None},
    "schedule": {"kind": "plateau", "factor": 0.5, "patience": 25, "minimum_learning_rate": 1e-6},
    "batch_size": 5,
    "validation_batch_size": 10,
    "maximum_epochs": 500,
    "early_stopping_patience": None,
    "keep_neighbour_lists": True,
    "device": "cpu",
    "threads": 1,
}
"""What was not given had these values then."""


def settings_in_steps(parameters: Mapping[str, Any], n_frames: int, *, packaged: bool = False) -> dict[str, Any]:
    """Return today's settings of the same training: same steps, losses and learning rates, thus the same weights.

    :param parameters: stored settings with ``maximum_epochs``, or without it where the default was meant.
    :param n_frames: number of training frames.
    :param packaged: whether the model comes from a package, with its own settings.
    """
    given: dict[str, Any] = {
        name: {**value, **parameters.get(name, {})} if isinstance(value, Mapping) else parameters.get(name, value)
        for name, value in _DEFAULTS.items()
    }
    epochs, patience = given.pop("maximum_epochs"), given.pop("early_stopping_patience")
    steps_per_pass = math.ceil(n_frames / given["batch_size"])
    if packaged:
        given["model"] = dict(parameters.get("model", {}))
    return {
        **given,
        "loss": {**given["loss"], "huber_delta": None, "final_energy": None},
        "schedule": {**given["schedule"], "changes": "pass"},
        "maximum_steps": epochs * steps_per_pass,
        "validation_interval": steps_per_pass,
        "early_stopping_steps": None if patience is None else patience * steps_per_pass,
    }
