"""The settings of a training run."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ase.data import atomic_numbers

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.filenames import TRAINING_SET_FILE
from aiida_sicmlip.science.settings import Settings, choice, flag, group, integer, number, sequence, text

FILE = "the name of a file"


@dataclass(frozen=True)
class ModelSettings(Settings):
    """The Allegro model."""

    PREFIX = "model."

    cutoff: float = number(5.0, "radius of an atom's neighbourhood", unit="A", above=0)
    l_max: int = integer(1, "highest order of the spherical harmonics", at_least=0)
    parity: bool = flag(True, "keep odd-parity features")
    num_layers: int = integer(1, "number of Allegro layers", at_least=1)
    num_bessels: int = integer(8, "number of radial Bessel functions", at_least=1)
    polynomial_cutoff_exponent: float = number(6.0, "exponent p of the envelope that ends at the cutoff", above=0)
    num_scalar_features: int = integer(24, "scalar features of a pair", at_least=1)
    num_tensor_features: int = integer(8, "tensor features of a pair, for each irreducible representation", at_least=1)
    mlp_depth: int = integer(1, "hidden layers of the embedding and latent networks", at_least=1)
    mlp_width: int = integer(32, "width of those hidden layers", at_least=1)
    readout_mlp_width: int = integer(16, "width of the hidden layer that gives a pair's energy", at_least=1)
    pair_potential: str = choice(
        "none",
        ("none", "zbl", "lennard-jones"),
        "pair energy added to the network's: screened nuclear repulsion (zbl), or a prior fitted to the labels",
    )
    precision: str = choice("float64", ("float32", "float64"), "floating-point type of the network")


@dataclass(frozen=True)
class LossSettings(Settings):
    """Weights of the loss."""

    PREFIX = "loss."

    energy: float = number(1.0, "weight of the mean squared error of the energy per atom, in (eV/atom)^2", at_least=0)
    forces: float = number(1.0, "weight of the mean squared error of the force components, in (eV/A)^2", at_least=0)


@dataclass(frozen=True)
class OptimiserSettings(Settings):
    """The optimiser, Adam."""

    PREFIX = "optimiser."

    learning_rate: float = number(0.005, "initial learning rate of Adam", above=0)
    gradient_clipping: float | None = number(None, "largest norm of the gradient; null does not clip", above=0)
    average_decay: float | None = number(
        None,
        "decay of a moving average of the weights that replaces the weights in the model; null for none",
        above=0,
        below=1,
    )


@dataclass(frozen=True)
class ScheduleSettings(Settings):
    """How the learning rate falls."""

    PREFIX = "schedule."

    kind: str = choice("plateau", ("constant", "plateau", "cosine"), "how the learning rate falls")
    factor: float = number(0.5, "plateau: factor applied when the validation loss stalls", above=0, below=1)
    patience: int = integer(25, "plateau: epochs without a better validation loss before the rate falls", at_least=0)
    minimum_learning_rate: float = number(1e-6, "plateau and cosine: lowest learning rate", at_least=0)


@dataclass(frozen=True)
class SeedSettings(Settings):
    """Seeds of a training."""

    PREFIX = "seeds."

    model: int = integer(1, "seed of the initial weights", at_least=0)
    data: int = integer(1, "seed of the order in which frames are drawn", at_least=0)


@dataclass(frozen=True)
class TrainingParameters(Settings):
    """Model, loss, optimiser and schedule of a training."""

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
    schedule: ScheduleSettings = group(ScheduleSettings, "how the learning rate falls")
    batch_size: int = integer(5, "training frames of one optimiser step", at_least=1)
    validation_batch_size: int = integer(10, "validation frames evaluated at once", at_least=1)
    maximum_epochs: int = integer(500, "passes over the training set; a cosine schedule spans them", at_least=1)
    early_stopping_patience: int | None = integer(
        None, "epochs without a better validation loss before stopping; null: never", at_least=1
    )
    keep_neighbour_lists: bool = flag(True, "hold all neighbour lists in memory (40 bytes a pair)")
    device: str = choice("cpu", ("cpu", "cuda", "auto"), "where to train; auto takes a GPU where there is one")
    threads: int = integer(1, "CPU threads; part of what makes a run repeatable bit for bit", at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss.energy == 0 and self.loss.forces == 0:
            raise InputError(
                f"`{self.PREFIX}loss.energy` and `{self.PREFIX}loss.forces` are both 0: there is nothing to learn; "
                "make one positive."
            )
        lowest, initial = self.schedule.minimum_learning_rate, self.optimiser.learning_rate
        if lowest > initial:
            raise InputError(
                f"`{self.PREFIX}schedule.minimum_learning_rate` ({lowest}) is above "
                f"`{self.PREFIX}optimiser.learning_rate` ({initial}): lower the first or raise the other."
            )

    @classmethod
    def complete_beside(cls, parameters: Mapping[str, Any], packaged: bool) -> dict[str, Any]:
        """Return ``parameters`` with all defaults, but for those of a model that is ``packaged``: it has its own.

        :raises InputError: where :meth:`from_mapping` does.
        """
        complete = cls.complete(parameters)
        if packaged:
            complete.pop("model")
            complete |= {key: value for key, value in parameters.items() if key == "model"}
        return complete


@dataclass(frozen=True)
class TrainingSettings(TrainingParameters):
    """What the settings file of a training holds."""

    PREFIX = ""
    ELSEWHERE: ClassVar[Mapping[str, str]] = {}

    training_set: str = text(TRAINING_SET_FILE, "labelled frames to learn from", FILE)
    validation_set: str = text("validation_set.npz", "labelled frames that the model is evaluated on", FILE)
    prior: str | None = text(
        None,
        "file of the Lennard-Jones prior; needed by `model.pair_potential: lennard-jones`, and by nothing else",
        FILE,
    )
    species: tuple[str, ...] = sequence(
        ("Si", "C"),
        "elements in the order in which the model (and `pair_coeff`) numbers them",
        "a list of different chemical symbols",
        lambda symbol: isinstance(symbol, str) and atomic_numbers.get(symbol, 0) > 0,
        different=True,
    )
    initial_model: str | None = text(
        None,
        "packaged model to start from, which decides `species` and all of `model`; null: random weights",
        FILE,
    )
    wall_time_limit: float | None = number(
        None, "time after which the training ends and packages its best model; null: none", unit="s", above=0
    )
    restart_checkpoint: str | None = text(
        None, "last checkpoint of an earlier run with the same settings, to go on from", FILE
    )
    seeds: SeedSettings = group(SeedSettings, "seeds of the training")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], prefix: str | None = None) -> TrainingSettings:
        """Read ``mapping``; see :meth:`Settings.from_mapping`.

        :raises InputError: also for settings of a model that comes whole, from a package.
        """
        settings = super().from_mapping(mapping, prefix)
        if settings.initial_model is None:
            return settings
        for name in mapping.get("model", {}):
            # The cutoff is compared with that of the package.
            if name != "cutoff":
                raise InputError(
                    f"`model.{name}` is given, but the model comes from `initial_model`, with its own: leave it out."
                )
        if settings.prior is not None:
            raise InputError("`prior` is given, but a package carries its own prior where it has one: leave it out.")
        return settings


def with_lower_learning_rate(parameters: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """Return ``parameters`` of a training with its learning rate times ``factor``; the least one falls with it.

    :raises InputError: where ``factor`` is not between 0 and 1, or the parameters are none.
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
