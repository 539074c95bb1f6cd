"""State and results of a run, read from the graph."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.common.timezone import now

from aiida_sicmlip.common.costs import Costs
from aiida_sicmlip.common.labels import parse_round_label
from aiida_sicmlip.data.classical_potential import potential_name
from aiida_sicmlip.tools.costs import Job, costs_of_run, jobs_of_run
from aiida_sicmlip.tools.failure_messages import failure_message
from aiida_sicmlip.tools.nodes import input_of
from aiida_sicmlip.tools.paused import PausedProcess, paused_processes

STEPS = ("exploration", "descriptors", "selection", "labelling", "training", "assessment", "final_run")
"""Steps of a round that are shown; the shorter ones between them are part of the graph all the same."""
REPLACEMENTS = "replacement_labelling"
"""The labelling of frames that replace those of failed labels, if any; it comes after the first."""
FIRST_WARNING = 700
"""Exit statuses from this one on are warnings: the run has outputs."""
TERMINATED = ("finished", "excepted", "killed")


@dataclass(frozen=True)
class Step:
    """One process that a round called."""

    pk: int
    state: str
    exit_status: int | None
    started: datetime.datetime
    changed: datetime.datetime

    @property
    def terminated(self) -> bool:
        """Whether it has ended, well or not."""
        return self.state in TERMINATED

    @property
    def finished_ok(self) -> bool:
        """Whether it has ended well."""
        return self.state == "finished" and self.exit_status == 0

    @property
    def seconds(self) -> float:
        """Wall time in s; up to now where it has not ended."""
        return ((self.changed if self.terminated else now()) - self.started).total_seconds()


@dataclass(frozen=True)
class FailedLabel:
    """A label that failed: the link label of its frame, the PK of its process, and why."""

    frame: str
    pk: int
    reason: str


@dataclass
class Round:
    """The steps of one round, and its assessment once there is one.

    final_run: errors against time along the free runs with its potential; None where there were none.

    Labels are those that were requested first and those that replaced failed ones: done and failed count both,
    replaced counts the finished ones of the second kind.
    """

    index: int
    steps: dict[str, Step] = field(default_factory=dict)
    assessment: dict[str, Any] | None = None
    training_configurations: int | None = None
    validation_configurations: int | None = None
    labels_asked: int = 0
    labels_done: int = 0
    labels_failed: int = 0
    labels_replaced: int = 0
    failures: list[FailedLabel] = field(default_factory=list)
    final_run: dict[str, Any] | None = None

    @property
    def current(self) -> str | None:
        """Name of the shown step that is running."""
        names = (*STEPS, REPLACEMENTS)
        return next((name for name in names if name in self.steps and not self.steps[name].terminated), None)

    @property
    def seconds(self) -> float:
        """Wall time in s from the first step to the last."""
        if not self.steps:
            return 0.0
        ends = [now() if not step.terminated else step.changed for step in self.steps.values()]
        return (max(ends) - min(step.started for step in self.steps.values())).total_seconds()


@dataclass
class Run:
    """An active-learning run.

    budget: the input of this name.
    costs: costs so far; None where they were not queried.
    jobs: its calculations that have ended, where costs were queried.
    reference: pair style and file of the potential that labels instead of DFT, None where DFT does.
    paused: its processes that are paused.
    """

    pk: int
    state: str
    exit_status: int | None
    exit_message: str | None
    started: datetime.datetime
    changed: datetime.datetime
    max_rounds: int
    rounds: list[Round]
    budget: dict[str, Any] = field(default_factory=dict)
    costs: Costs | None = None
    jobs: list[Job] = field(default_factory=list)
    reference: str | None = None
    paused: list[PausedProcess] = field(default_factory=list)

    @property
    def terminated(self) -> bool:
        """Whether it has ended, well or not."""
        return self.state in TERMINATED

    @property
    def failed(self) -> bool:
        """Whether it has ended with an error: not converged, and not for lack of rounds or budget."""
        return self.terminated and (self.state != "finished" or 0 < (self.exit_status or 0) < FIRST_WARNING)

    @property
    def seconds(self) -> float:
        """Wall time in s; up to now where it has not ended."""
        return ((self.changed if self.terminated else now()) - self.started).total_seconds()

    @property
    def expected_seconds_left(self) -> float | None:
        """Time in s that is left at most if the coming rounds take as long as the last complete one."""
        complete = [entry for entry in self.rounds if entry.assessment is not None]
        if self.terminated or not complete:
            return None
        typical = complete[-1].seconds
        begun = self.rounds[-1]
        left = (self.max_rounds - len(self.rounds)) * typical
        return left if begun.assessment is not None else left + max(0.0, typical - begun.seconds)


def read_run(node: orm.WorkChainNode, with_costs: bool = False) -> Run:
    """Return the state of the run; a handful of queries, whatever its size.

    :param with_costs: whether costs are queried without a budget, too.
    """
    rounds: dict[int, Round] = {}
    for label, step in _called(node.pk):
        try:
            index, name = parse_round_label(label)
        except ValueError:
            continue
        # A step that was called again after an interruption stands under the same label; the latest counts.
        rounds.setdefault(index, Round(index)).steps[name] = step
    for entry in rounds.values():
        _read_labels(entry)
        _read_results(entry)
    fresh = orm.QueryBuilder().append(
        orm.WorkChainNode,
        filters={"id": node.pk},
        project=["attributes.process_state", "attributes.exit_status", "attributes.exit_message", "ctime", "mtime"],
    )
    state, status, message, started, changed = fresh.one()
    if state in ("excepted", "killed"):
        message = failure_message(node)
    ordered = [rounds[index] for index in sorted(rounds)]
    budget = node.inputs.budget.get_dict() if "budget" in node.inputs else {}
    wanted = with_costs or any(value is not None for value in budget.values())
    jobs = jobs_of_run(node.pk) if wanted else []
    costs = costs_of_run(node, jobs) if wanted else None
    max_rounds = node.inputs.max_rounds.value
    ends = (state, status, message, started, changed)
    paused = [] if state in TERMINATED else paused_processes(node.pk)
    reference = _reference(node)
    return Run(
        node.pk, *ends, max_rounds, ordered, budget=budget, costs=costs, jobs=jobs, reference=reference, paused=paused
    )


def _reference(node: orm.WorkChainNode) -> str | None:
    """Return the name of the potential that labels, None where DFT does."""
    potential = input_of(node, "labelling__reference__potential")
    return potential_name(potential) if potential is not None else None


def _called(pk: int) -> list[tuple[str, Step]]:
    """Return label and step of every process that process ``pk`` called, oldest first."""
    query = orm.QueryBuilder()
    query.append(orm.WorkChainNode, filters={"id": pk}, tag="caller")
    query.append(
        orm.ProcessNode,
        with_incoming="caller",
        edge_filters={"type": {"in": [LinkType.CALL_CALC.value, LinkType.CALL_WORK.value]}},
        edge_project="label",
        project=["id", "attributes.process_state", "attributes.exit_status", "ctime", "mtime"],
        tag="called",
    )
    query.order_by({"called": "id"})
    steps = []
    for pk_called, state, status, started, changed, label in query.all():
        steps.append((label, Step(pk_called, state or "created", status, started, changed)))
    return steps


def _read_labels(entry: Round) -> None:
    """Count the labels of a round."""
    for name in ("labelling", REPLACEMENTS):
        step = entry.steps.get(name)
        if step is None:
            continue
        entry.labels_asked += (
            orm.QueryBuilder()
            .append(orm.WorkChainNode, filters={"id": step.pk}, tag="labelling")
            .append(orm.StructureData, with_outgoing="labelling", edge_filters={"type": LinkType.INPUT_WORK.value})
            .count()
        )
        latest = {label: child for label, child in _called(step.pk) if label.startswith("frame_")}
        done = sum(child.finished_ok for child in latest.values())
        failed = {label: child for label, child in latest.items() if child.terminated and not child.finished_ok}
        entry.labels_done += done
        entry.labels_failed += len(failed)
        entry.labels_replaced += done if name == REPLACEMENTS else 0
        entry.failures += [FailedLabel(label, failed[label].pk, _reason(failed[label])) for label in sorted(failed)]


def _reason(step: Step) -> str:
    """Return why a process failed, as it says itself."""
    return failure_message(orm.load_node(step.pk))


def _read_results(entry: Round) -> None:
    """Read the assessment of a round and the sizes of its data sets."""
    step = entry.steps.get("assessment")
    if step is not None and step.finished_ok:
        entry.assessment = orm.load_node(step.pk).outputs.result.get_dict()
    final = entry.steps.get("final_run")
    if final is not None and final.finished_ok:
        entry.final_run = orm.load_node(final.pk).outputs.results.get_dict()
    for name in ("training", "validation"):
        made = _latest_size(entry, f"{name}_set")
        setattr(entry, f"{name}_configurations", made)


def _latest_size(entry: Round, name: str) -> int | None:
    """Return the number of configurations of the data set that step ``name`` made."""
    step = entry.steps.get(name)
    if step is not None and step.finished_ok:
        return orm.load_node(step.pk).outputs.result.n_frames
    return None


def step_seconds(entry: Round) -> Mapping[str, float]:
    """Return the wall time in s of each shown step that has begun."""
    return {name: entry.steps[name].seconds for name in STEPS if name in entry.steps}


def last_potential(run: Run) -> orm.Data | None:
    """Return the potential that the last complete training made, or ``None`` where there is none."""
    for entry in reversed(run.rounds):
        step = entry.steps.get("training")
        if step is not None and step.finished_ok:
            return orm.load_node(step.pk).outputs.potential
    return None
