"""What depends on a node, as text and as plain values."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiida_sicmlip.reports.lineage import counted, round_title
from aiida_sicmlip.reports.text import table
from aiida_sicmlip.tools.lineage import Affected, AffectedSet
from aiida_sicmlip.tools.lineage.rounds import uuids_of_nodes


def affected_lines(affected: Affected) -> list[str]:
    """Return the models and data sets that depend on a node, as two tables with what they mean."""
    title = f"<{affected.node}> ({', '.join(affected.kinds)})"
    if not affected.models and not affected.datasets:
        return [f"No data set and no model depends on {title}."]
    lines = [
        f"On {title} depend {counted(len(affected.models), 'model')} and "
        f"{counted(len(affected.datasets), 'data set')}.",
        "",
    ]
    if affected.models:
        names = list(dict.fromkeys(name for one in affected.models for name in one.sets))
        header = ("model", "of", *(f"{name.replace('_', ' ')}\n{what}" for name in names for what in _COLUMNS))
        rows = [
            (
                f"<{one.model.potential}>",
                round_title(one.model.round),
                *(cell for name in names for cell in _cells(one.sets.get(name))),
            )
            for one in affected.models
        ]
        lines += [table(header, rows), ""]
    if affected.datasets:
        header = ("data set", *_COLUMNS)
        lines += [table(header, [(f"<{one.dataset}>", *_cells(one)) for one in affected.datasets]), ""]
    return [
        *lines,
        "own: configurations whose label or frame is from the node. driven: others, from runs that were driven by a",
        "model, or biased along variables, that depend on it; their labels are right, it had a part in finding them.",
    ]


_COLUMNS = ("own", "driven")


def _cells(one: AffectedSet | None) -> tuple[str, str]:
    """Return counts and shares of a data set."""
    if one is None:
        return "-", "-"
    return f"{one.n_own} of {one.n_frames} ({one.share_own:.1%})", f"{one.n_driven} ({one.share_driven:.1%})"


def affected_values(affected: Affected) -> dict[str, Any]:
    """Return what depends on a node as plain values for JSON, with the indices of all configurations."""
    pks = {one.model.potential for one in affected.models} | {one.dataset for one in affected.datasets}
    pks |= {part.dataset for one in affected.models for part in one.sets.values()}
    uuids = uuids_of_nodes({*pks, affected.node})

    def of_set(one: AffectedSet, with_indices: bool) -> dict[str, Any]:
        values: dict[str, Any] = {
            "dataset": one.dataset,
            "dataset_uuid": uuids[one.dataset],
            "n_frames": one.n_frames,
            "n_own": one.n_own,
            "n_driven": one.n_driven,
            "share_own": one.share_own,
            "share_driven": one.share_driven,
        }
        if with_indices:
            values |= {name: np.flatnonzero(getattr(one, name)).tolist() for name in ("own", "driven")}
        return values

    models = [
        {
            "model": one.model.potential,
            "model_uuid": uuids[one.model.potential],
            "run": one.model.round.run if one.model.round is not None else None,
            "round": one.model.round.index if one.model.round is not None else None,
            "sets": {name: of_set(part, False) for name, part in one.sets.items()},
        }
        for one in affected.models
    ]
    return {
        "node": affected.node,
        "node_uuid": uuids[affected.node],
        "kinds": list(affected.kinds),
        "models": models,
        "datasets": [of_set(one, True) for one in affected.datasets],
    }
