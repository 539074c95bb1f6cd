"""Paused processes: AiiDA pauses those whose computer it could not reach."""

from __future__ import annotations

from dataclasses import dataclass

from aiida import orm
from aiida.common.links import LinkType

CALLS = {"type": {"in": [LinkType.CALL_CALC.value, LinkType.CALL_WORK.value]}}
DEEPEST = 4
"""Calls between a run and its calculations at the most: loop, step, restarts, and restarts of a part."""


@dataclass(frozen=True)
class PausedProcess:
    """A paused process: its PK, its kind, and AiiDA's reason."""

    pk: int
    name: str
    reason: str


def paused_processes(pk: int) -> list[PausedProcess]:
    """Return the paused processes of a run, itself included; one query for each depth of calls."""
    paused = []
    for depth in range(DEEPEST + 1):
        query = orm.QueryBuilder()
        for level in range(depth + 1):
            last = level == depth
            filters: dict[str, object] = {"id": pk} if level == 0 else {}
            if last:
                filters["attributes.paused"] = True
            query.append(
                orm.ProcessNode if last else orm.WorkChainNode,
                filters=filters,
                tag=f"call_{level}",
                **({"with_incoming": f"call_{level - 1}", "edge_filters": CALLS} if level else {}),
            )
        query.add_projection(f"call_{depth}", ["id", "attributes.process_label", "attributes.process_status"])
        paused += [PausedProcess(found_pk, name, status or "no reason given") for found_pk, name, status in query.all()]
    return paused
