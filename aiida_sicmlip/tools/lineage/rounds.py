"""Which round of which run made something, and which start structure its trajectory is from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from aiida import orm

from aiida_sicmlip.common.labels import parse_round_label
from aiida_sicmlip.common.process_types import EXPLORATION, FINAL_RUN
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.tools.lineage.creations import in_chunks, inputs_of_calls

FINDER = "find_states"
"""The calcfunction that finds states of a defect in trajectories, from which walkers of the next round start."""


@dataclass(frozen=True, order=True)
class RoundOfRun:
    """A round of an active-learning run.

    run: PK of the run.
    index: number of the round, from 0.
    """

    run: int
    index: int


def rounds_of_calls(pks: Iterable[int]) -> dict[int, RoundOfRun]:
    """Return the round of each process that a round of a run called."""
    rounds, pks = {}, set(pks)
    for chunk in in_chunks(pks):
        query = orm.QueryBuilder()
        query.append(orm.ProcessNode, filters={"id": {"in": chunk}}, project="id", tag="called")
        # From a work chain to a process leads nothing but a call. SQLite would begin at the index of a condition on its
        # type or label, and look at the links of the whole profile.
        query.append(orm.WorkChainNode, with_outgoing="called", edge_project="label", project="id")
        for pk, run, label in query.all():
            # Another work chain than that of this package may use such labels for something else.
            with contextlib.suppress(ValueError):
                rounds[pk] = RoundOfRun(run, parse_round_label(label)[0])
    for chunk in in_chunks(set(pks) - set(rounds)):
        # A final run calls for itself what picks and collects its labels.
        query = orm.QueryBuilder()
        query.append(orm.ProcessNode, filters={"id": {"in": chunk}}, project="id", tag="called")
        query.append(orm.WorkChainNode, with_outgoing="called", project="process_type", tag="caller")
        query.append(orm.WorkChainNode, with_outgoing="caller", edge_project="label", project="id")
        for pk, kind, run, label in query.all():
            with contextlib.suppress(ValueError):
                if kind == FINAL_RUN:
                    rounds[pk] = RoundOfRun(run, parse_round_label(label)[0])
    return rounds


def starts_of_trajectories(pks: Iterable[int]) -> dict[int, str]:
    """Return the name of the start structure of each trajectory that a walker of an exploration made."""
    segments: dict[int, int] = {}
    explorations: dict[int, int] = {}
    for chunk in in_chunks(pks):
        query = orm.QueryBuilder()
        query.append(SegmentTrajectoryData, filters={"id": {"in": chunk}}, project="id", tag="trajectory")
        query.append(orm.CalcJobNode, with_outgoing="trajectory", project="id", tag="segment")
        segments.update(query.all())
        query.append(orm.WorkChainNode, with_outgoing="segment", tag="walker")
        query.append(orm.WorkChainNode, with_outgoing="walker", project=["id", "process_type"])
        # Conditions on types and labels are looked at here: SQLite would begin with all nodes that meet them.
        explorations |= {trajectory: pk for trajectory, _, pk, kind in query.all() if kind == EXPLORATION}
    starts = inputs_of_calls(orm.CalcJobNode, segments.values(), "structure")
    names = _names_of_structures(set(explorations.values()))
    states = origins_of_states(set(starts.values()))
    found = {}
    for trajectory, exploration in explorations.items():
        start = starts.get(segments[trajectory], 0)
        origin, state = states.get(start, (start, ""))
        if (exploration, origin) in names:
            found[trajectory] = f"{names[exploration, origin]}{state}"
    return found


def origins_of_states(pks: Iterable[int]) -> dict[int, tuple[int, str]]:
    """Return of structures that are states found by walkers the start structure that these are told from.

    With it the end of its name, such as ``_state_01``. Other structures are left out.
    """
    origins = {}
    for chunk in in_chunks(pks):
        query = orm.QueryBuilder()
        query.append(orm.StructureData, filters={"id": {"in": chunk}}, project="id", tag="state")
        query.append(
            orm.CalcFunctionNode,
            with_outgoing="state",
            edge_project="label",
            project="attributes.process_label",
            tag="call",
        )
        query.append(orm.StructureData, with_outgoing="call", edge_filters={"label": "start"}, project="id")
        for state, kind, origin, label in query.all():
            if kind == FINDER:
                origins[state] = (origin, f"_{label.split('__')[0]}")
    return origins


def _names_of_structures(explorations: Iterable[int]) -> dict[tuple[int, int], str]:
    """Return what each start structure of each exploration is called there."""
    names = {}
    for chunk in in_chunks(explorations):
        query = orm.QueryBuilder()
        query.append(orm.WorkChainNode, filters={"id": {"in": chunk}}, project="id", tag="exploration")
        query.append(
            orm.StructureData,
            with_outgoing="exploration",
            edge_filters={"label": {"like": "structures\\_\\_%"}},
            edge_project="label",
            project="id",
        )
        for exploration, pk, label in query.all():
            names[exploration, pk] = label.split("__", 1)[1]
    return names


def uuids_of_nodes(pks: Iterable[int]) -> dict[int, str]:
    """Return the UUIDs of nodes."""
    uuids: dict[int, str] = {}
    for chunk in in_chunks(pks):
        query = orm.QueryBuilder().append(orm.Node, filters={"id": {"in": chunk}}, project=["id", "uuid"])
        uuids.update(query.all())
    return uuids
