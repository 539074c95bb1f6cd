"""What depends on a node: data sets with the share of their configurations, and models."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from aiida import orm

from aiida_sicmlip.tools.lineage.creations import sizes_of_datasets
from aiida_sicmlip.tools.lineage.dependents import Dependents, Found, Indices, kinds_of_node
from aiida_sicmlip.tools.lineage.models import Model, models_of_potentials
from aiida_sicmlip.tools.lineage.rounds import RoundOfRun

_ON_THE_WAY = ("label", "structure", "trajectory")
"""Kinds that lead from a node to configurations of its own; others lead to those of runs that it had a part in."""


@dataclass(frozen=True)
class AffectedSet:
    """A data set with the configurations that depend on a node.

    dataset: PK of the data set.
    n_frames: its number of configurations.
    own: whether label or frame of a configuration is from the node, (n_frames,).
    driven: whether a configuration is not, but its frame is from a run that a model or variables made with the node
        drove, (n_frames,).
    """

    dataset: int
    n_frames: int
    own: np.ndarray = field(compare=False, repr=False)
    driven: np.ndarray = field(compare=False, repr=False)

    @property
    def n_own(self) -> int:
        """Number of configurations whose label or frame is from the node."""
        return int(self.own.sum())

    @property
    def n_driven(self) -> int:
        """Number of the others whose frame is from a run that depends on the node."""
        return int(self.driven.sum())

    @property
    def share_own(self) -> float:
        """Share of the configurations whose label or frame is from the node."""
        return self.n_own / self.n_frames

    @property
    def share_driven(self) -> float:
        """Share of the others whose frame is from a run that depends on the node."""
        return self.n_driven / self.n_frames


@dataclass(frozen=True)
class AffectedModel:
    """A model that depends on a node.

    model: how it was trained.
    sets: those of its data sets that depend on the node, by name: `training`, `validation` and further ones.
    """

    model: Model
    sets: dict[str, AffectedSet]


@dataclass(frozen=True)
class Affected:
    """What depends on a node.

    node: PK of the node.
    kinds: what it is, or what it has made if it is a calculation.
    datasets: data sets in the order of their PKs.
    models: models by round.
    """

    node: int
    kinds: tuple[str, ...]
    datasets: tuple[AffectedSet, ...]
    models: tuple[AffectedModel, ...]


def affected_by(node: orm.Node) -> Affected:
    """Return every data set and model that depends on ``node``.

    Followed are numbers and trajectories: labels into data sets, data sets into priors and models, models and
    collective variables into runs, their frames into labels. Which frames were picked because of what was known before
    is not counted: it changes no number. A part of a data set that leaves out what depends on the node does not depend
    on it.

    :raises InputError: if nothing is followed from a node of its kind.
    """
    start = kinds_of_node(node)
    dependents = Dependents()
    _, own = _closure(dependents, start, {*_ON_THE_WAY, *(["compiled model"] if "model" in start else [])})
    reached, every = _closure(dependents, start, None)
    sizes = sizes_of_datasets(every)
    sets = {pk: _affected_set(pk, sizes[pk], own.get(pk, set()), every[pk]) for pk in sorted(every)}
    models = sorted(
        models_of_potentials(reached.get("model", set()) - {node.pk}).values(),
        key=lambda model: (model.round or RoundOfRun(0, 0), model.potential),
    )
    return Affected(
        node.pk,
        tuple(start),
        tuple(one for pk, one in sets.items() if pk != node.pk),
        tuple(
            AffectedModel(model, {name: sets[pk] for name, pk in model.sets.items() if pk in sets}) for model in models
        ),
    )


def _closure(dependents: Dependents, start: Found, leading: set[str] | None) -> tuple[Found, Indices]:
    """Return all that came of ``start``, what it is included, and the indices of its configurations.

    :param leading: kinds that lead on from what came of the start; all by default. What data sets lead to is left out
        where kinds are limited, but for further data sets.
    """
    reached: Found = {}
    indices: Indices = {}
    waiting = {kind: set(pks) for kind, pks in start.items()}
    coming = {pk: set(range(size)) for pk, size in sizes_of_datasets(start.get("data set", set())).items()}
    coming |= dependents.indices_of_files(start.get("file", set()))
    while waiting or coming:
        following: Found = {}
        for kind, pks in waiting.items():
            reached.setdefault(kind, set()).update(pks)
            if leading is None or kind in leading or pks == start.get(kind):
                more = dependents.step(kind, pks) if kind != "label" else {}
                following = {name: following.get(name, set()) | more.get(name, set()) for name in {*following, *more}}
        further = [dependents.indices_of_labels(waiting.get("label", set())), dependents.indices_in_children(coming)]
        for pk, here in coming.items():
            indices.setdefault(pk, set()).update(here)
        if leading is None:
            following.setdefault("data set", set()).update(coming)
        waiting = {kind: new for kind, pks in following.items() if (new := pks - reached.get(kind, set()))}
        coming = {}
        for part in further:
            for pk, here in part.items():
                if new := here - indices.get(pk, set()):
                    coming.setdefault(pk, set()).update(new)
    return reached, indices


def _affected_set(pk: int, size: int, own: set[int], every: set[int]) -> AffectedSet:
    """Return a data set with its affected indices as masks."""
    masks = np.zeros((2, size), dtype=bool)
    masks[0, list(own)] = True
    masks[1, list(every - own)] = True
    return AffectedSet(pk, size, masks[0], masks[1])
