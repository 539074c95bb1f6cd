"""Settings of a training: model, loss, optimiser, learning rate schedule and data files."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.filenames import TRAINING_SET_FILE
from aiida_sicmlip.science.settings import Settings, choice, flag, group, integer, number, sequence, text
from aiida_sicmlip.science.value_tests import is_symbol

FILE = "a file name"


@dataclass(frozen=True)
class ModelSettings(Settings):
    """The Allegro model."""

    PREFIX = "model."

    cutoff: float = number(5.0, "radius of an atom's neighbourhood", unit="A", above=0, limit=20)
    l_max: int = integer(2, "highest order of the spherical harmonics", at_least=0, limit=10)
    parity: bool = flag(True, "keep odd-parity features")
    num_layers: int = integer(1, "number of Allegro layers", at_least=1, limit=20)
    num_bessels: int = integer(8, "number of radial Bessel functions", at_least=1, limit=10_000)
    polynomial_cutoff_exponent: float = number(6.0, "exponent p of the envelope that ends at the cutoff", above=0)
    num_scalar_features: int = integer(32, "scalar features of a pair", at_least=1, limit=10_000)
    num_tensor_features: int = integer(
        16, "tensor features of a pair, for each irreducible representation", at_least=1, limit=10_000
    )
    mlp_depth: int = integer(2, "hidden layers of the embedding and latent networks", at_least=1, limit=20)
    mlp_width: int = integer(64, "width of those hidden layers", at_least=1, limit=10_000)
    readout_mlp_width: int = integer(
        32, "width of the hidden layer that gives a pair's energy", at_least=1, limit=10_000
    )
    pair_potential: str = choice(
        "none",
        ("none", "zbl", "lennard-jones"),
        "pair potential added to the network: screened nuclear repulsion (zbl), or a prior fitted to the labels "
        "(lennard-jones)",
    )
    precision: str = choice("float32", ("float32", "float64"), "floating-point precision of the network")


@dataclass(frozen=True)
class LossSettings(Settings):
    """Loss: mean squared error of the energy per atom plus Huber loss of the force components."""

    PREFIX = "loss."

    energy: float = number(1.0, "weight of the mean squared error of the energy per atom, in (eV/atom)^2", at_least=0)
    forces: float = number(1.0, "weight of the loss of the force components, in (eV/A)^2", at_least=0)
    huber_delta: float | None = number(
        1.0,
        "force error e above which the Huber loss of the forces is linear; e^2/2 below it; null: mean squared error",
        unit="eV/A",
        nullable=True,
        above=0,
    )
    final_energy: float | None = number(
        30.0,
        "weight of the energy in the last steps and in the validation loss; null: `energy`",
        nullable=True,
        at_least=0,
    )
    final_share: float = number(0.2, "fraction of the steps with `final_energy`", above=0, at_most=1)


@dataclass(frozen=True)
class OptimiserSettings(Settings):
    """The optimiser, Adam."""

    PREFIX = "optimiser."

    learning_rate: float = number(0.015, "maximum learning rate of Adam", above=0, limit=None)
    gradient_clipping: float | None = number(None, "maximum norm of the gradient; null: no clipping", above=0)
    average_decay: float | None = number(
        0.999,
        "decay per step of an exponential moving average of the weights, which is validated and packaged; null: none",
        nullable=True,
        above=0,
        below=1,
    )


@dataclass(frozen=True)
class ScheduleSettings(Settings):
    """Learning rate schedule."""

    PREFIX = "schedule."

    kind: str = choice("cosine", ("constant", "plateau", "cosine"), "kind of schedule")
    minimum_learning_rate: float = number(1e-5, "plateau and cosine: minimum learning rate", at_least=0)
    changes: str = choice(
        "step",
        ("step", "pass"),
        "cosine: update of the learning rate after each step, or after each pass over the training set",
    )
    warm_up_steps: int = integer(
        0, "cosine: steps of a linear increase to the maximum before it", at_least=0, limit=1e9
    )
    factor: float = number(0.5, "plateau: factor of each reduction of the learning rate", above=0, below=1)
    patience: int = integer(25, "plateau: validations without a lower validation loss before a reduction", at_least=0)


@dataclass(frozen=True)
class SeedSettings(Settings):
    """Random seeds of a training."""

    PREFIX = "seeds."

    model: int = integer(1, "seed of the initial weights", at_least=0, limit=None)
    data: int = integer(1, "seed of the order of training frames", at_least=0, limit=None)


@dataclass(frozen=True)
class TrainingLength:
    """Length of a training, in passes over the training set, and the passes between validations."""

    steps_per_pass: int
    passes_between_validations: int
    passes: int

    @property
    def steps(self) -> int:
        """Number of optimiser steps."""
        return self.passes * self.steps_per_pass

    @property
    def validation_steps(self) -> int:
        """Number of optimiser steps between two validations."""
        return self.passes_between_validations * self.steps_per_pass


@dataclass(frozen=True)
class TrainingParameters(Settings):
    """Model, loss, optimiser, schedule and length of a training."""

    PREFIX = "training.parameters."
    ELSEWHERE: ClassVar[Mapping[str, str]] = {
        "training_set": "another input",
        "validation_set": "another input",
        "species": "the training set",
        "prior": "another input",
        "initial_model": "another input, `initial_potential`",
        "restart_checkpoint": "another input, `checkpoint`",
        "seeds": "another input, `seed`",
        "wall_time_limit": "the options of the calculation",
    }

    model: ModelSettings = group(ModelSettings, "the Allegro model")
    loss: LossSettings = group(LossSettings, "weights of the loss")
    optimiser: OptimiserSettings = group(OptimiserSettings, "the optimiser")
    schedule: ScheduleSettings = group(ScheduleSettings, "learning rate schedule")
    batch_size: int = integer(1, "training frames per optimiser step", at_least=1)
    validation_batch_size: int = integer(10, "validation frames per batch", at_least=1)
    maximum_steps: int = integer(
        20000,
        "number of optimiser steps, rounded to whole passes over the training set; length of a cosine schedule",
        at_least=1,
        limit=1e9,
    )
    validation_interval: int = integer(
        500,
        "steps between validations, rounded to whole passes, at least one",
        at_least=1,
        limit=1e9,
    )
    early_stopping_steps: int | None = integer(
        None,
        "steps without a lower validation loss before training stops; null: no early stopping",
        at_least=1,
        limit=1e9,
    )
    keep_neighbour_lists: bool = flag(True, "keep all neighbour lists in memory (40 bytes per pair)")
    device: str = choice("cpu", ("cpu", "cuda", "auto"), "device to train on; auto: a GPU if available")
    threads: int = integer(
        1, "number of CPU threads; bitwise reproducible runs need the same number", at_least=1, limit=10_000
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss.energy == 0 and self.loss.forces == 0:
            raise InputError(
                f"`{self.PREFIX}loss.energy` and `{self.PREFIX}loss.forces` are both 0; at least one must be positive."
            )
        lowest, initial = self.schedule.minimum_learning_rate, self.optimiser.learning_rate
        if lowest > initial:
            raise InputError(
                f"`{self.PREFIX}schedule.minimum_learning_rate` ({lowest}) is above "
                f"`{self.PREFIX}optimiser.learning_rate` ({initial}); decrease the former or increase the latter."
            )
        if self.schedule.warm_up_steps >= self.maximum_steps and self.schedule.kind == "cosine":
            raise InputError(
                f"`{self.PREFIX}schedule.warm_up_steps` ({self.schedule.warm_up_steps}) is not below "
                f"`{self.PREFIX}maximum_steps` ({self.maximum_steps}); decrease the former or increase the latter."
            )

    def length(self, n_frames: int) -> TrainingLength:
        """Return the length of a training on ``n_frames`` frames."""
        steps_per_pass = math.ceil(n_frames / self.batch_size)
        passes = max(1.0, self.maximum_steps / steps_per_pass)
        n_validations = max(1, min(round(passes), round(self.maximum_steps / self.validation_interval)))
        every = max(1, round(passes / n_validations))
        return TrainingLength(
            steps_per_pass=steps_per_pass,
            passes_between_validations=every,
            passes=every * max(1, round(passes / every)),
        )

    @classmethod
    def complete_parameters(cls, parameters: Mapping[str, Any], packaged: bool) -> dict[str, Any]:
        """Return ``parameters`` with all defaults.

        :param packaged: whether the training starts from a packaged model, which has its own model settings: those of
            ``parameters`` are then returned as given.
        :raises InputError: as :meth:`from_mapping`.
        """
        complete = cls.complete(parameters)
        if packaged:
            complete.pop("model")
            complete |= {key: value for key, value in parameters.items() if key == "model"}
        return complete


@dataclass(frozen=True)
class TrainingSettings(TrainingParameters):
    """Content of the settings file of a training."""

    PREFIX = ""
    ELSEWHERE: ClassVar[Mapping[str, str]] = {}

    training_set: str = text(TRAINING_SET_FILE, "labelled frames of the training set", FILE)
    validation_set: str = text("validation_set.npz", "labelled frames of the validation set", FILE)
    prior: str | None = text(
        None,
        "file of the Lennard-Jones prior; required for `model.pair_potential: lennard-jones`, not allowed otherwise",
        FILE,
    )
    species: tuple[str, ...] = sequence(
        ("Si", "C"),
        "elements in the order of the atom types of the model (and of `pair_coeff`)",
        "a list of different chemical symbols",
        is_symbol,
        different=True,
    )
    initial_model: str | None = text(
        None,
        "packaged model to start from, which defines `species` and `model`; null: random weights",
        FILE,
    )
    wall_time_limit: float | None = number(
        None, "time after which training stops and the best model is packaged; null: no limit", unit="s", above=0
    )
    restart_checkpoint: str | None = text(
        None, "last checkpoint of an interrupted run with the same settings, which is continued", FILE
    )
    seeds: SeedSettings = group(SeedSettings, "seeds of the training")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], prefix: str | None = None) -> TrainingSettings:
        """Read ``mapping``; see :meth:`Settings.from_mapping`.

        :raises InputError: also if model settings or a prior are given for a packaged model, which has its own.
        """
        settings = super().from_mapping(mapping, prefix)
        if settings.initial_model is None:
            return settings
        for name in mapping.get("model", {}):
            # The cutoff is compared with that of the package.
            if name != "cutoff":
                raise InputError(
                    f"`model.{name}` is given, but `initial_model` defines the settings of the model; remove it."
                )
        if settings.prior is not None:
            raise InputError("`prior` is given, but `initial_model` contains its prior, if any; remove it.")
        return settings


def with_lower_learning_rate(parameters: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """Return ``parameters`` of a training with the learning rate multiplied by ``factor``.

    The minimum learning rate is lowered to it where it would be higher.

    :raises InputError: if ``factor`` is not between 0 and 1, or the parameters are invalid.
    """
    if not 0 < factor < 1:
        raise InputError(f"The factor of the learning rate is {factor}: give a number between 0 and 1.")
    complete = TrainingParameters.from_mapping(parameters)
    changed = copy.deepcopy(dict(parameters))
    rate = complete.optimiser.learning_rate * factor
    changed["optimiser"] = {**changed.get("optimiser", {}), "learning_rate": rate}
    if complete.schedule.minimum_learning_rate > rate:
        changed["schedule"] = {**changed.get("schedule", {}), "minimum_learning_rate": rate}
    return changed
