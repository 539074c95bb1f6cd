"""A model card: what a model is for, what it was trained on and how well, as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.links import LinkType

import aiida_sicmlip
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.reports.citations import citations
from aiida_sicmlip.science.evaluation.fitness import fitness_sentence
from aiida_sicmlip.science.labels.statistics import dataset_statistics
from aiida_sicmlip.tools.lineage import Configuration, Lineage, RoundOfRun, by_round, lineage_of_model
from aiida_sicmlip.tools.potentials import hyperparameters_of
from aiida_sicmlip.tools.runs import read_run
from aiida_sicmlip.tools.versions import recorded_versions, surroundings

_ERRORS = ("n_frames", "force_mae", "force_rmse", "energy_mae", "energy_rmse")


@dataclass(frozen=True)
class Statement:
    """What the authors of a model say of it, which the graph cannot know.

    purpose: what it is meant for.
    authors: who made it.
    citation: what to cite for it.
    licence: under which licence it is given away.
    """

    purpose: str | None = None
    authors: str | None = None
    citation: str | None = None
    licence: str | None = None


@dataclass
class Evidence:
    """Nodes that a card is made from.

    lineage: the model with its data sets.
    training_set: what it was fitted to.
    explorations: the calculations whose trajectories its configurations are from.
    evaluations: data set and results of each evaluation of the model.
    """

    lineage: Lineage
    training_set: LabelledDataSetData
    explorations: list[orm.CalcJobNode] = field(default_factory=list)
    evaluations: list[tuple[int, dict[str, Any]]] = field(default_factory=list)


def model_card(model: PotentialData, statement: Statement) -> dict[str, Any]:
    """Return the card of a model that was trained in this profile, as plain values for JSON.

    Keys: `model`, `statement`, `trained_on`, `errors`, `fitness`, `levels_of_theory`, `valid_range`, `made_with`,
    `citations`.
    Forces in eV/A, energies in eV/atom, lengths in A, temperatures in K.

    :raises InputError: if the model was not trained here.
    """
    evidence = _evidence(model)
    trained = evidence.lineage.model
    training = orm.load_node(trained.training)
    levels = evidence.training_set.levels_of_theory
    weights = model.weights()
    used = {level.get("program", "") for level in levels}
    for exploration in evidence.explorations:
        used |= set(exploration.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all_link_labels())
    return {
        "model": {
            "uuid": model.uuid,
            "pk_where_it_was_exported": model.pk,
            "species": model.species,
            "cutoff": model.cutoff,
            "numbers": int(sum(array.size for array in weights.values())),
            "hyperparameters": hyperparameters_of(training),
            "seed": training.inputs.seed.value if "seed" in training.inputs else None,
            "prior": "Lennard-Jones" if trained.prior is not None else None,
            "trained_from": orm.load_node(trained.initial_potential).uuid if trained.initial_potential else None,
            "round": trained.round.index if trained.round is not None else None,
            "run": orm.load_node(trained.round.run).uuid if trained.round is not None else None,
        },
        "statement": vars(statement) | {},
        "trained_on": {name: _set(entries) for name, entries in evidence.lineage.sets.items()},
        "errors": {
            "at_the_end_of_the_training": {name: _errors(found) for name, found in model.metrics.items()},
            "by_round": _errors_by_round(trained.round),
            "on_rare_events": _rare_events(evidence),
        },
        "fitness": _fitness(trained.round),
        "levels_of_theory": levels,
        "valid_range": _range(evidence),
        "made_with": {
            "aiida-sicmlip, this card": aiida_sicmlip.__version__,
            "versions": recorded_versions(training),
            **surroundings(training),
        },
        "citations": ([statement.citation] if statement.citation else []) + citations(used),
    }


def _evidence(model: PotentialData) -> Evidence:
    """Return the nodes that the card of a model is made from."""
    lineage = lineage_of_model(model)
    entries = [entry for every in lineage.sets.values() for entry in every]
    runs = sorted({entry.exploration for entry in entries if entry.exploration is not None})
    query = orm.QueryBuilder().append(PotentialData, filters={"id": model.pk}, tag="model")
    query.append(orm.CalcJobNode, with_incoming="model", tag="compilation")
    query.append(CompiledPotentialData, with_incoming="compilation", tag="compiled")
    query.append(orm.CalcJobNode, with_incoming="compiled", edge_filters={"label": "potential"}, tag="evaluation")
    query.append(LabelledDataSetData, with_outgoing="evaluation", edge_filters={"label": "dataset"}, project="id")
    query.append(orm.Dict, with_incoming="evaluation", edge_filters={"label": "results"}, project="attributes")
    return Evidence(
        lineage,
        orm.load_node(lineage.model.training_set),
        [orm.load_node(pk) for pk in runs],
        sorted(query.all(), key=lambda row: row[0]),
    )


def _set(entries: Sequence[Configuration]) -> dict[str, Any]:
    """Return how many configurations a set has, by round and by start structure."""
    rounds = {
        "outside of a run" if where is None else f"round {where.index}": len(configurations)
        for where, configurations in by_round(entries).items()
    }
    starts = Counter(entry.start or ("imported" if entry.file is not None else "given structures") for entry in entries)
    return {"n_configurations": len(entries), "by_round": rounds, "by_start_structure": dict(sorted(starts.items()))}


def _errors(errors: dict[str, Any]) -> dict[str, Any]:
    """Return the errors of a set without those of its single configurations."""
    return {name: errors[name] for name in _ERRORS if name in errors}


def _errors_by_round(where: RoundOfRun | None) -> list[dict[str, Any]]:
    """Return the errors of the models of a run up to the round of this one; none outside of a run."""
    if where is None:
        return []
    return [
        {
            "round": entry.index,
            **{
                which: {name: errors[name] for name in ("force_mae", "energy_mae") if name in errors}
                for which in ("training", "validation", "fixed_validation", "exploring")
                if isinstance(errors := entry.assessment.get(which), dict)
            },
        }
        for entry in read_run(orm.load_node(where.run)).rounds
        if entry.assessment is not None and entry.index <= where.index
    ]


def _fitness(where: RoundOfRun | None) -> str | None:
    """Return what the assessment of the round of the model says that it can be used for; None without one."""
    if where is None:
        return None
    rounds = {entry.index: entry for entry in read_run(orm.load_node(where.run)).rounds}
    entry = rounds.get(where.index)
    if entry is None or entry.assessment is None:
        return None
    return fitness_sentence(entry.assessment, entry.final_run, "The potential")


def _rare_events(evidence: Evidence) -> dict[str, Any]:
    """Return number of atoms, force MAE and score of each region, by the set that the model was evaluated on."""
    names = {pk: name for name, pk in evidence.lineage.model.sets.items()}
    return {
        names.get(dataset, f"data set {orm.load_node(dataset).uuid}"): {
            region: {key: score[key] for key in ("n_atoms", "force_mae", "score", "reason") if key in score}
            for region, score in results["rare_events"].items()
        }
        for dataset, results in evidence.evaluations
        if results.get("rare_events")
    }


def _range(evidence: Evidence) -> dict[str, Any]:
    """Return the cells, distances, temperatures and defects that the training has seen."""
    frames = evidence.training_set.frames()
    statistics = dataset_statistics(frames)
    temperatures = [node.inputs.parameters.get_dict().get("temperature") for node in evidence.explorations]
    of_thermostats = [float(value) for value in temperatures if value is not None]
    entries = [entry for every in evidence.lineage.sets.values() for entry in every]
    return {
        "defects": sorted({entry.start for entry in entries if entry.start is not None}),
        "formulas": statistics["formulas"],
        "atoms_in_a_cell": _span(len(frame) for frame in frames),
        "volume_per_atom": statistics["volume_per_atom"],
        "min_distances": statistics["min_distances"],
        "energy_per_atom": statistics["energy_per_atom"],
        "greatest_force": max(float(np.linalg.norm(frame.get_forces(), axis=1).max()) for frame in frames),
        "temperature": _span(of_thermostats) if of_thermostats else None,
        "states": statistics["states"],
    }


def _span(values: Iterable[float]) -> dict[str, float]:
    """Return the least and the greatest of some numbers."""
    numbers = list(values)
    return {"least": min(numbers), "greatest": max(numbers)}
