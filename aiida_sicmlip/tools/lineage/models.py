"""How models were trained: on what, from what, in which round, and which models came before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.tools.lineage.creations import in_chunks
from aiida_sicmlip.tools.lineage.dynamics import models_of_compiled
from aiida_sicmlip.tools.lineage.rounds import RoundOfRun, rounds_of_calls

_FURTHER = "further_sets__"
_CALLERS = 3
"""A training is called by the work chain that continues it, that by a training, that by a run."""


@dataclass(frozen=True)
class Model:
    """A trained model with what its training took (PKs); None where it took nothing of the kind.

    potential: the portable model.
    training: the calculation that made it.
    attempts: calculations of the training in order, each continued by the next from its checkpoint; the last is
        `training`.
    training_set: what it was fitted to.
    validation_set: what decided when to stop.
    further_sets: sets that it was evaluated on besides, by name.
    parameters: settings of the training.
    seed: node of the seed.
    code: what trained it.
    prior: pairs that it learned on top of.
    prior_fitted_to: the data set that the prior was fitted to.
    initial_potential: the model whose weights it started from.
    round: the round of the run that called the training.
    """

    potential: int
    training: int
    attempts: tuple[int, ...] = ()
    training_set: int | None = None
    validation_set: int | None = None
    further_sets: dict[str, int] = field(default_factory=dict)
    parameters: int | None = None
    seed: int | None = None
    code: int | None = None
    prior: int | None = None
    prior_fitted_to: int | None = None
    initial_potential: int | None = None
    round: RoundOfRun | None = None

    @property
    def sets(self) -> dict[str, int]:
        """All data sets by name: `training`, `validation`, and further ones."""
        own = {"training": self.training_set, "validation": self.validation_set}
        return {name: pk for name, pk in own.items() if pk is not None} | self.further_sets


_INPUTS = ("training_set", "validation_set", "parameters", "seed", "code", "prior", "initial_potential")


def portable_model(potential: PotentialData | CompiledPotentialData) -> PotentialData:
    """Return a portable model itself, or the one that a compiled model was made from.

    :raises InputError: if it was not compiled in this profile.
    """
    if isinstance(potential, PotentialData):
        return potential
    made_from = models_of_compiled([potential.pk])
    if potential.pk not in made_from:
        raise InputError(
            f"the compiled model <{potential.pk}> was not compiled in this profile; it has no lineage here."
        )
    return orm.load_node(made_from[potential.pk])


def model_of_potential(potential: PotentialData | CompiledPotentialData) -> Model:
    """Return how a model was trained.

    :raises InputError: if it was not trained in this profile.
    """
    portable = portable_model(potential)
    models = models_of_potentials([portable.pk])
    if portable.pk not in models:
        raise InputError(f"potential <{portable.pk}> was not trained in this profile, so that it has no lineage here.")
    return models[portable.pk]


def models_of_potentials(pks: Iterable[int]) -> dict[int, Model]:
    """Return how each of the portable models was trained; those that were not trained here are left out.

    A fixed number of queries for a thousand of them, and one more for each continuation of a training.
    """
    models: dict[int, Model] = {}
    for chunk in in_chunks(pks):
        query = orm.QueryBuilder()
        query.append(PotentialData, filters={"id": {"in": chunk}}, project="id", tag="potential")
        query.append(orm.CalcJobNode, with_outgoing="potential", project="id", tag="training")
        query.append(
            orm.Data,
            with_outgoing="training",
            edge_filters={"label": {"in": list(_INPUTS)}},
            edge_project="label",
            project="id",
        )
        taken: dict[tuple[int, int], dict[str, Any]] = {}
        for potential, training, node, label in query.all():
            taken.setdefault((potential, training), {})[label] = node
        models |= {
            potential: Model(potential, training, **inputs)
            for (potential, training), inputs in taken.items()
            if "training_set" in inputs
        }
    attempts = _attempts_of_trainings({model.training for model in models.values()})
    fitted = _sets_of_priors({model.prior for model in models.values() if model.prior is not None})
    rounds, further = _callers_of_trainings({model.training for model in models.values()})
    return {
        pk: replace(
            model,
            attempts=attempts[model.training],
            prior_fitted_to=fitted.get(model.prior or 0),
            round=rounds.get(model.training),
            further_sets=further.get(model.training, {}),
        )
        for pk, model in models.items()
    }


def _attempts_of_trainings(pks: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """Return the calculations that each training consists of, in order."""
    attempts: dict[int, tuple[int, ...]] = {pk: (pk,) for pk in pks}
    firsts = {pk: pk for pk in attempts}
    while firsts:
        earlier: dict[int, int] = {}
        for chunk in in_chunks(set(firsts.values())):
            query = orm.QueryBuilder()
            query.append(orm.CalcJobNode, filters={"id": {"in": chunk}}, project="id", tag="attempt")
            query.append(orm.Data, with_outgoing="attempt", edge_filters={"label": "checkpoint"}, tag="checkpoint")
            query.append(orm.CalcJobNode, with_outgoing="checkpoint", project="id")
            earlier.update(query.all())
        firsts = {pk: earlier[first] for pk, first in firsts.items() if first in earlier}
        for pk, first in firsts.items():
            attempts[pk] = (first, *attempts[pk])
    return attempts


def _sets_of_priors(pks: Iterable[int]) -> dict[int, int]:
    """Return the data set that each prior was fitted to; those that were given are left out."""
    sets: dict[int, int] = {}
    for chunk in in_chunks(pks):
        query = orm.QueryBuilder()
        query.append(orm.Data, filters={"id": {"in": chunk}}, project="id", tag="prior")
        query.append(orm.CalcFunctionNode, with_outgoing="prior", tag="fit")
        query.append(orm.Data, with_outgoing="fit", edge_filters={"label": "dataset"}, project="id")
        sets.update(query.all())
    return sets


def _callers_of_trainings(pks: Iterable[int]) -> tuple[dict[int, RoundOfRun], dict[int, dict[str, int]]]:
    """Return the round that each training belongs to, and the further sets of the work chain that called it."""
    top = {pk: pk for pk in pks}
    rounds: dict[int, RoundOfRun] = {}
    further: dict[int, dict[str, int]] = {}
    for _ in range(_CALLERS):
        callers: dict[int, int] = {}
        for chunk in in_chunks(set(top.values())):
            query = orm.QueryBuilder()
            query.append(orm.ProcessNode, filters={"id": {"in": chunk}}, project="id", tag="called")
            query.append(orm.WorkChainNode, with_outgoing="called", project="id")
            callers.update(query.all())
        of_calls = rounds_of_calls(top.values())
        rounds |= {pk: of_calls[process] for pk, process in top.items() if process in of_calls}
        top = {pk: callers[process] for pk, process in top.items() if process in callers and pk not in rounds}
        sets = _further_sets(top.values())
        further |= {pk: sets[process] for pk, process in top.items() if process in sets}
    return rounds, further


def _further_sets(pks: Iterable[int]) -> dict[int, dict[str, int]]:
    """Return the further sets that work chains took, by name."""
    sets: dict[int, dict[str, int]] = {}
    for chunk in in_chunks(set(pks)):
        query = orm.QueryBuilder()
        query.append(orm.WorkChainNode, filters={"id": {"in": chunk}}, project="id", tag="caller")
        query.append(
            orm.Data,
            with_outgoing="caller",
            edge_filters={"label": {"like": _FURTHER.replace("_", "\\_") + "%"}},
            edge_project="label",
            project="id",
        )
        for caller, node, label in query.all():
            sets.setdefault(caller, {})[label.removeprefix(_FURTHER)] = node
    return sets
