"""Configuration of a NequIP training from the settings of this package; does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.filenames import BEST_CHECKPOINT_FILE, CHECKPOINT_FOLDER
from aiida_sicmlip.science.evaluation.metrics import fit_energy_offsets
from aiida_sicmlip.science.training.lennard_jones import LennardJonesPrior
from aiida_sicmlip.science.training.settings import TrainingLength, TrainingSettings

__all__ = [
    "MONITOR",
    "DatasetStatistics",
    "StartingModel",
    "check_prior",
    "nequip_config",
    "nequip_yaml",
    "per_type_energies",
]

#: NequIP's name of the validation loss, which defines the best model.
MONITOR = "val0_epoch/weighted_sum"
#: Below this root mean square force, eV/A, the frames are taken to be relaxed and the energy scale is 1.
_MIN_FORCE_SCALE = 1e-3


@dataclass(frozen=True)
class DatasetStatistics:
    """Statistics of the training set that scale the model.

    neighbours: mean number of neighbours within the cutoff.
    energies: energy of each species, eV.
    forces_rms: root mean square of the force components, eV/A.
    """

    neighbours: float
    energies: dict[str, float]
    forces_rms: float


@dataclass(frozen=True)
class StartingModel:
    """A packaged model that a training starts from.

    path: its file.
    species: elements in the order of its atom types.
    cutoff: A.
    energies: of the elements of the training set, eV, which replace the model's own, since each level of theory has
        its own zero of energy.
    """

    path: str
    species: tuple[str, ...]
    cutoff: float
    energies: dict[str, float]


def per_type_energies(counts: NDArray[np.float64], energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an energy per species, eV, whose sum over a frame's atoms is close to the frame's energy.

    Least squares is underdetermined if all frames have the same composition, as for a single defect. Each species
    therefore has the mean energy per atom plus the least squares correction of minimum norm: zero for a single
    composition, the ordinary least squares fit if the compositions determine it.

    :param counts: atoms of each species in each frame, (F, T).
    :param energies: of the frames, (F,), eV.
    """
    mean = float(np.mean(energies / counts.sum(axis=1)))
    return mean + fit_energy_offsets(counts, energies - mean * counts.sum(axis=1))


def nequip_config(
    settings: Mapping[str, Any],
    statistics: DatasetStatistics | StartingModel,
    n_frames: int,
    prior: LennardJonesPrior | None = None,
) -> dict[str, Any]:
    """Return the configuration of NequIP's training, of plain Python values.

    An epoch of NequIP is a pass over the training set.

    :param statistics: statistics of the training set, after subtraction of the prior, if any; or, for `initial_model`,
        that model, whose species and cutoff take precedence over the settings.
    :param n_frames: number of training frames.
    :param prior: for `model.pair_potential: lennard-jones`; its offsets are not used.
    :raises InputError: if the settings are invalid, or the prior is missing, unused or inconsistent with the model.
    """
    complete = TrainingSettings.from_mapping(settings)
    settings, length = complete.to_dict(), complete.length(n_frames)
    if isinstance(statistics, StartingModel):
        model = {**settings["model"], "cutoff": statistics.cutoff}
        settings = {**settings, "species": list(statistics.species), "model": model}
    check_prior(settings, prior)
    return {
        "run": ["train"],
        "data": _data(settings),
        "trainer": _trainer(settings, length),
        "training_module": _training_module(settings, length, statistics, prior),
    }


def check_prior(settings: Mapping[str, Any], prior: LennardJonesPrior | None) -> None:
    """Raise :class:`InputError` if the prior is missing, unused or inconsistent with the model.

    :param settings: complete settings of a training.
    """
    wanted = settings["model"]["pair_potential"] == "lennard-jones"
    if prior is None:
        if wanted:
            raise InputError(
                "`model.pair_potential` is lennard-jones, but `prior` is null; give the file of the prior."
            )
        return
    if not wanted:
        raise InputError(
            f"A prior is given, but `model.pair_potential` is {settings['model']['pair_potential']}; set it to "
            "lennard-jones or remove the prior."
        )
    if missing := [name for name in settings["species"] if name not in prior.species]:
        raise InputError(
            f"The prior is for {', '.join(prior.species)}, but `species` contains {', '.join(missing)}; fit a prior "
            "for all species."
        )
    if prior.cutoff > settings["model"]["cutoff"]:
        raise InputError(
            f"The cutoff of the prior ({prior.cutoff} A) is above `model.cutoff` ({settings['model']['cutoff']} A); "
            "increase the latter, or fit a prior with a smaller cutoff."
        )


class _PlainDumper(yaml.SafeDumper):
    """Writes repeated lists in full, without YAML anchors, which are hard to read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def nequip_yaml(config: Mapping[str, Any]) -> str:
    """Return ``config`` as YAML, in the order in which it was built."""
    return yaml.dump(dict(config), Dumper=_PlainDumper, sort_keys=False, default_flow_style=None, width=100)


def _data(settings: Mapping[str, Any]) -> dict[str, Any]:
    species = settings["species"]

    def dataset(path: str) -> dict[str, Any]:
        return {
            "_target_": "aiida_sicmlip.engine.training_data.LabelledFramesDataset",
            "file_path": path,
            "keep": settings["keep_neighbour_lists"],
            "transforms": [
                {
                    "_target_": "nequip.data.transforms.ChemicalSpeciesToAtomTypeMapper",
                    "model_type_names": species,
                    "chemical_species_to_atom_type_map": {symbol: symbol for symbol in species},
                },
                {
                    "_target_": "nequip.data.transforms.NeighborListTransform",
                    "r_max": float(settings["model"]["cutoff"]),
                },
            ],
        }

    def loader(batch_size: int, shuffle: bool) -> dict[str, Any]:
        return {
            "_target_": "torch.utils.data.DataLoader",
            "batch_size": batch_size,
            "shuffle": shuffle,
            # Worker processes cost more time than they save when the neighbour lists are in memory.
            "num_workers": 0,
        }

    return {
        "_target_": "nequip.data.datamodule.NequIPDataModule",
        "seed": settings["seeds"]["data"],
        "train_dataset": dataset(settings["training_set"]),
        "val_dataset": dataset(settings["validation_set"]),
        "train_dataloader": loader(settings["batch_size"], shuffle=True),
        "val_dataloader": loader(settings["validation_batch_size"], shuffle=False),
    }


def _trainer(settings: Mapping[str, Any], length: TrainingLength) -> dict[str, Any]:
    every = length.passes_between_validations
    checkpoint = {
        "_target_": "aiida_sicmlip.engine.training_progress.TrainingCheckpoints",
        "monitor": MONITOR,
        "dirpath": CHECKPOINT_FOLDER,
        "filename": BEST_CHECKPOINT_FILE.removesuffix(".ckpt"),
        "save_last": True,
        "every_n_epochs": every,
        # Before, the epoch counts as unfinished, and a restart would draw the frames in another order.
        "save_on_train_epoch_end": True,
        "enable_version_counter": False,
    }
    callbacks: list[dict[str, Any]] = [
        {
            "_target_": "aiida_sicmlip.engine.training_progress.TrainingProgress",
            "maximum_steps": length.steps,
            "passes_between_validations": every,
            "wall_time_limit": settings["wall_time_limit"],
        },
        checkpoint,
    ]
    loss = settings["loss"]
    if loss["final_energy"] is not None:
        first = length.passes - max(1, round(loss["final_share"] * length.passes))
        callbacks.append(
            {
                "_target_": "nequip.train.callbacks.LossCoefficientScheduler",
                "schedule": {first: _coefficients(loss, loss["final_energy"])},
            }
        )
    if settings["early_stopping_steps"] is not None:
        callbacks.append(
            {
                "_target_": "lightning.pytorch.callbacks.EarlyStopping",
                "monitor": MONITOR,
                "patience": max(1, round(settings["early_stopping_steps"] / length.validation_steps)),
            }
        )
    return {
        "_target_": "lightning.Trainer",
        "accelerator": {"cpu": "cpu", "cuda": "gpu", "auto": "auto"}[settings["device"]],
        "devices": 1,
        "max_epochs": length.passes,
        "check_val_every_n_epoch": every,
        # The validation loss before the first epoch shows whether training improves on the initial weights.
        "num_sanity_val_steps": -1,
        # TrainingProgress prints and records each epoch; progress bars and loggers only take time.
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "gradient_clip_val": settings["optimiser"]["gradient_clipping"],
        "callbacks": callbacks,
    }


def _training_module(
    settings: Mapping[str, Any],
    length: TrainingLength,
    statistics: DatasetStatistics | StartingModel,
    prior: LennardJonesPrior | None,
) -> dict[str, Any]:
    average_decay, loss = settings["optimiser"]["average_decay"], settings["loss"]
    module: dict[str, Any] = {"_target_": "nequip.train.NequIPLightningModule"}
    if average_decay is not None:
        module = {"_target_": "nequip.train.EMALightningModule", "ema_decay": average_decay}
    absolute = [_metric("energy", "mae"), _metric("forces", "mae")]
    final_energy = loss["energy"] if loss["final_energy"] is None else loss["final_energy"]
    module["loss"] = _metrics(_loss(loss, loss["energy"]))
    module["train_metrics"] = _metrics(absolute)
    # The last steps decide what the model is for: all validations weigh as they do, so that their losses compare.
    module["val_metrics"] = _metrics([*_loss(loss, final_energy), *absolute])
    module["optimizer"] = {"_target_": "torch.optim.Adam", "lr": float(settings["optimiser"]["learning_rate"])}
    module |= _scheduler(settings, length)
    if isinstance(statistics, StartingModel):
        module["model"] = _packaged_model(statistics)
    else:
        module["model"] = _model(settings, statistics, prior)
    return module


def _packaged_model(start: StartingModel) -> dict[str, Any]:
    """Return the configuration that loads a packaged model and replaces its energies of elements, if any are given."""
    package = {"_target_": "nequip.model.ModelFromPackage", "package_path": start.path}
    if not start.energies:
        return package
    modifier = {"modifier": "modify_PerTypeScaleShift", "shifts": dict(start.energies)}
    return {"_target_": "nequip.model.modify", "model": package, "modifiers": [modifier]}


def _metrics(metrics: list[dict[str, Any]]) -> dict[str, Any]:
    return {"_target_": "nequip.train.MetricsManager", "metrics": metrics}


def _coefficients(loss: Mapping[str, Any], energy: float) -> dict[str, float]:
    """Return the weights of the loss by the names of its terms, for a weight of the energy."""
    return {"energy_mse": float(energy), _forces_term(loss): float(loss["forces"])}


def _forces_term(loss: Mapping[str, Any]) -> str:
    return "forces_mse" if loss["huber_delta"] is None else "forces_huber"


def _loss(loss: Mapping[str, Any], energy: float) -> list[dict[str, Any]]:
    """Return the terms of the loss, for a weight of the energy."""
    terms = [_metric("energy", "mse"), _metric("forces", _forces_term(loss).removeprefix("forces_"))]
    if loss["huber_delta"] is not None:
        terms[1]["metric"]["delta"] = float(loss["huber_delta"])
    weights = _coefficients(loss, energy)
    return [{**term, "coeff": weights[term["name"]]} for term in terms]


def _metric(quantity: str, kind: str) -> dict[str, Any]:
    """Return one error measure: of the energy per atom (eV/atom) or of the force components (eV/A)."""
    target = {"mse": "MeanSquaredError", "mae": "MeanAbsoluteError", "huber": "HuberLoss"}[kind]
    per_atom = {"_target_": "nequip.data.PerAtomModifier", "field": "total_energy"}
    return {
        "name": f"{quantity}_{kind}",
        "field": per_atom if quantity == "energy" else "forces",
        "metric": {"_target_": f"nequip.train.{target}"},
    }


def _scheduler(settings: Mapping[str, Any], length: TrainingLength) -> dict[str, Any]:
    """Return the entry of the learning rate's schedule; none where it is constant."""
    schedule = settings["schedule"]
    entry = {"monitor": MONITOR, "interval": "epoch", "frequency": 1}
    if schedule["kind"] == "plateau":
        plateau = {
            "_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau",
            "factor": schedule["factor"],
            "patience": schedule["patience"],
            "min_lr": schedule["minimum_learning_rate"],
        }
        return {"lr_scheduler": {"scheduler": plateau, **entry, "frequency": length.passes_between_validations}}
    if schedule["kind"] == "constant":
        return {}
    by_step = schedule["changes"] == "step"
    steps_of_a_change = 1 if by_step else length.steps_per_pass
    warm_up = round(schedule["warm_up_steps"] / steps_of_a_change)
    falling: dict[str, Any] = {
        "_target_": "torch.optim.lr_scheduler.CosineAnnealingLR",
        "T_max": length.steps // steps_of_a_change - warm_up,
        "eta_min": schedule["minimum_learning_rate"],
    }
    if warm_up:
        rising = {
            "_target_": "torch.optim.lr_scheduler.LinearLR",
            "start_factor": 1.0 / (warm_up + 1),
            "total_iters": warm_up,
        }
        falling = {
            "_target_": "torch.optim.lr_scheduler.SequentialLR",
            "schedulers": [rising, falling],
            "milestones": [warm_up],
        }
    return {"lr_scheduler": {"scheduler": falling, **entry, "interval": "step" if by_step else "epoch"}}


def _model(
    settings: Mapping[str, Any], statistics: DatasetStatistics, prior: LennardJonesPrior | None
) -> dict[str, Any]:
    """Return the configuration of the Allegro model, scaled with the statistics of the training set."""
    model, species = settings["model"], settings["species"]
    if not statistics.neighbours > 0:
        raise InputError(
            f"No atom of the training set has a neighbour within `model.cutoff` ({model['cutoff']} A); increase it."
        )
    config: dict[str, Any] = {
        "_target_": "allegro.model.AllegroModel",
        "seed": settings["seeds"]["model"],
        "model_dtype": model["precision"],
        "type_names": species,
        "r_max": float(model["cutoff"]),
        "l_max": model["l_max"],
        "parity": model["parity"],
        "radial_chemical_embed": {
            "_target_": "allegro.nn.TwoBodyBesselScalarEmbed",
            "num_bessels": model["num_bessels"],
            "polynomial_cutoff_p": model["polynomial_cutoff_exponent"],
        },
        "scalar_embed_mlp_hidden_layers_depth": model["mlp_depth"],
        "scalar_embed_mlp_hidden_layers_width": model["mlp_width"],
        "num_layers": model["num_layers"],
        "num_scalar_features": model["num_scalar_features"],
        "num_tensor_features": model["num_tensor_features"],
        "allegro_mlp_hidden_layers_depth": model["mlp_depth"],
        "allegro_mlp_hidden_layers_width": model["mlp_width"],
        "readout_mlp_hidden_layers_depth": 1,
        "readout_mlp_hidden_layers_width": model["readout_mlp_width"],
        "avg_num_neighbors": statistics.neighbours,
        "per_type_energy_shifts": dict(statistics.energies),
        "per_type_energy_scales": statistics.forces_rms if statistics.forces_rms > _MIN_FORCE_SCALE else 1.0,
    }
    if model["pair_potential"] == "zbl":
        config["pair_potential"] = {
            "_target_": "nequip.nn.pair_potential.ZBL",
            "units": "metal",
            "chemical_species": species,
        }
    if prior is not None:
        config["pair_potential"] = {
            "_target_": "aiida_sicmlip.nequip_extension.lennard_jones.LennardJonesPairs",
            "species": list(prior.species),
            "repulsion": prior.repulsion.tolist(),
            "attraction": prior.attraction.tolist(),
            "cutoff": prior.cutoff,
            "model_cutoff": float(model["cutoff"]),
        }
    return config
