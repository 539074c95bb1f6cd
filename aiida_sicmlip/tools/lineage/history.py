"""The whole lineage of a model: its data sets by round, and the models that came before it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aiida import orm

from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.tools.lineage.configurations import Configuration, configurations_of_dataset
from aiida_sicmlip.tools.lineage.models import Model, model_of_potential, models_of_potentials, portable_model
from aiida_sicmlip.tools.lineage.rounds import RoundOfRun


@dataclass(frozen=True)
class Lineage:
    """A model with all that it was trained and evaluated on.

    model: the model.
    sets: configurations of each of its data sets, in their order, by name: `training`, `validation` and further ones.
    earlier: models that drove trajectories of these configurations or whose weights it started from, by round.
    """

    model: Model
    sets: dict[str, list[Configuration]]
    earlier: tuple[Model, ...]


def lineage_of_model(potential: PotentialData | CompiledPotentialData) -> Lineage:
    """Return the lineage of a model: exactly the configurations that it was trained on, and where they are from.

    :raises InputError: if it was not trained in this profile.
    """
    portable = portable_model(potential)
    model = model_of_potential(portable)
    sets = {name: configurations_of_dataset(orm.load_node(pk)) for name, pk in model.sets.items()}
    driving = {one.model for configurations in sets.values() for one in configurations if one.model is not None}
    return Lineage(model, sets, earlier_models(model, driving))


def earlier_models(model: Model, driving: Iterable[int]) -> tuple[Model, ...]:
    """Return the models with the PKs ``driving``, and those whose weights ``model`` and they started from, by round."""
    models: dict[int, Model] = {}
    wanted = {*driving, *([model.initial_potential] if model.initial_potential is not None else [])}
    while wanted:
        new = models_of_potentials(wanted)
        models |= new
        wanted = {one.initial_potential for one in new.values() if one.initial_potential is not None} - set(models)
    return tuple(sorted(models.values(), key=lambda one: (one.round or RoundOfRun(0, 0), one.potential)))


def by_round(configurations: Iterable[Configuration]) -> dict[RoundOfRun | None, list[Configuration]]:
    """Return configurations by the round that they are from, rounds in their order, first those outside of a run."""
    rounds: dict[RoundOfRun | None, list[Configuration]] = {}
    for configuration in configurations:
        rounds.setdefault(configuration.origin, []).append(configuration)
    return dict(sorted(rounds.items(), key=lambda item: (item[0] is not None, item[0] or RoundOfRun(0, 0))))
