"""Collective variables as files: a TorchScript model that PLUMED's PYTORCH_MODEL runs, and its description in JSON.

The model takes distances in A in the order of the description's `pairs`, shape (1, P) or (F, P), float32, and gives the
collective variables, (1, latent) or (F, latent). Switching function, sorting and standardisation are inside.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.pines.layout import PivLayout
from aiida_sicmlip.science.pines.model import CollectiveVariables
from aiida_sicmlip.science.pines.piv import pair_distances
from aiida_sicmlip.science.pines.settings import SwitchingFunction
from aiida_sicmlip.science.pines.training import TrainedAutoencoder

FORMAT = 1


class CollectiveVariableModel:
    """A model and its description, as read back from their files."""

    def __init__(self, module: nn.Module, description: Mapping[str, Any]) -> None:
        self.module = module
        self.description = dict(description)
        self.layout = PivLayout.from_groups(description["groups"])
        self.switching = SwitchingFunction.from_mapping(description["switching"])

    def evaluate(self, positions: np.ndarray, cells: np.ndarray, pbc: np.ndarray) -> np.ndarray:
        """Return the collective variables (F, latent) of frames of whole structures: positions (F, N, 3) in A.

        :param cells: (F, 3, 3), or (3, 3) for all frames. :param pbc: three booleans.
        """
        chosen = torch.as_tensor(np.asarray(positions)[:, list(self.layout.atoms)], dtype=torch.float64)
        with torch.no_grad():
            distances = pair_distances(chosen, cells, pbc, self.layout.local_pairs)
            return self.module(distances.float()).double().numpy()


def describe(layout: PivLayout, switching: SwitchingFunction, trained: TrainedAutoencoder) -> dict[str, Any]:
    """Return the description: plain values that depend on nothing but the training's input; indices are from 0."""
    return {
        "format": FORMAT,
        "atoms": list(layout.atoms),
        "groups": layout.groups,
        "pairs": layout.pairs.tolist(),
        "blocks": layout.blocks,
        "switching": switching.to_dict(),
        "autoencoder": trained.settings.to_dict() | {"hidden": list(trained.settings.hidden)},
        "variance_explained": trained.variance_explained,
        "ranges": trained.ranges,
        "n_frames": trained.n_frames,
        "held_out_trajectories": trained.held_out,
        "best_epoch": trained.best_epoch,
        "training_curve": [asdict(epoch) for epoch in trained.curve],
    }


def serialise_model(model: CollectiveVariables) -> bytes:
    """Return the content of the TorchScript file of a model."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # PLUMED loads TorchScript, which newer versions of torch still write, with a warning.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.script(model.eval()), buffer)
    return buffer.getvalue()


def write_model(
    model_file: str | PathLike[str],
    description_file: str | PathLike[str],
    layout: PivLayout,
    switching: SwitchingFunction,
    trained: TrainedAutoencoder,
) -> dict[str, Any]:
    """Write the TorchScript file and the description of trained collective variables; return the description."""
    description = describe(layout, switching, trained)
    Path(model_file).write_bytes(serialise_model(CollectiveVariables(layout, switching, trained.model)))
    text = json.dumps(description, indent=1, allow_nan=False) + "\n"
    Path(description_file).write_text(text, encoding="utf-8")
    return description


def read_model(model_file: str | PathLike[str], description_file: str | PathLike[str]) -> CollectiveVariableModel:
    """Read collective variables back.

    :raises InputError: when a file cannot be read, or the two do not belong together.
    """
    try:
        description = json.loads(Path(description_file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"The description `{description_file}` cannot be read as JSON: {error}.") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise InputError(f"`{description_file}` is no description of collective variables of format {FORMAT}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            module = torch.jit.load(io.BytesIO(Path(model_file).read_bytes()), map_location="cpu").eval()
    except (OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"The model `{model_file}` cannot be read as TorchScript: {reason}") from error
    model = CollectiveVariableModel(module, description)
    stored = module.state_dict().get("order")
    if stored is None or stored.tolist() != model.layout.order:
        raise InputError(
            f"`{model_file}` and `{description_file}` do not belong together: they order pairs differently."
        )
    return model
