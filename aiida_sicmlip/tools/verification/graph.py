"""The part of the provenance graph that a run or a model rests on, read link by link."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

_AT_ONCE = 500
"""Nodes asked for in one query."""
_INPUTS = {"type": {"in": [LinkType.INPUT_CALC.value, LinkType.INPUT_WORK.value]}}
_CREATED = {"type": LinkType.CREATE.value}
_CALLS = {"type": {"in": [LinkType.CALL_CALC.value, LinkType.CALL_WORK.value]}}
_TAKEN = ("with_outgoing", _INPUTS)
_CALLING = ("with_outgoing", _CALLS)


@dataclass
class Graph:
    """Processes and data, with the links between them.

    root: what the graph was collected for.
    processes: PKs of the processes.
    data: PKs of what they took and made.
    taken: by process, the PK of each input by link label.
    made: by datum, its creator and the label of the link.
    callers: by process, its caller and the label of the call; no entry for one that nothing called.
    given: what the user gave: inputs of the root, and of the first caller of each process, be it part of this or not.
    """

    root: orm.Node
    processes: set[int] = field(default_factory=set)
    data: set[int] = field(default_factory=set)
    taken: dict[int, dict[str, int]] = field(default_factory=dict)
    made: dict[int, tuple[int, str]] = field(default_factory=dict)
    callers: dict[int, tuple[int, str]] = field(default_factory=dict)
    given: set[int] = field(default_factory=set)

    def nodes(self, kind: type[orm.Node]) -> list[Any]:
        """Return the nodes of a class, by their PKs."""
        pks = self.data if issubclass(kind, orm.Data) else self.processes
        nodes_of_class = []
        for batch in _batches(pks):
            nodes_of_class += orm.QueryBuilder().append(kind, filters={"id": {"in": batch}}).all(flat=True)
        return sorted(nodes_of_class, key=lambda node: node.pk)


def collect(root: orm.Node) -> Graph:
    """Return what a run called, took and made, or what a model was made from, with everything before that.

    Asks for one generation after the other: some queries for each, whatever its size.
    """
    graph = Graph(root)
    processes = {root.pk} if isinstance(root, orm.ProcessNode) else set()
    data = set() if processes else {root.pk}
    while processes or data:
        graph.processes |= processes
        graph.data |= data
        found_processes, found_data = set(), set()
        for pk, creator, label in _rows(data, orm.Data, orm.ProcessNode, "with_outgoing", _CREATED):
            graph.made[pk] = creator, label
            found_processes.add(creator)
        for pk, taken, label in _rows(processes, orm.ProcessNode, orm.Data, *_TAKEN):
            graph.taken.setdefault(pk, {})[label] = taken
            found_data.add(taken)
        for pk, made, label in _rows(processes, orm.ProcessNode, orm.Data, "with_incoming", _CREATED):
            graph.made[made] = pk, label
            found_data.add(made)
        for pk, caller, label in _rows(processes, orm.ProcessNode, orm.ProcessNode, *_CALLING):
            graph.callers[pk] = caller, label
        # What made something that a model needs is part of its history; what a run called is part of the run.
        if isinstance(root, orm.ProcessNode):
            for _, called, _ in _rows(processes, orm.ProcessNode, orm.ProcessNode, "with_incoming", _CALLS):
                found_processes.add(called)
        processes, data = found_processes - graph.processes, found_data - graph.data
    graph.given = {taken for _, taken, _ in _rows(_first_callers(graph), orm.ProcessNode, orm.Data, *_TAKEN)}
    return graph


def _first_callers(graph: Graph) -> set[int]:
    """Return the processes that a user started: those that nothing called, and the root, whatever called it."""
    first = {graph.root.pk} & graph.processes
    waiting = set(graph.processes)
    seen: set[int] = set()
    while waiting:
        seen |= waiting
        above = {pk: caller for pk, caller, _ in _rows(waiting, orm.ProcessNode, orm.ProcessNode, *_CALLING)}
        first |= waiting - set(above)
        waiting = set(above.values()) - seen
    return first


def _rows(
    pks: set[int], kind: type[orm.Node], other: type[orm.Node], direction: str, links: dict[str, Any]
) -> Iterator[tuple[int, int, str]]:
    """Yield PK, PK of the other node and label of each link of a kind between nodes and others."""
    for batch in _batches(pks):
        query = orm.QueryBuilder().append(kind, filters={"id": {"in": batch}}, project="id", tag="node")
        query.append(other, edge_filters=links, edge_project="label", project="id", **{direction: "node"})
        yield from query.all()


def _batches(pks: Iterable[int]) -> Iterator[list[int]]:
    """Yield the PKs in portions for one query each."""
    ordered = sorted(pks)
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]
