"""How two models differ: what they were trained on and how, with what, and how well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.links import LinkType

from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.science.labels.comparison import DatasetComparison, compare_datasets
from aiida_sicmlip.science.training.weight_comparison import WeightComparison, compare_weights
from aiida_sicmlip.tools.comparison import compare_contents, flat
from aiida_sicmlip.tools.potentials import hyperparameters_of, training_of
from aiida_sicmlip.tools.versions import changes, recorded_versions, surroundings

SETS = ("training_set", "validation_set")
_COMPARED_APART = (*SETS, "parameters", "code", "checkpoint")
"""Inputs that have a line of their own; where a training was interrupted does not change its weights."""
Errors = tuple[float, float]


@dataclass(frozen=True)
class ModelComparison:
    """Two models side by side.

    first: a model.
    second: another one.
    sets: by name of the set, what both data sets share.
    settings: dotted name and both values of each hyperparameter that differs.
    inputs: link label and difference in words of every other input that differs: prior, seed, initial potential.
    versions: name and both versions of what differs.
    machine: name and both values of what differs in where they were trained.
    errors: by name of the configurations, the errors of both: force MAE (eV/A) and energy MAE (eV/atom).
    weights: how the weights differ.
    """

    first: PotentialData
    second: PotentialData
    weights: WeightComparison
    sets: dict[str, DatasetComparison] = field(default_factory=dict)
    settings: list[tuple[str, Any, Any]] = field(default_factory=list)
    inputs: list[tuple[str, str]] = field(default_factory=list)
    versions: list[tuple[str, str, str]] = field(default_factory=list)
    machine: list[tuple[str, str, str]] = field(default_factory=list)
    errors: dict[str, tuple[Errors, Errors]] = field(default_factory=dict)


def compare_models(first: PotentialData, second: PotentialData) -> ModelComparison:
    """Compare two models that were trained in this profile.

    :raises InputError: if one was not.
    """
    trainings = training_of(first), training_of(second)
    comparison = ModelComparison(first, second, compare_weights(first.weights(), second.weights()))
    inputs = [_inputs(training) for training in trainings]
    for name in SETS:
        one, other = (taken[name] for taken in inputs)
        frames = one.frames(), other.frames()
        comparison.sets[name] = compare_datasets(*frames)
        kind = name.removesuffix("_set")
        mine, theirs = first.metrics.get(kind), second.metrics.get(kind)
        if mine is not None and theirs is not None:
            comparison.errors[f"own {kind} set"] = _whole(mine), _whole(theirs)
            both = comparison.sets[name].both
            if both and (len(both) < one.n_frames or len(both) < other.n_frames):
                sizes = [len(frame) for frame in frames[0]]
                comparison.errors[f"{len(both)} in both {kind} sets"] = (
                    _errors_at(mine, [index for index, _ in both], [sizes[index] for index, _ in both]),
                    _errors_at(theirs, [index for _, index in both], [sizes[index] for index, _ in both]),
                )
    settings = [dict(flat(hyperparameters_of(training))) for training in trainings]
    names = sorted(set(settings[0]) | set(settings[1]))
    comparison.settings.extend(
        (name, settings[0].get(name), settings[1].get(name))
        for name in names
        if settings[0].get(name) != settings[1].get(name)
    )
    comparison.inputs.extend(_other_inputs(*inputs))
    comparison.versions.extend(changes(*map(recorded_versions, trainings)))
    comparison.machine.extend(changes(*map(surroundings, trainings)))
    return comparison


def _inputs(training: orm.CalcJobNode) -> dict[str, Any]:
    """Return what a training took, by link label."""
    links = training.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()
    return {link.link_label: link.node for link in links}


def _other_inputs(first: dict[str, Any], second: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield name and difference of each input besides data sets, settings and code that differs."""
    for name in sorted((set(first) | set(second)) - set(_COMPARED_APART)):
        if name not in first or name not in second:
            node, which = (first[name], "first") if name in first else (second[name], "second")
            yield name, f"<{node.pk}> for the {which} model only"
        elif first[name].uuid != second[name].uuid:
            compared = compare_contents(name, first[name], second[name])
            if not compared.identical:
                yield name, compared.text


def _whole(errors: Mapping[str, Any]) -> Errors:
    """Return force and energy MAE of a set."""
    return errors["force_mae"], errors["energy_mae"]


def _errors_at(errors: Mapping[str, Any], indices: list[int], sizes: list[int]) -> Errors:
    """Return force (eV/A) and energy MAE (eV/atom) of some configurations of a set.

    :param sizes: number of atoms of each.
    """
    forces = np.average(np.asarray(errors["force_mae_per_frame"])[indices], weights=sizes)
    return float(forces), float(np.abs(np.asarray(errors["energy_error_per_frame"])[indices]).mean())
