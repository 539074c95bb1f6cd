"""Small packaged models with given weights, written as `nequip-package` writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def write_package(path: Path, weights: Mapping[str, Any]) -> Path:
    """Write a package whose model holds ``weights`` as parameters, under dotted names of two parts, and return it."""
    import torch

    model = torch.nn.ModuleDict()
    for name, values in weights.items():
        module, parameter = name.split(".")
        if module not in model:
            model[module] = torch.nn.Module()
        tensor = torch.tensor(np.asarray(values, dtype=float))
        model[module].register_parameter(parameter, torch.nn.Parameter(tensor))
    with torch.package.PackageExporter(str(path)) as package:
        package.extern(["torch.**"])
        package.save_pickle("model", "eager_model.pkl", model)
    return path


def stored_model(path: Path, weights: Mapping[str, Any], **attributes: Any) -> Any:
    """Return an unstored portable potential with such weights."""
    from aiida_sicmlip.data.potential import PotentialData

    given = {"species": ["C", "Si"], "cutoff": 4.0, **attributes}
    return PotentialData(str(write_package(path, weights)), "potential.nequip.zip", **given)
