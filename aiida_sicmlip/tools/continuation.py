"""Outputs of a run that another run continues from, read from the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import REPLACED, number_of_segment, parse_round_label
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.tools.lineage.rounds import rounds_of_calls
from aiida_sicmlip.tools.nodes import output_of
from aiida_sicmlip.tools.walkers import called_nodes

SETS = ("training_set", "validation_set", "fixed_validation_set")
_CONTINUED = ("seed", "initial__training_set")
"""Inputs that a run takes over from what rounds of the continued one made, by link label."""


@dataclass
class RunOutputs:
    """Outputs of a run, including those of the runs that it continued.

    potential: the last one that was trained, portable.
    compiled_potential: the same, compiled.
    committee: the other members of its committee, compiled; empty where there is none.
    evaluation: of that committee or the one before, on labels that it was not trained on; None where there is none.
    sets: the latest data sets, under the names of :data:`SETS`, including labels whose training did not finish.
    trajectories: the segments of the last exploration by start structure, each under ``s00`` and so on.
    filters: which frames of these passed the filter, under the same names.
    candidates: of all rounds with a selection, by the names of the rounds.
    picks: of the rounds whose labels are in a data set; picks of other rounds may be picked again.
    assessment: the last one.
    next_round: number of the next round.
    n_segments: number of segments of all rounds that have described their frames.
    seed: of the next round.
    """

    potential: PotentialData | None = None
    compiled_potential: CompiledPotentialData | None = None
    committee: dict[str, CompiledPotentialData] = field(default_factory=dict)
    evaluation: orm.Dict | None = None
    sets: dict[str, orm.Data] = field(default_factory=dict)
    trajectories: dict[str, dict[str, orm.Data]] = field(default_factory=dict)
    filters: dict[str, dict[str, orm.Data]] = field(default_factory=dict)
    candidates: dict[str, orm.Data] = field(default_factory=dict)
    picks: dict[str, orm.Data] = field(default_factory=dict)
    assessment: orm.Dict | None = None
    next_round: int = 0
    n_segments: int = 0
    seed: orm.Int | None = None


def outputs_of_run(run: orm.WorkChainNode) -> RunOutputs:
    """Return the outputs of an active-learning run, however it ended; a handful of queries, whatever its size.

    :raises InputError: if it is still running.
    """
    if not run.is_terminated:
        raise InputError(
            f"run <{run.pk}> is still running; wait until it has ended, or end it with `verdi process kill {run.pk}`."
        )
    run_outputs = _inherited(run)
    for index, steps in sorted(_finished_steps(run.pk).items()):
        name = f"round_{index:02d}"
        for kind in SETS:
            if kind in steps:
                run_outputs.sets[kind] = steps[kind].outputs.result
        if "exploration" in steps:
            explored = steps["exploration"].outputs
            run_outputs.trajectories = {name: dict(nodes) for name, nodes in explored.trajectories.items()}
            filters = explored.frame_filters if "frame_filters" in explored else {}
            run_outputs.filters = {name: dict(nodes) for name, nodes in filters.items()}
        if "final_run_training_set" in steps:
            run_outputs.sets["training_set"] = steps["final_run_training_set"].outputs.result
        if "selection" in steps:
            description = steps["descriptors"]
            run_outputs.candidates[name] = description.outputs.candidates
            if "training_set" in steps:
                run_outputs.picks[name] = output_of(steps["selection"], "picks")
            if "training_set" in steps and REPLACED in steps:
                run_outputs.picks[f"{name}_{REPLACED}"] = output_of(steps[REPLACED], "picks")
            run_outputs.n_segments = 1 + max(_numbers_of_segments(description.pk))
            run_outputs.next_round = index + 1
            run_outputs.seed = output_of(steps["seeds"], "next_round")
        if "final_run" in steps and "trajectories" in steps["final_run"].outputs:
            made = steps["final_run"].outputs.trajectories.values()
            run_outputs.n_segments = 1 + max(number_of_segment(label) for segments in made for label in segments)
        if "training" in steps:
            outputs = steps["training"].outputs
            run_outputs.potential, run_outputs.compiled_potential = outputs.potential, outputs.compiled_potential
            run_outputs.committee = dict(outputs.committee) if "committee" in outputs else {}
            step = steps.get("evaluation_of_exploring_potential")
            exploring = () if step is None else (step.outputs.results,)
            run_outputs.evaluation = evaluation_of_committee(*exploring, outputs.evaluations.validation)
        if "assessment" in steps:
            run_outputs.assessment = steps["assessment"].outputs.result
    return run_outputs


def evaluation_of_committee(*evaluations: orm.Dict) -> orm.Dict | None:
    """Return the first of several evaluations that has a committee's disagreement; None where none has.

    The disagreement of the next round is calibrated on labels that members were not trained on: the new ones of the
    round before if the potential that explored it had a committee, else the validation set of the new committee.
    """
    return next((node for node in evaluations if "committee" in node.get_dict()), None)


def continued_run(run: orm.WorkChainNode) -> int | None:
    """Return the PK of the run that ``run`` continues; None where it continues none."""
    links = run.base.links.get_incoming(link_type=LinkType.INPUT_WORK).all()
    inputs = {link.link_label: link.node for link in links if link.link_label in (*_CONTINUED, "initial__first_round")}
    if "initial__first_round" not in inputs:
        return None
    # Labels are what every continuation takes over; the seed tells a run that selected, but labelled nothing.
    creators = {name: inputs[name].creator for name in _CONTINUED if name in inputs}
    creator_pks = {name: creator.pk for name, creator in creators.items() if creator is not None}
    rounds = rounds_of_calls(creator_pks.values())
    return max((rounds[pk].run for pk in creator_pks.values() if pk in rounds), default=None)


def _inherited(run: orm.WorkChainNode) -> RunOutputs:
    """Return what a run was given by the one that it continues; what no run made where there is none."""
    inputs = run.inputs
    initial: Mapping[str, Any] = inputs.initial if "initial" in inputs else {}
    explorer = inputs.bootstrap_potential
    return RunOutputs(
        potential=initial.get("potential"),
        compiled_potential=explorer if isinstance(explorer, CompiledPotentialData) else None,
        committee=dict(initial.get("committee", {})),
        evaluation=initial.get("evaluation"),
        sets={kind: initial[kind] for kind in SETS if kind in initial},
        trajectories={name: dict(segments) for name, segments in initial.get("trajectories", {}).items()},
        filters={name: dict(nodes) for name, nodes in initial.get("filters", {}).items()},
        candidates=dict(initial.get("candidates", {})),
        picks=dict(initial.get("picks", {})),
        assessment=initial.get("assessment"),
        next_round=initial["first_round"].value if "first_round" in initial else 0,
        n_segments=initial["n_segments"].value if "n_segments" in initial else 0,
        seed=inputs.seed,
    )


def _finished_steps(pk: int) -> dict[int, dict[str, Any]]:
    """Return the steps of each round that have ended well."""
    steps: dict[int, dict[str, Any]] = {}
    for label, node in called_nodes(pk, orm.ProcessNode, "round\\_%"):
        index, name = parse_round_label(label)
        if node.is_finished_ok:
            # A step that was called again after an interruption stands under the same label; the latest counts.
            steps.setdefault(index, {})[name] = node
    return steps


def _numbers_of_segments(pk: int) -> Iterator[int]:
    """Yield the numbers of the segments that a description took."""
    query = orm.QueryBuilder()
    query.append(orm.CalcJobNode, filters={"id": pk}, tag="description")
    query.append(
        orm.Data,
        with_outgoing="description",
        edge_filters={"label": {"like": "trajectories\\_\\_%"}},
        edge_project="label",
    )
    for (label,) in query.all():
        yield number_of_segment(label.rsplit("__", 1)[-1])
