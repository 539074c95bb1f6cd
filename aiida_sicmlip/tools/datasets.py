"""Questions about data sets: which rounds, start structures and sources their configurations are from."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from aiida import orm

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.tools.lineage import SourceOfLabel, labels_of_dataset
from aiida_sicmlip.tools.lineage.rounds import rounds_of_calls, starts_of_trajectories, uuids_of_nodes
from aiida_sicmlip.tools.nodes import load

NODES = ("label", "calculation", "structure", "trajectory", "selection", "file")
"""The nodes among the fields of :class:`SourceOfLabel` that are a configuration's sources."""


@dataclass(frozen=True)
class Origin:
    """Where a configuration of a data set is from.

    `round` is that of the run in which it was added, None outside of one. `start` is the name of the start structure of
    the walker that it was picked from, which says what defect it holds; None where it was not picked.
    """

    source: SourceOfLabel
    round: int | None
    start: str | None


def origins_of_dataset(dataset: LabelledDataSetData) -> list[Origin]:
    """Return where every configuration of ``dataset`` is from, in its order.

    Asks for all configurations at once: three queries besides those of :func:`labels_of_dataset`.
    """
    sources = labels_of_dataset(dataset)
    rounds = rounds_of_calls({source.added_by for source in sources if source.added_by is not None})
    starts = starts_of_trajectories({source.trajectory for source in sources if source.trajectory is not None})
    return [
        Origin(
            source,
            rounds[source.added_by].index if source.added_by in rounds else None,
            starts.get(source.trajectory) if source.trajectory is not None else None,
        )
        for source in sources
    ]


def select_indices(
    dataset: LabelledDataSetData,
    *,
    labels: Iterable[Any] | None = None,
    rounds: Collection[int] | None = None,
    structures: Collection[str] | None = None,
    indices: Iterable[int] | None = None,
    charges: Collection[int | None] | None = None,
    spins: Collection[int | None] | None = None,
    levels: Collection[int] | None = None,
) -> list[int]:
    """Return the indices of the configurations that meet all conditions that are given, ascending.

    :param labels: nodes, PKs or UUIDs of labels.
    :param rounds: rounds in which configurations were added.
    :param structures: names of start structures.
    :param indices: indices of configurations.
    :param charges: total charges (e); None for configurations without one.
    :param spins: numbers of unpaired electrons; None for configurations without one.
    :param levels: indices of levels of theory.
    :raises InputError: if ``dataset`` has nothing of a label, round, structure, index, charge, spin or level that is
        named.
    """
    origins = origins_of_dataset(dataset)
    chosen = set(range(dataset.n_frames))
    if labels is not None:
        at = {origin.source.label: origin.source.index for origin in origins if origin.source.label is not None}
        chosen &= {_index_of_label(label, at, dataset) for label in labels}
    if rounds is not None:
        available = sorted({origin.round for origin in origins if origin.round is not None})
        for index in rounds:
            if index not in available:
                held = f"its rounds are {', '.join(map(str, available))}" if available else "none was added in a round"
                raise InputError(f"no configuration of data set <{dataset.pk}> is of round {index}; {held}.")
        chosen &= {origin.source.index for origin in origins if origin.round in rounds}
    if structures is not None:
        names = {origin.start for origin in origins if origin.start is not None}
        for name in structures:
            if name not in names:
                held = nearest_name(name, names) if names else "None was picked from a trajectory."
                raise InputError(f"no configuration of data set <{dataset.pk}> started from `{name}`. {held}")
        chosen &= {origin.source.index for origin in origins if origin.start in structures}
    if indices is not None:
        named = set(indices)
        for index in sorted(named):
            if not 0 <= index < dataset.n_frames:
                raise InputError(
                    f"data set <{dataset.pk}> has no configuration {index}; its indices are 0 to "
                    f"{dataset.n_frames - 1}."
                )
        chosen &= named
    for what, wanted in (("charge", charges), ("spin", spins), ("level", levels)):
        if wanted is not None:
            chosen &= _indices_of_states(dataset, what, wanted)
    return sorted(chosen)


def source_columns(dataset: LabelledDataSetData) -> list[dict[str, str | int]]:
    """Return for every configuration what identifies its sources, in any profile; what does not exist is left out.

    Keys: ``label_uuid``, ``calculation_uuid``, ``structure_uuid``, ``trajectory_uuid``, ``selection_uuid``,
    ``file_uuid``, ``segment``, ``frame`` (index in its trajectory), ``file_index``, ``round``, ``start_structure``.
    """
    origins = origins_of_dataset(dataset)
    uuids = uuids_of_nodes({getattr(origin.source, name) for origin in origins for name in NODES} - {None})
    columns = []
    for origin in origins:
        source = origin.source
        values: dict[str, str | int | None] = {f"{name}_uuid": uuids.get(getattr(source, name)) for name in NODES}
        values |= {"segment": source.segment, "frame": source.frame, "file_index": source.file_index}
        values |= {"round": origin.round, "start_structure": origin.start}
        columns.append({key: value for key, value in values.items() if value is not None})
    return columns


def _indices_of_states(dataset: LabelledDataSetData, what: str, wanted: Collection[int | None]) -> set[int]:
    """Return the indices of the configurations of some charges, spins or levels of theory."""
    values = [getattr(state, what) for state in dataset.states()]
    for value in wanted:
        if value not in values:
            available = ", ".join("none" if one is None else str(one) for one in dict.fromkeys(values))
            raise InputError(
                f"no configuration of data set <{dataset.pk}> has the {what} {'none' if value is None else value}; "
                f"there is {available}."
            )
    return {index for index, value in enumerate(values) if value in wanted}


def _index_of_label(label: Any, at: dict[int, int], dataset: LabelledDataSetData) -> int:
    """Return the index of a label."""
    node = load(label, [orm.TrajectoryData], "labels")
    if node.pk not in at:
        raise InputError(f"data set <{dataset.pk}> has no label <{node.pk}>; `dataset show --all` lists its labels.")
    return at[node.pk]
