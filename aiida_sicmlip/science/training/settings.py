"""The settings of a training run: every default, unit and check in one table."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from ase.data import atomic_numbers

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.common.filenames import TRAINING_SET_FILE


@dataclass(frozen=True)
class Setting:
    """One setting: its default, what values it takes (``expected`` in words, ``accepts`` as a test) and its meaning."""

    default: Any
    expected: str
    accepts: Callable[[Any], bool]
    meaning: str


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(default: float | None, meaning: str, *, zero: bool = False, below: float | None = None) -> Setting:
    """Return a setting that is a positive number, or null where the default is null."""
    optional = default is None
    expected = ("a number of at least 0" if zero else "a positive number") + (f" below {below}" if below else "")

    def accepts(value: Any) -> bool:
        if value is None:
            return optional
        return _is_number(value) and (value >= 0 if zero else value > 0) and (below is None or value < below)

    return Setting(default, expected + (" or null" if optional else ""), accepts, meaning)


def _integer(default: int | None, least: int, meaning: str) -> Setting:
    """Return a setting that is an integer of at least ``least``, or null where the default is null."""
    optional = default is None

    def accepts(value: Any) -> bool:
        return optional if value is None else _is_integer(value) and value >= least

    return Setting(default, f"an integer of at least {least}" + (" or null" if optional else ""), accepts, meaning)


def _choice(default: str, choices: tuple[str, ...], meaning: str) -> Setting:
    return Setting(default, "one of " + ", ".join(choices), lambda value: value in choices, meaning)


def _accepts_species(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) > 0
        and all(isinstance(symbol, str) and atomic_numbers.get(symbol, 0) > 0 for symbol in value)
        and len(set(value)) == len(value)
    )


def _is_file_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


#: Dotted name of each setting; a file of settings nests them (``model.cutoff`` is ``{"model": {"cutoff": 5.0}}``).
TRAINING_SETTINGS: dict[str, Setting] = {
    "training_set": Setting(TRAINING_SET_FILE, "a file name", _is_file_name, "labelled frames to learn from"),
    "validation_set": Setting(
        "validation_set.npz", "a file name", _is_file_name, "labelled frames that judge the model"
    ),
    "prior": Setting(
        None,
        "a file name or null",
        lambda value: value is None or _is_file_name(value),
        "file of the Lennard-Jones prior; needed by `model.pair_potential: lennard-jones`, and by nothing else",
    ),
    "species": Setting(
        ["Si", "C"],
        "a list of different chemical symbols",
        _accepts_species,
        "elements in the order in which the model (and `pair_coeff`) numbers them",
    ),
    "initial_model": Setting(
        None,
        "a file name or null",
        lambda value: value is None or _is_file_name(value),
        "packaged model to start from, which decides `species` and all of `model`; null: random weights",
    ),
    "model.cutoff": _number(5.0, "radius of an atom's neighbourhood, A"),
    "model.l_max": _integer(1, 0, "highest order of the spherical harmonics"),
    "model.parity": Setting(True, "true or false", lambda value: isinstance(value, bool), "keep odd-parity features"),
    "model.num_layers": _integer(1, 1, "number of Allegro layers"),
    "model.num_bessels": _integer(8, 1, "number of radial Bessel functions"),
    "model.polynomial_cutoff_exponent": _number(6.0, "exponent p of the envelope that ends at the cutoff"),
    "model.num_scalar_features": _integer(24, 1, "scalar features of a pair"),
    "model.num_tensor_features": _integer(8, 1, "tensor features of a pair, for each irreducible representation"),
    "model.mlp_depth": _integer(1, 1, "hidden layers of the embedding and latent networks"),
    "model.mlp_width": _integer(32, 1, "width of those hidden layers"),
    "model.readout_mlp_width": _integer(16, 1, "width of the hidden layer that gives a pair's energy"),
    "model.pair_potential": _choice(
        "none",
        ("none", "zbl", "lennard-jones"),
        "pair energy added to the network's: screened nuclear repulsion (zbl), or a prior fitted to the labels",
    ),
    "model.precision": _choice("float64", ("float32", "float64"), "floating-point type of the network"),
    "loss.energy": _number(1.0, "weight of the mean squared error of the energy per atom, in (eV/atom)^2", zero=True),
    "loss.forces": _number(1.0, "weight of the mean squared error of the force components, in (eV/A)^2", zero=True),
    "optimiser.learning_rate": _number(0.005, "initial learning rate of Adam"),
    "optimiser.gradient_clipping": _number(None, "largest norm of the gradient; null does not clip"),
    "optimiser.average_decay": _number(
        None,
        "decay of a moving average of the weights that replaces the weights in the model; null for none",
        below=1.0,
    ),
    "schedule.kind": _choice("plateau", ("constant", "plateau", "cosine"), "how the learning rate falls"),
    "schedule.factor": _number(0.5, "plateau: factor applied when the validation loss stalls", below=1.0),
    "schedule.patience": _integer(25, 0, "plateau: epochs without a better validation loss before the rate falls"),
    "schedule.minimum_learning_rate": _number(1e-6, "plateau and cosine: lowest learning rate", zero=True),
    "batch_size": _integer(5, 1, "training frames of one optimiser step"),
    "validation_batch_size": _integer(10, 1, "validation frames evaluated at once"),
    "maximum_epochs": _integer(500, 1, "passes over the training set; a cosine schedule spans them"),
    "early_stopping_patience": _integer(
        None, 1, "epochs without a better validation loss before stopping; null: never"
    ),
    "wall_time_limit": _number(None, "seconds after which the training ends and packages its best model; null: none"),
    "restart_checkpoint": Setting(
        None,
        "a file name or null",
        lambda value: value is None or _is_file_name(value),
        "last checkpoint of an earlier run with the same settings, to go on from",
    ),
    "seeds.model": _integer(1, 0, "seed of the initial weights"),
    "seeds.data": _integer(1, 0, "seed of the order in which frames are drawn"),
    "keep_neighbour_lists": Setting(
        True,
        "true or false",
        lambda value: isinstance(value, bool),
        "hold all neighbour lists in memory (40 bytes a pair)",
    ),
    "device": _choice("cpu", ("cpu", "cuda", "auto"), "where to train; auto takes a GPU where there is one"),
    "threads": _integer(1, 1, "CPU threads; part of what makes a run repeatable bit for bit"),
}


def default_training_settings() -> dict[str, Any]:
    """Return all settings with their defaults, nested as in a file of settings."""
    nested: dict[str, Any] = {}
    for name, setting in TRAINING_SETTINGS.items():
        *groups, last = name.split(".")
        target = nested
        for group in groups:
            target = target.setdefault(group, {})
        target[last] = copy.deepcopy(setting.default)
    return nested


def complete_training_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``settings`` with the defaults filled in.

    :raises InputError: when a name is unknown or a value is not what the setting takes.
    """
    if not isinstance(settings, Mapping):
        raise InputError(f"The training settings must be a mapping of names to values, not {type(settings).__name__}.")
    completed = default_training_settings()
    _merge(completed, settings, prefix="")
    if completed["loss"]["energy"] == 0 and completed["loss"]["forces"] == 0:
        raise InputError("`loss.energy` and `loss.forces` are both 0: there is nothing to learn; make one positive.")
    if completed["schedule"]["minimum_learning_rate"] > completed["optimiser"]["learning_rate"]:
        lowest, initial = completed["schedule"]["minimum_learning_rate"], completed["optimiser"]["learning_rate"]
        raise InputError(
            f"`schedule.minimum_learning_rate` ({lowest}) is above `optimiser.learning_rate` ({initial}): lower the "
            "first or raise the other."
        )
    if completed["initial_model"] is not None:
        _check_initial_model(completed, settings)
    completed["species"] = list(completed["species"])
    return completed


def _check_initial_model(completed: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` for settings of a model that comes whole, from a package."""
    for name in given.get("model", {}):
        # The cutoff is compared with that of the package.
        if name != "cutoff":
            raise InputError(
                f"`model.{name}` is given, but the model comes from `initial_model`, with its own: leave it out."
            )
    if completed["prior"] is not None:
        raise InputError("`prior` is given, but a package carries its own prior where it has one: leave it out.")


def validate_training_settings(settings: Mapping[str, Any]) -> None:
    """Check ``settings`` without running anything.

    :raises InputError: with a sentence that names the setting, the given value and what to give instead.
    """
    complete_training_settings(settings)


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


def _merge(target: dict[str, Any], given: Mapping[str, Any], prefix: str) -> None:
    """Write ``given`` over ``target`` (both nested), checking each name and value."""
    for key, value in given.items():
        name = f"{prefix}{key}"
        if key not in target:
            where = f"in `{prefix[:-1]}`" if prefix else "of a training"
            raise InputError(f"`{name}` is not a setting {where}. {nearest_name(str(key), target)}")
        if isinstance(target[key], dict):
            if not isinstance(value, Mapping):
                raise InputError(f"`{name}` must be a mapping of settings ({', '.join(target[key])}), not {value!r}.")
            _merge(target[key], value, prefix=f"{name}.")
        else:
            setting = TRAINING_SETTINGS[name]
            if not setting.accepts(value):
                raise InputError(f"`{name}` ({setting.meaning}) must be {setting.expected}, but {value!r} was given.")
            target[key] = copy.deepcopy(value)
