"""A run of two rounds that has ended in its second training, made by hand, for runs that go on from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ProcessState

from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.labels import level_from_nodes
from tests.graphs.explorations import Explored

SELECTION = {"n_training": 8, "n_validation": 3, "separation": 0.5}


@dataclass
class Parent:
    """The run, and by the round the nodes of what it has left."""

    run: Any
    seeds: list[Any] = field(default_factory=list)
    segments: list[Any] = field(default_factory=list)
    selections: list[Any] = field(default_factory=list)
    sets: list[dict[str, Any]] = field(default_factory=list)
    potential: Any = None
    evaluation: Any = None
    compiled_potential: Any = None
    assessment: Any = None
    replacement_picks: Any = None


def labels_at_level_of(builder: Any, labelled_frames: Callable[..., Any]) -> Callable[..., LabelledDataSetData]:
    """Return what makes stored data sets at the level of theory of a run: number of configurations, seed."""
    pw = builder.labelling.pw
    level = level_from_nodes(pw.pw.parameters, pw.kpoints, pw.pw.code, dict(pw.pw.pseudos))

    def make(count: int, seed: int = 1) -> LabelledDataSetData:
        return LabelledDataSetData.from_frames(labelled_frames(count, seed), [level]).store()

    return make


def made_parent(
    explored: Explored,
    bootstrap: Any,
    generate_dataset: Callable[..., Any],
    models: tuple[Any, Any],
    state: ProcessState = ProcessState.FINISHED,
) -> Parent:
    """Return a run whose first round is complete, with a replacement, and whose second failed in its training.

    :param models: of the first round, portable and compiled.
    """
    inputs = {
        "max_rounds": orm.Int(2),
        "seed": orm.Int(1),
        "bootstrap_potential": bootstrap,
        "structures__divacancy": explored.structure,
        "selection__parameters": orm.Dict(SELECTION),
        "convergence": orm.Dict({}),
    }
    run = explored.process(
        orm.WorkChainNode,
        ACTIVE_LEARNING,
        **{name: node.store() for name, node in inputs.items()},
    )
    run.set_process_state(state)
    run.set_exit_status(403)
    parent = Parent(run)
    for index in range(2):
        label = f"round_{index:02d}"
        seeds = explored.process(orm.CalcFunctionNode, "", run, f"{label}_seeds")
        explored.output(seeds, "next_round", orm.Int(100 + index))
        parent.seeds.append(seeds.outputs.next_round)
        exploration = explored.exploration(run, index, "divacancy")
        segments = [explored.segment(biased=False) for _ in range(2)]
        for place, segment in enumerate(segments):
            trajectory = segment.outputs.trajectory
            explored.output(exploration, f"trajectories__divacancy__s{place:02d}", trajectory)
            kept = orm.ArrayData()
            kept.set_array("kept", np.arange(20 + place))
            filtering = explored.process(orm.CalcFunctionNode, "", exploration, f"filter_s{place:02d}")
            explored.output(filtering, "result", kept)
            explored.output(exploration, f"frame_filters__divacancy__s{place:02d}", kept)
        parent.segments.append([segment.outputs.trajectory for segment in segments])
        parent.selections.append(explored.selection(run, index, segments, **SELECTION))
        parent.sets.append({})
        for place, name in enumerate(("training_set", "validation_set")):
            extension = explored.process(orm.CalcFunctionNode, "", run, f"{label}_{name}")
            # A stored node has no place for the link of who made it; its copy does.
            dataset = generate_dataset(2 + index, seed=10 * index + place + 1).clone()
            explored.output(extension, "result", dataset)
            parent.sets[-1][name] = dataset
        training = explored.process(orm.WorkChainNode, "", run, f"{label}_training")
        if index == 1:
            training.set_exit_status(401)
            continue
        replacements = explored.process(orm.CalcFunctionNode, "", run, f"{label}_replacements")
        explored.output(replacements, "picks", parent.selections[0].outputs.picks.clone())
        parent.replacement_picks = replacements.outputs.picks
        for name, model in zip(("potential", "compiled_potential"), models, strict=True):
            explored.output(training, name, model)
        # As of a committee of two: the member is the same model once more.
        explored.output(training, "committee__member_01", models[1])
        parent.evaluation = orm.Dict({"committee": {"frames": {"disagreement": [0.2], "error": [0.8]}}}).store()
        explored.output(training, "evaluations__validation", parent.evaluation)
        parent.potential, parent.compiled_potential = models
        assessment = explored.process(orm.CalcFunctionNode, "", run, f"{label}_assessment")
        explored.output(assessment, "result", orm.Dict({"history": {"diversity": [1e-4]}, "criteria": []}))
        parent.assessment = assessment.outputs.result
    return parent
