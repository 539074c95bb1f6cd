"""Training of an Allegro model with NequIP: `sicmlip-potential train`."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_sicmlip.common.exceptions import InputError, SicmlipError
from aiida_sicmlip.common.exit_status import INPUT_ERROR, NO_MODEL, NOT_A_NUMBER, SUCCESS
from aiida_sicmlip.common.filenames import (
    NEQUIP_CONFIGURATION_FILE,
    PORTABLE_MODEL_FILE,
    TRAINING_CURVE_FILE,
    TRAINING_REPORT_FILE,
)
from aiida_sicmlip.engine.reports import read_json, versions, write_report
from aiida_sicmlip.science.io.nequip_config import CHECKPOINT_FOLDER, MONITOR, nequip_config, nequip_yaml
from aiida_sicmlip.science.io.training_settings import complete_training_settings

if TYPE_CHECKING:
    import lightning
    from ase import Atoms





BEST_CHECKPOINT = f"{CHECKPOINT_FOLDER}/best.ckpt"
LAST_CHECKPOINT = f"{CHECKPOINT_FOLDER}/last.ckpt"


class NoModelError(SicmlipError):
    """The training ended before there was a model."""


def run_training(settings_file: str | Path) -> int:
    """Train in the current folder with the settings of ``settings_file`` and return an exit status.

    Writes ``potential.nequip.zip`` (best model), ``training_report.json``, ``training_curve.json``, ``nequip.yaml`` and
    ``checkpoints/``. A known failure still leaves a report, with its status and sentence under ``error``, and is raised.

    :raises InputError: when the settings or the data cannot be used.
    :raises NotANumberError: when the loss is no longer finite. :raises NoModelError: when no epoch was finished.
    """
    from aiida_sicmlip.engine.training_progress import NotANumberError

    start = time.monotonic()
    report: dict[str, Any] = {"error": None, "versions": versions()}
    statuses = {InputError: INPUT_ERROR, NotANumberError: NOT_A_NUMBER, NoModelError: NO_MODEL}
    try:
        _train(_read_settings(settings_file), report)
    except tuple(statuses) as error:
        status = next(number for kind, number in statuses.items() if isinstance(error, kind))
        report["error"] = {"status": status, "message": str(error)}
        raise
    finally:
        report["seconds"] = time.monotonic() - start
        write_report(TRAINING_REPORT_FILE, report)
    return SUCCESS


def _read_settings(settings_file: str | Path) -> dict[str, Any]:
    try:
        settings = read_json(settings_file)
    except (OSError, ValueError) as error:
        raise InputError(f"The settings file `{settings_file}` cannot be read as JSON: {error}.") from error
    return complete_training_settings(settings)


def _train(settings: dict[str, Any], report: dict[str, Any]) -> None:
    """Run all steps, filling ``report`` on the way so that a failure leaves what is known."""
    from aiida_sicmlip.engine.training_data import read_training_frames

    species = settings["species"]
    report.update(settings=settings, species=species, cutoff=float(settings["model"]["cutoff"]))
    frames = {name: read_training_frames(settings[f"{name}_set"], species) for name in ("training", "validation")}
    report["frames"] = {name: len(group) for name, group in frames.items()}
    restart = settings["restart_checkpoint"]
    if restart is not None and not Path(restart).is_file():
        raise InputError(f"`restart_checkpoint` names `{restart}`, which does not exist: give a file or null.")

    _prepare_libraries(settings)
    config = _configuration(settings)
    Path(NEQUIP_CONFIGURATION_FILE).write_text(nequip_yaml(config), encoding="utf-8")
    _fit(config, report, restart)
    package_model(BEST_CHECKPOINT, PORTABLE_MODEL_FILE)
    report["best"] = _errors(frames)


def _prepare_libraries(settings: Mapping[str, Any]) -> None:
    """Fix what decides the numbers (threads, algorithms, seeds) and silence the libraries."""
    # cuBLAS reads this when it starts; without it, matrix products on a GPU differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch
    from nequip.utils.global_state import set_global_state

    if settings["device"] == "cuda" and not torch.cuda.is_available():
        raise InputError("`device` is cuda, but torch sees no GPU here: choose cpu or auto.")
    torch.set_num_threads(settings["threads"])
    # On a GPU a few operations have no deterministic form, and a warning is better than no training.
    torch.use_deterministic_algorithms(True, warn_only=settings["device"] != "cpu")
    set_global_state()
    torch.manual_seed(settings["seeds"]["model"])
    np.random.seed(settings["seeds"]["data"])
    for name in ("lightning.pytorch", "lightning.fabric", "nequip"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in (".*does not have many workers.*", ".*LeafSpec.*", ".*TypedStorage.*", ".*exists and is not empty.*"):
        warnings.filterwarnings("ignore", message=message)


def _configuration(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return NequIP's configuration, with the statistics of the training set filled in."""
    from nequip.data.transforms import ChemicalSpeciesToAtomTypeMapper, NeighborListTransform

    from aiida_sicmlip.engine.training_data import LabelledFramesDataset, dataset_statistics

    species = settings["species"]
    transforms = [
        ChemicalSpeciesToAtomTypeMapper(species, {symbol: symbol for symbol in species}),
        NeighborListTransform(r_max=float(settings["model"]["cutoff"])),
    ]
    dataset = LabelledFramesDataset(settings["training_set"], transforms, keep=settings["keep_neighbour_lists"])
    return nequip_config(settings, dataset_statistics(dataset, species))


def _fit(config: Mapping[str, Any], report: dict[str, Any], restart: str | None) -> None:
    """Train, write the curve, and fill the report with how it ended."""
    import torch
    from hydra.utils import instantiate
    from nequip.utils import get_current_code_versions

    from aiida_sicmlip.engine.training_progress import CURVE_COLUMNS, TrainingProgress

    datamodule = instantiate(config["data"], _recursive_=False)
    # Gradients of the energy are forces, needed in validation too.
    trainer = instantiate(config["trainer"], inference_mode=False)
    module = instantiate(
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
    module.world_size = trainer.world_size
    progress = next(callback for callback in trainer.callbacks if isinstance(callback, TrainingProgress))
    report["parameters"] = sum(parameter.numel() for parameter in module.model.parameters())
    report["device"] = str(trainer.strategy.root_device)
    report["threads"] = torch.get_num_threads()
    start = time.monotonic()
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=restart, weights_only=False)
    finally:
        report["fit_seconds"] = time.monotonic() - start
        report["epochs"] = len(progress.curve["epoch"])
        write_report(TRAINING_CURVE_FILE, {"units": CURVE_COLUMNS, "columns": progress.curve})
    if not progress.curve["epoch"] or not Path(BEST_CHECKPOINT).is_file():
        raise NoModelError("The training ended before one epoch was validated: raise `wall_time_limit`.")
    _report_end(report, progress, trainer)


def _report_end(report: dict[str, Any], progress: Any, trainer: lightning.Trainer) -> None:
    curve = progress.curve
    report["stop_reason"] = progress.stop_reason(trainer)
    report["best_epoch"] = curve["epoch"][int(np.argmin(curve["validation_loss"]))]
    report["final"] = {column: values[-1] for column, values in curve.items()}
    report["monitor"] = MONITOR


def package_model(checkpoint: str | Path, target: str | Path) -> None:
    """Write the model of a checkpoint as a portable NequIP package, in this process (a new one costs seconds of imports)."""
    from nequip.scripts.package import main as nequip_package

    # NequIP's program sets up logging of its own when it is imported, and undoes levels set before.
    logging.getLogger("nequip").setLevel(logging.ERROR)
    Path(target).unlink(missing_ok=True)
    nequip_package(["build", str(checkpoint), str(target)])


def _errors(frames: Mapping[str, list[Atoms]]) -> dict[str, dict[str, float]]:
    """Return the errors of the packaged model on the training and on the validation set."""
    from aiida_sicmlip.engine.packaged_model import PackagedModel
    from aiida_sicmlip.science.metrics import error_metrics

    model = PackagedModel.load(PORTABLE_MODEL_FILE)
    errors = {}
    for name, group in frames.items():
        metrics = error_metrics(group, [model.compute(frame) for frame in group])
        errors[name] = metrics
    return errors
