"""The biased walkers of an exploration: which calculations are one run, and the times of its selected frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sicmlip.common.labels import REPLACED, parse_frame_label, parse_round_label, round_label, segment_label
from aiida_sicmlip.common.process_types import ACTIVE_LEARNING, EXPLORATION, EXPLORATION_CALCULATION, WALKER
from aiida_sicmlip.data.collective_variables import CollectiveVariablesData
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.settings import SettingsType
from aiida_sicmlip.tools.failure_messages import failure_message
from aiida_sicmlip.tools.lineage import segments_of_selection
from aiida_sicmlip.tools.lineage.rounds import origins_of_states

EXPLORING = (ACTIVE_LEARNING, EXPLORATION, WALKER, EXPLORATION_CALCULATION)
"""Process types of what has walkers below it, or is part of one."""


@dataclass(frozen=True)
class BiasedWalker:
    """One biased run: its calculations in order, each with the output ``colvar``.

    segments: calculations of the run, in order.
    round: of the active-learning run it belongs to, None outside of one.
    structure: the name of its start structure in the exploration, or its formula outside of one.
    """

    segments: tuple[orm.CalcJobNode, ...]
    round: int | None
    structure: str

    @property
    def variables(self) -> CollectiveVariablesData:
        """What the run was biased along."""
        return self.segments[0].inputs.collective_variables


@dataclass(frozen=True)
class WalkerEnd:
    """How a walker or an unbiased run of an exploration ended.

    name: its call link label, `walker_00` and so on.
    frames: number of frames that count.
    time: of the last of them in ps since the start of the production; None without frames.
    stopped: what stopped it, as :meth:`~aiida_sicmlip.science.dynamics.brake.Stop.to_dict` has it; None where nothing
        did.
    ending: in words.
    """

    name: str
    pk: int
    frames: int
    time: float | None
    stopped: dict[str, Any] | None
    ending: str


@dataclass(frozen=True)
class CommitteeBrake:
    """By what disagreement the committee of an exploration stops its walkers.

    members: number of potentials of the committee; 1 where there is none.
    max_disagreement: at which walkers are stopped, eV/A; None where it stops none.
    calibration: what `calibrate_disagreement` made of the labels before; None where there are no such labels.
    """

    members: int
    max_disagreement: float | None
    calibration: dict[str, Any] | None


def stop_of_walker(walker: orm.ProcessNode) -> dict[str, Any] | None:
    """Return what stopped a walker before its end, at which value and when; None where nothing did."""
    return walker.outputs.results.get_dict().get("stopped") if "results" in walker.outputs else None


def ends_of_walkers(node: orm.ProcessNode) -> dict[int, list[WalkerEnd]]:
    """Return how the walkers and unbiased runs of each round of a run ended, by name."""
    return {index: _ends(exploration) for index, exploration in _explorations(node)}


def brakes_of_rounds(node: orm.ProcessNode) -> dict[int, CommitteeBrake]:
    """Return by what disagreement walkers were stopped in each round that a trained potential has explored."""
    brakes = {}
    for index, exploration in _explorations(node):
        inputs = exploration.inputs
        if "potential" not in inputs or not isinstance(inputs.potential, CompiledPotentialData):
            continue
        members = 1 + (len(inputs.committee) if "committee" in inputs else 0)
        found = exploration.outputs.calibration.get_dict() if "calibration" in exploration.outputs else None
        settings = stored_settings(ExplorationSettings, inputs.walker.exploration.parameters)
        bound = settings.max_disagreement if members > 1 else None
        if bound is not None and found is not None and found["max_disagreement"] is not None:
            bound = found["max_disagreement"]
        brakes[index] = CommitteeBrake(members, bound, found)
    return brakes


def stored_settings(kind: type[SettingsType], node: orm.Dict) -> SettingsType:
    """Return the settings that a node holds under the names of today; those of earlier runs may have had others."""
    known = set(kind.names())
    return kind.from_mapping({name: value for name, value in node.get_dict().items() if name in known})


def _explorations(node: orm.ProcessNode) -> Iterator[tuple[int, orm.WorkChainNode]]:
    """Yield the explorations of a run with their rounds, in order; of one that was called again, the latest."""
    latest = dict(called_nodes(node.pk, orm.WorkChainNode, "round\\_%\\_exploration"))
    for label in sorted(latest):
        yield parse_round_label(label)[0], latest[label]


def _ends(exploration: orm.ProcessNode) -> list[WalkerEnd]:
    """Return how the walkers of one exploration ended."""
    ends = []
    # A step that was called again after an interruption stands under the same label; the latest counts.
    for kind in ("unbiased", "walker"):
        for name, walker in sorted(dict(called_nodes(exploration.pk, orm.WorkChainNode, f"{kind}\\_%")).items()):
            segments = walker.outputs.trajectories if "trajectories" in walker.outputs else {}
            kept = [segments[label] for label in sorted(segments)]
            stopped = stop_of_walker(walker)
            ending = "complete" if stopped is None else stopped["message"]
            if not walker.is_finished_ok:
                ending = failure_message(walker) if walker.is_terminated else "running"
            time = float(kept[-1].times()[-1]) if kept else None
            ends.append(WalkerEnd(name, walker.pk, sum(part.n_frames for part in kept), time, stopped, ending))
    return ends


def biased_walkers(node: orm.ProcessNode) -> list[BiasedWalker]:
    """Return the biased walkers below a process in the order of their calculations; unbiased ones are left out."""
    walkers: list[BiasedWalker] = []
    for index, exploration, calculations in _calculations(node):
        runs: dict[int, list[orm.CalcJobNode]] = {}
        for calculation in calculations:
            if "colvar" not in calculation.outputs:
                continue
            earlier = calculation.inputs.continuation.creator if "continuation" in calculation.inputs else None
            # A segment joins the run that its continuation is from; one that is looked at alone begins a run.
            run = next((run for run in runs.values() if earlier is not None and run[-1].pk == earlier.pk), None)
            if run is None:
                runs[calculation.pk] = [calculation]
            else:
                run.append(calculation)
        walkers += [BiasedWalker(tuple(run), index, _structure_name(run[0], exploration)) for run in runs.values()]
    return walkers


def selected_frames(node: orm.ProcessNode, index: int) -> dict[int, list[float]]:
    """Return the times (ps) of the frames that were selected in a round, by the PK of the calculation they are of.

    Frames that replaced those of failed labels are included.
    """
    times: dict[int, list[float]] = {}
    # A step that was called again after an interruption stands under the same label; the latest counts.
    selections = [
        selection
        for step in ("selection", REPLACED)
        for _, selection in called_nodes(node.pk, orm.CalcFunctionNode, round_label(index, step))[-1:]
    ]
    for selection in selections:
        segments = segments_of_selection(selection.pk)
        for link in selection.base.links.get_outgoing(node_class=orm.StructureData).all():
            try:
                segment, frame = parse_frame_label(link.link_label.rsplit("__", 1)[-1])
            except ValueError:
                continue
            trajectory = orm.load_node(segments[segment_label(segment)])
            if trajectory.creator is not None:
                times.setdefault(trajectory.creator.pk, []).append(float(trajectory.times()[frame]))
    return times


def _calculations(
    node: orm.ProcessNode,
) -> Iterator[tuple[int | None, orm.ProcessNode | None, list[orm.CalcJobNode]]]:
    """Yield round, exploration and calculations, oldest first, of each exploration below a process."""
    if node.process_type == EXPLORATION_CALCULATION:
        yield None, None, [node]
    elif node.process_type == WALKER:
        yield None, None, [calculation for _, calculation in called_nodes(node.pk, orm.CalcJobNode)]
    elif node.process_type == EXPLORATION:
        yield None, node, _calculations_of(node)
    else:
        for index, exploration in _explorations(node):
            yield index, exploration, _calculations_of(exploration)


def _calculations_of(exploration: orm.ProcessNode) -> list[orm.CalcJobNode]:
    """Return the calculations of all walkers of an exploration."""
    walkers = [walker for _, walker in called_nodes(exploration.pk, orm.WorkChainNode, "walker\\_%")]
    calculations = [calculation for walker in walkers for _, calculation in called_nodes(walker.pk, orm.CalcJobNode)]
    return sorted(calculations, key=lambda calculation: calculation.pk)


def called_nodes(pk: int, kind: type[orm.ProcessNode], label: str = "%") -> list[tuple[str, Any]]:
    """Return label and node of the processes of a kind that process ``pk`` called under such a label, oldest first."""
    query = orm.QueryBuilder()
    query.append(orm.WorkChainNode, filters={"id": pk}, tag="caller")
    query.append(
        kind,
        with_incoming="caller",
        edge_filters={
            "label": {"like": label},
            "type": {"in": [LinkType.CALL_CALC.value, LinkType.CALL_WORK.value]},
        },
        edge_project="label",
        project="*",
        tag="called",
    )
    query.order_by({"called": "id"})
    return [(name, node) for node, name in query.all()]


def _structure_name(calculation: orm.CalcJobNode, exploration: orm.ProcessNode | None) -> str:
    """Return what the start structure is called."""
    structure = calculation.inputs.structure
    origin, state = origins_of_states([structure.pk]).get(structure.pk, (structure.pk, ""))
    if exploration is not None:
        for name, given in exploration.inputs.structures.items():
            if given.pk == origin:
                return f"{name}{state}"
    return structure.get_formula()
