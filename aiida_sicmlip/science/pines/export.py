"""Files of collective variables: a TorchScript model for PLUMED's PYTORCH_MODEL, its description, and all weights.

The TorchScript model maps distances in A, float32, (1, P) or (F, P) in the order of the description's `pairs`, to the
collective variables, (1, latent) or (F, latent). It contains switching function, sorting and standardisation. The
weights (npz, float32, with the names of torch) are those of the whole autoencoder; no other file has the decoder.
Equal models give files with equal bytes, wherever this package is installed.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.filenames import CV_DESCRIPTION_FILE, CV_MODEL_FILE, CV_WEIGHTS_FILE
from aiida_sicmlip.science.archives import array_archive, stored_archive
from aiida_sicmlip.science.pines.autoencoder import PivAutoencoder
from aiida_sicmlip.science.pines.layout import PivLayout
from aiida_sicmlip.science.pines.model import CollectiveVariables
from aiida_sicmlip.science.pines.piv import pair_distances
from aiida_sicmlip.science.pines.settings import AutoencoderSettings, SwitchingFunction
from aiida_sicmlip.science.pines.training import TrainedAutoencoder

FORMAT = 1


class CollectiveVariableModel:
    """Collective variables read from their files: TorchScript model, description and autoencoder."""

    def __init__(self, module: nn.Module, description: Mapping[str, Any], autoencoder: PivAutoencoder) -> None:
        self.module = module
        self.autoencoder = autoencoder
        self.description = dict(description)
        self.layout = PivLayout.from_groups(description["groups"])
        self.switching = SwitchingFunction.from_mapping(description["switching"])

    def evaluate(self, positions: np.ndarray, cells: np.ndarray, pbc: np.ndarray) -> np.ndarray:
        """Return the collective variables (F, latent) of frames.

        :param positions: of all atoms of the structure, (F, N, 3), A.
        :param cells: (F, 3, 3), or (3, 3) for all frames, A.
        :param pbc: three booleans.
        """
        chosen = torch.as_tensor(np.asarray(positions)[:, list(self.layout.atoms)], dtype=torch.float64)
        with torch.no_grad():
            distances = pair_distances(chosen, cells, pbc, self.layout.local_pairs)
            return self.module(distances.float()).double().numpy()

    def decode(self, variables: np.ndarray) -> np.ndarray:
        """Return the permutation invariant vectors (F, P) decoded from variables (F, latent)."""
        with torch.no_grad():
            return self.autoencoder.decode(torch.as_tensor(variables, dtype=torch.float32)).double().numpy()


def describe(layout: PivLayout, switching: SwitchingFunction, trained: TrainedAutoencoder) -> dict[str, Any]:
    """Return the description, which depends only on the input of the training; indices start from 0."""
    return {
        "format": FORMAT,
        "atoms": list(layout.atoms),
        "groups": layout.groups,
        "pairs": layout.pairs.tolist(),
        "blocks": layout.blocks,
        "switching": switching.to_dict(),
        "autoencoder": trained.settings.to_dict(),
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
        # PLUMED loads TorchScript, which is deprecated in newer versions of torch.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.script(model.eval()), buffer)
    # Paths of source files on this machine and a checksum of them are removed; loading does not need them.
    with zipfile.ZipFile(buffer) as archive:
        names = [name for name in archive.namelist() if not name.endswith((".debug_pkl", "/serialization_id"))]
        return stored_archive({name: archive.read(name) for name in names})


def serialise_weights(autoencoder: PivAutoencoder) -> bytes:
    """Return the content of the npz file of all weights, float32."""
    state = autoencoder.state_dict()
    return array_archive({name: state[name].float().numpy().astype("<f4") for name in sorted(state)})


def write_model(
    folder: str | PathLike[str], layout: PivLayout, switching: SwitchingFunction, trained: TrainedAutoencoder
) -> dict[str, Any]:
    """Write the files of trained collective variables to a folder, and return the description."""
    description = describe(layout, switching, trained)
    text = json.dumps(description, indent=1, allow_nan=False) + "\n"
    target = Path(folder)
    (target / CV_MODEL_FILE).write_bytes(serialise_model(CollectiveVariables(layout, switching, trained.model)))
    (target / CV_DESCRIPTION_FILE).write_text(text, encoding="utf-8")
    (target / CV_WEIGHTS_FILE).write_bytes(serialise_weights(trained.model))
    return description


def read_model(folder: str | PathLike[str]) -> CollectiveVariableModel:
    """Read collective variables from a folder.

    :raises InputError: if a file cannot be read, or the files are inconsistent.
    """
    model_file, description_file, weights_file = (
        Path(folder) / name for name in (CV_MODEL_FILE, CV_DESCRIPTION_FILE, CV_WEIGHTS_FILE)
    )
    try:
        description = json.loads(description_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"The description `{description_file}` cannot be read as JSON: {error}.") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise InputError(f"`{description_file}` is not a description of collective variables of format {FORMAT}.")
    module = _read_module(model_file)
    autoencoder = _read_autoencoder(weights_file, description)
    model = CollectiveVariableModel(module, description, autoencoder)
    stored, expected = (
        m.state_dict() for m in (module, CollectiveVariables(model.layout, model.switching, autoencoder))
    )
    if "order" not in stored or not torch.equal(stored["order"], expected["order"]):
        raise InputError(f"`{model_file}` and `{description_file}` are inconsistent: the order of pairs differs.")
    if not all(name in stored and torch.equal(stored[name], values) for name, values in expected.items()):
        raise InputError(f"`{model_file}` and `{weights_file}` are inconsistent: their encoders differ.")
    return model


def _read_module(path: Path) -> nn.Module:
    """Read the TorchScript file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            return torch.jit.load(io.BytesIO(path.read_bytes()), map_location="cpu").eval()
    except (OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"The model `{path}` cannot be read as TorchScript: {reason}") from error


def _read_autoencoder(path: Path, description: Mapping[str, Any]) -> PivAutoencoder:
    """Return the autoencoder with the weights of a file."""
    settings = AutoencoderSettings.from_mapping(description["autoencoder"])
    # The dtype is explicit, since NequIP changes the default of the process.
    empty = torch.zeros(len(description["pairs"]), dtype=torch.float32)
    autoencoder = PivAutoencoder(empty, empty, settings.hidden, settings.latent)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            autoencoder.load_state_dict({name: torch.from_numpy(arrays[name]) for name in arrays.files})
    except (OSError, ValueError, EOFError, RuntimeError, AttributeError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"The weights `{path}` cannot be read or do not fit the layers of the description: {reason}"
        ) from error
    return autoencoder.eval().requires_grad_(False)
