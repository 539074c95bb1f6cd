"""Which round of which run made something, and which start structure its trajectory is from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from aiida import orm
from aiida.common.links import LinkType

from aiida_sicmlip.common.labels import parse_round_label
from aiida_sicmlip.common.process_types import EXPLORATION
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.tools.lineage.growth import in_chunks


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
    rounds = {}
    for chunk in in_chunks(pks):
        query = orm.QueryBuilder()
        query.append(orm.ProcessNode, filters={"id": {"in": chunk}}, project="id", tag="called")
        query.append(
            orm.WorkChainNode,
            with_outgoing="called",
            edge_filters={
                "type": {"in": [LinkType.CALL_CALC.value, LinkType.CALL_WORK.value]},
                "label": {"like": "round\\_%"},
            },
            edge_project="label",
            project="id",
        )
        for pk, run, label in query.all():
            # Another work chain than that of this package may use such labels for something else.
            with contextlib.suppress(ValueError):
                rounds[pk] = RoundOfRun(run, parse_round_label(label)[0])
    return rounds


def starts_of_trajectories(pks: Iterable[int]) -> dict[int, str]:
    """Return the name of the start structure of each trajectory that a walker of an exploration made."""
    rows: list[tuple[int, int, int]] = []
    for chunk in in_chunks(pks):
        query = orm.QueryBuilder()
        query.append(SegmentTrajectoryData, filters={"id": {"in": chunk}}, project="id", tag="trajectory")
        query.append(orm.CalcJobNode, with_outgoing="trajectory", tag="segment")
        query.append(
            orm.StructureData, with_outgoing="segment", edge_filters={"label": "structure"}, project="id", tag="start"
        )
        query.append(
            orm.WorkChainNode, with_outgoing="segment", edge_filters={"type": LinkType.CALL_CALC.value}, tag="walker"
        )
        query.append(
            orm.WorkChainNode,
            with_outgoing="walker",
            filters={"process_type": EXPLORATION},
            edge_filters={"type": LinkType.CALL_WORK.value},
            project="id",
        )
        rows += query.all()
    names = _names_of_structures({exploration for _, _, exploration in rows})
    return {
        trajectory: names[exploration, start]
        for trajectory, start, exploration in rows
        if (exploration, start) in names
    }


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
    found: dict[int, str] = {}
    for chunk in in_chunks(pks):
        query = orm.QueryBuilder().append(orm.Node, filters={"id": {"in": chunk}}, project=["id", "uuid"])
        found.update(query.all())
    return found
