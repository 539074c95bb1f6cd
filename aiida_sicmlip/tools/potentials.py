"""Trained potentials: which calculations trained, compiled and evaluated one, and those of each round of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import parse_round_label
from aiida_sicmlip.common.process_types import (
    ACTIVE_LEARNING,
    EVALUATION,
    TRAINING,
    TRAINING_BASE,
    TRAINING_CALCULATION,
)
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.science.training.settings import TrainingParameters
from aiida_sicmlip.tools.lineage import portable_model
from aiida_sicmlip.tools.nodes import output_of
from aiida_sicmlip.tools.runs import last_potential, read_run
from aiida_sicmlip.tools.walkers import called_nodes

MODELS = (PotentialData, CompiledPotentialData, TRAINING, TRAINING_BASE, TRAINING_CALCULATION, ACTIVE_LEARNING)
"""Kinds of nodes that lead to one model: itself, what it was compiled to, what trained it, a run."""
NOT_CHOSEN = tuple(TrainingParameters.ELSEWHERE)
"""Settings of the program that are other inputs of a training, or follow from them."""
EXPLORING = "evaluation_of_exploring_potential"
"""Step of a round in which the potential that explored is evaluated on the new labels."""


@dataclass(frozen=True)
class TrainedPotential:
    """A potential with the calculations that it is from and that took it, each in the order in which they were made.

    trainings: the parts of its training, several where one was continued; none where it was not trained here.
    compilations: those that made it a model for one machine.
    evaluations: of any of these models, by name: that of the data set in the training, or where it was called else.
    """

    potential: PotentialData
    trainings: list[orm.CalcJobNode]
    compilations: list[orm.CalcJobNode]
    evaluations: dict[str, orm.CalcJobNode]

    @property
    def training(self) -> orm.CalcJobNode | None:
        """The calculation that packaged the potential."""
        return self.trainings[-1] if self.trainings else None


def model_of(node: orm.Node) -> PotentialData:
    """Return the portable model of one of the kinds :data:`MODELS`; of a run that of its last complete training.

    :raises InputError: if it has made no model (yet), or is a compiled model that was not made in this profile.
    """
    if isinstance(node, (PotentialData, CompiledPotentialData)):
        return portable_model(node)
    # All trainings have an output of this name.
    is_run = node.process_type == ACTIVE_LEARNING
    model = last_potential(read_run(node)) if is_run else output_of(node, "potential")
    if not isinstance(model, PotentialData):
        raise InputError(
            f"{node.process_label} <{node.pk}> has made no potential: `verdi process status {node.pk}` says how far it "
            "came."
        )
    return model


def training_of(model: PotentialData) -> orm.CalcJobNode:
    """Return the calculation that trained a model.

    :raises InputError: if it was not trained in this profile.
    """
    training = model.creator
    if training is None or "training_set" not in training.inputs:
        raise InputError(f"model <{model.pk}> was not trained in this profile, so that its inputs are not known here.")
    return training


def hyperparameters_of(training: orm.CalcJobNode) -> dict[str, Any]:
    """Return the complete settings that a training ran with, as its own version of the package completed them."""
    results = training.outputs.results.get_dict() if "results" in training.outputs else {}
    if "settings" in results:
        return {name: results["settings"][name] for name in results["settings"] if name not in NOT_CHOSEN}
    return TrainingParameters.complete(training.inputs.parameters.get_dict())


def read_potential(potential: PotentialData) -> TrainedPotential:
    """Return where a potential is from and what it was used for; a handful of queries."""
    compilations, evaluations = _uses(potential.pk)
    return TrainedPotential(potential, _trainings(potential), compilations, _by_name(evaluations))


def evaluations_of_rounds(run: orm.WorkChainNode) -> dict[str, dict[int, orm.CalcJobNode]]:
    """Return the evaluations of a run by set and round, as far as they have finished well.

    Sets: ``training`` and ``validation`` of the round's new potential, and ``exploring``, that of the potential that
    explored it on the new labels.
    """
    evaluations: dict[str, dict[int, orm.CalcJobNode]] = {"training": {}, "validation": {}, "exploring": {}}
    # A step that was called again after an interruption stands under the same label; the latest counts.
    for label, node in called_nodes(run.pk, orm.ProcessNode, "round\\_%"):
        index, step = parse_round_label(label)
        if step == EXPLORING and node.is_finished_ok:
            evaluations["exploring"][index] = node
        elif step == "training":
            for name, evaluation in called_nodes(node.pk, orm.CalcJobNode, "evaluation\\_%"):
                which = name.removeprefix("evaluation_")
                if which in evaluations and evaluation.is_finished_ok:
                    evaluations[which][index] = evaluation
    return evaluations


def _trainings(potential: PotentialData) -> list[orm.CalcJobNode]:
    """Return the calculation that made a potential after those that it continued."""
    trainings: list[orm.CalcJobNode] = []
    node = potential.creator
    while node is not None and "training_set" in node.inputs:
        trainings.insert(0, node)
        node = node.inputs.checkpoint.creator if "checkpoint" in node.inputs else None
    return trainings


def _uses(pk: int) -> tuple[list[orm.CalcJobNode], list[orm.CalcJobNode]]:
    """Return the compilations of a potential and the evaluations of the compiled models."""
    query = orm.QueryBuilder().append(PotentialData, filters={"id": pk}, tag="potential")
    query.append(
        orm.CalcJobNode,
        with_incoming="potential",
        edge_filters={"label": "potential"},
        filters={"attributes.exit_status": 0},
        project="*",
        tag="compilation",
    )
    query.append(CompiledPotentialData, with_incoming="compilation", tag="compiled")
    query.order_by({"compilation": "id"})
    compilations = query.all(flat=True)
    # A query of its own: a model that was not evaluated would not be in a joint one.
    query.append(
        orm.CalcJobNode,
        with_incoming="compiled",
        edge_filters={"label": "potential"},
        filters={"attributes.exit_status": 0, "process_type": EVALUATION},
        project="id",
        tag="evaluation",
    )
    pks = sorted({row[-1] for row in query.all()})
    return compilations, [orm.load_node(number) for number in pks]


def _by_name(evaluations: list[orm.CalcJobNode]) -> dict[str, orm.CalcJobNode]:
    """Return evaluations by the label that they were called under; of several of a name the latest."""
    query = orm.QueryBuilder()
    query.append(orm.WorkChainNode, tag="caller")
    query.append(
        orm.CalcJobNode,
        filters={"id": {"in": [node.pk for node in evaluations] or [0]}},
        with_incoming="caller",
        edge_filters={"type": LinkType.CALL_CALC.value},
        edge_project="label",
        project="id",
    )
    labels = dict(query.all())
    return {_name(labels.get(node.pk), node): node for node in evaluations}


def _name(label: str | None, node: orm.CalcJobNode) -> str:
    if label is not None and label.startswith("round_") and label.endswith(EXPLORING):
        return f"new labels of round {parse_round_label(label)[0]}"
    if label is not None and label.startswith("evaluation_"):
        return label.removeprefix("evaluation_").replace("_", " ")
    return f"data set <{node.inputs.dataset.pk}>"
