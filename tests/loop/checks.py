"""What has to hold in a profile whose daemon was killed, whatever it was doing then."""

from __future__ import annotations

from collections import Counter


def twins() -> dict[tuple[int, str], int]:
    """Return how many children each work chain has under one label, where that is more than one."""
    from aiida import orm
    from aiida.common.links import LinkType

    from aiida_sicmlip.workflows.base.reattach import INTERRUPTED

    found = {}
    for (caller,) in orm.QueryBuilder().append(orm.WorkChainNode).all():
        links = caller.base.links.get_outgoing(link_type=(LinkType.CALL_CALC, LinkType.CALL_WORK)).all()
        labels = Counter(
            link.link_label
            for link in links
            if link.node.process_status != INTERRUPTED and not link.link_label.startswith("iteration_")
        )
        found |= {(caller.pk, label): count for label, count in labels.items() if count > 1}
    return found


def unfinished() -> list[int]:
    """Return the processes that have not terminated."""
    from aiida import orm

    return [node.pk for (node,) in orm.QueryBuilder().append(orm.ProcessNode).all() if not node.is_terminated]
