"""Training of an Allegro model with NequIP: `sicmlip train`."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from hydra.utils import instantiate
from nequip.data.transforms import ChemicalSpeciesToAtomTypeMapper, NeighborListTransform
from nequip.utils import get_current_code_versions
from nequip.utils.global_state import set_global_state

from aiida_sicmlip.common.exceptions import InputError, ProgramError
from aiida_sicmlip.common.filenames import (
    BEST_CHECKPOINT_FILE,
    CHECKPOINT_FOLDER,
    NEQUIP_CONFIGURATION_FILE,
    PORTABLE_MODEL_FILE,
)
from aiida_sicmlip.engine.errors import NoModelError
from aiida_sicmlip.engine.initial_model import load_initial_model, starting_model
from aiida_sicmlip.engine.memory import convert_memory_errors
from aiida_sicmlip.engine.packaged_model import PackagedModel
from aiida_sicmlip.engine.prediction import prediction_errors
from aiida_sicmlip.engine.reports import read_json
from aiida_sicmlip.engine.training_data import LabelledFramesDataset, dataset_statistics, read_training_frames
from aiida_sicmlip.engine.training_progress import TrainingProgress
from aiida_sicmlip.science.training.lennard_jones import LennardJonesPrior
from aiida_sicmlip.science.training.nequip_config import nequip_config, nequip_yaml
from aiida_sicmlip.science.training.settings import TrainingSettings

BEST_CHECKPOINT = f"{CHECKPOINT_FOLDER}/{BEST_CHECKPOINT_FILE}"


def train(settings_file: str | Path, report: dict[str, Any]) -> None:
    """Train a model in the current folder and fill ``report``.

    Writes ``potential.nequip.zip`` (the model with the lowest validation loss), ``training_curve.json``,
    ``nequip.yaml`` and ``checkpoints/``.

    :param settings_file: JSON file of :class:`TrainingSettings`.
    :raises InputError: if the settings or the data sets are invalid.
    :raises NotANumberError: if the loss is not finite.
    :raises NoModelError: if the training stopped before the first validation.
    :raises OutOfMemoryError, OutOfGpuMemoryError: if the memory is exhausted.
    """
    with convert_memory_errors():
        _train(read_json(settings_file, "settings file"), report)


def _train(given: Mapping[str, Any], report: dict[str, Any]) -> None:
    """Train with the settings ``given``, without defaults; see :func:`train`."""
    settings = TrainingSettings.complete(given)
    initial = None
    if settings["initial_model"] is not None:
        initial = load_initial_model(settings["initial_model"], given)
        model_settings = {**settings["model"], "cutoff": initial.cutoff}
        settings = {**settings, "species": list(initial.species), "model": model_settings}
    species = settings["species"]
    report.update(settings=settings, species=species, cutoff=float(settings["model"]["cutoff"]))
    frames = {name: read_training_frames(settings[f"{name}_set"], species) for name in ("training", "validation")}
    report["n_frames"] = {name: len(group) for name, group in frames.items()}
    restart = settings["restart_checkpoint"]
    if restart is not None and not Path(restart).is_file():
        raise InputError(f"`restart_checkpoint` is `{restart}`, which does not exist; give an existing file or null.")
    if settings["device"] == "cuda" and not torch.cuda.is_available():
        raise InputError("`device` is cuda, but torch sees no GPU; set it to cpu or auto.")

    _fix_numerics(settings)
    _quieten_lightning()
    if initial is None:
        config = _configuration(settings, frames["training"])
    else:
        start = starting_model(settings["initial_model"], initial, frames["training"])
        config = nequip_config(given, start, len(frames["training"]))
    Path(NEQUIP_CONFIGURATION_FILE).write_text(nequip_yaml(config), encoding="utf-8")
    _fit(config, report, restart)
    package_model(BEST_CHECKPOINT, PORTABLE_MODEL_FILE)
    model = PackagedModel.load(PORTABLE_MODEL_FILE)
    report["best"] = {
        name: prediction_errors(group, [model.compute(frame) for frame in group]) for name, group in frames.items()
    }


def _fix_numerics(settings: Mapping[str, Any]) -> None:
    """Make the training reproducible: set number of threads, deterministic algorithms and seeds."""
    # cuBLAS reads it when it is loaded; without it, matrix products on a GPU are not deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(settings["threads"])
    # Some operations have no deterministic implementation on a GPU; they give a warning instead of an error.
    torch.use_deterministic_algorithms(True, warn_only=settings["device"] != "cpu")
    set_global_state()
    torch.manual_seed(settings["seeds"]["model"])


def _quieten_lightning() -> None:
    """Suppress Lightning's messages on devices and its products; it sets its log level at import."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _read_prior(path: str | None) -> LennardJonesPrior | None:
    """Return the prior in the file ``path``; None without a path.

    :raises InputError: if it cannot be read.
    :raises ProgramError: if NequIP could not package a model with a prior.
    """
    if path is None:
        return None
    values = read_json(path, "file of the prior")
    if not isinstance(values, dict):
        raise InputError(
            f"`{path}` contains {type(values).__name__} instead of a prior; give a mapping of its coefficients."
        )
    # Otherwise packaging would fail after the training.
    if "aiida_sicmlip.nequip_extension" not in {entry.value for entry in entry_points(group="nequip.extension")}:
        raise ProgramError(
            "aiida-sicmlip is installed without its entry point `nequip.extension`, which NequIP needs to package a "
            "model with a prior; install it again."
        )
    return LennardJonesPrior.from_dict(values)


def _configuration(settings: Mapping[str, Any], frames: Sequence[Atoms]) -> dict[str, Any]:
    """Return NequIP's configuration for a new model, scaled with the statistics of the training set, ``frames``."""
    prior, predictions = _read_prior(settings["prior"]), None
    species = settings["species"]
    transforms = [
        ChemicalSpeciesToAtomTypeMapper(species),
        NeighborListTransform(r_max=float(settings["model"]["cutoff"])),
    ]
    dataset = LabelledFramesDataset(settings["training_set"], transforms, keep=settings["keep_neighbour_lists"])
    if prior is not None:
        pairs = replace(prior, offsets=np.zeros(len(prior.species)))
        predictions = [pairs.evaluate(frame) for frame in frames]
    return nequip_config(settings, dataset_statistics(dataset, species, predictions), len(frames), prior)


def _fit(config: Mapping[str, Any], report: dict[str, Any], restart: str | None) -> None:
    """Run the training, write its curve, and add its result to the report."""
    datamodule = instantiate(config["data"], _recursive_=False)
    if restart is not None:
        # NequIP seeds the order of frames from this state, which Lightning restores only later.
        state = torch.load(restart, map_location="cpu", weights_only=False)
        datamodule.load_state_dict(state[type(datamodule).__qualname__])
    # Forces are gradients of the energy, which inference mode does not allow.
    options: dict[str, Any] = {"inference_mode": False}
    if restart is not None:
        # The validation loss before the first epoch is in the checkpoint.
        options["num_sanity_val_steps"] = 0
    trainer = instantiate(config["trainer"], **options)
    module = _training_module(config, datamodule)
    module.world_size = trainer.world_size
    progress = next(callback for callback in trainer.callbacks if isinstance(callback, TrainingProgress))
    report["n_parameters"] = sum(parameter.numel() for parameter in module.model.parameters())
    report["device"] = str(trainer.strategy.root_device)
    report["threads"] = torch.get_num_threads()
    start = time.monotonic()
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=restart, weights_only=False)
    finally:
        report["fit_seconds"] = time.monotonic() - start
        report["steps"] = progress.curve["step"][-1] if progress.curve["step"] else 0
        report["passes"] = progress.curve["epoch"][-1] if progress.curve["epoch"] else 0
        report["starting_validation_loss"] = progress.starting_validation_loss
        progress.write_curve()
    if not progress.curve["step"] or not Path(BEST_CHECKPOINT).is_file():
        raise NoModelError("The training stopped before the first validation; increase `wall_time_limit`.")
    report["stop_reason"] = progress.stop_reason(trainer)
    report["best_step"] = progress.curve["step"][int(np.argmin(progress.curve["validation_loss"]))]
    report["final"] = {column: values[-1] for column, values in progress.curve.items()}


def _training_module(config: Mapping[str, Any], datamodule: Any) -> Any:
    """Return NequIP's Lightning module with its model."""
    return instantiate(
        config["training_module"],
        _recursive_=False,
        _convert_="all",
        num_datasets=datamodule.num_datasets,
        # What `nequip-package` reads from a checkpoint.
        info_dict={
            "versions": get_current_code_versions(verbose=False),
            "data": config["data"],
            "trainer": config["trainer"],
            "global_options": {},
            "runs": config["run"],
            "training_module": config["training_module"],
        },
    )


def package_model(checkpoint: str | Path, target: str | Path) -> None:
    """Write the model of a checkpoint as a portable NequIP package.

    NequIP's packaging is called in this process, since a new one takes seconds for imports.
    """
    # Importing this module changes the logging of the process, so it is imported only here.
    from nequip.scripts.package import main as nequip_package

    Path(target).unlink(missing_ok=True)
    nequip_package(["build", str(checkpoint), str(target)])
