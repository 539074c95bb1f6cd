"""How data sets were made of labels, files and other data sets, and the indices of their configurations there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from aiida import orm

from aiida_sicmlip.common.labels import dataset_label, index_of_dataset
from aiida_sicmlip.data.dataset import LabelledDataSetData

_CHUNK = 1000
"""Number of nodes in one query; databases limit the length of a query."""


@dataclass(frozen=True)
class Creation:
    """The calcfunction that made a data set, with what it took (PKs).

    dataset: the data set.
    n_frames: its number of configurations.
    creator: the calcfunction.
    parents: data sets that it took, in order, each with its number of configurations; empty where it took none.
    kept: indices in its one parent that a subset keeps; None where all are kept.
    file: the user's file that was imported; None where none was.
    level_of_theory: that of the labels that it took; None where it took none.
    extends: whether it takes labels, after those of its parent where it has one.
    """

    dataset: int
    n_frames: int
    creator: int
    parents: tuple[tuple[int, int], ...] = ()
    kept: tuple[int, ...] | None = None
    file: int | None = None
    level_of_theory: int | None = None
    extends: bool = False

    @property
    def n_earlier(self) -> int:
        """Number of configurations that are from its parents."""
        if self.kept is not None:
            return len(self.kept)
        return sum(size for _, size in self.parents)

    def in_parents(self, indices: dict[int, int]) -> list[tuple[int, dict[int, int]]]:
        """Return the parents with the indices there of what stands at ``indices`` here, none of which are its own.

        :param indices: by index here, any other index that they stand for.
        """
        if self.kept is not None:
            (parent, _), kept = self.parents[0], self.kept
            return [(parent, {kept[here]: there for here, there in indices.items()})]
        if len(self.parents) == 1:
            return [(self.parents[0][0], indices)]
        in_each, start = [], 0
        for parent, size in self.parents:
            part = {here - start: there for here, there in indices.items() if start <= here < start + size}
            in_each.append((parent, part))
            start += size
        return in_each

    def of_parent(self, parent: int, indices: Iterable[int]) -> set[int]:
        """Return the indices here of what stands at ``indices`` of a parent; what is not kept is left out."""
        if self.kept is not None:
            kept = {there: here for here, there in enumerate(self.kept)}
            return {kept[index] for index in indices if index in kept}
        start, found = 0, set()
        for pk, size in self.parents:
            if pk == parent:
                found |= {start + index for index in indices}
            start += size
        return found


def in_chunks(pks: Iterable[int], size: int = _CHUNK) -> Iterator[list[int]]:
    """Yield ``pks``, ascending, in parts that one query can name."""
    ordered = sorted(pks)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def inputs_of_calls(kind: type[orm.ProcessNode], pks: Iterable[int], label: str) -> dict[int, int]:
    """Return the input under a link label of each of the processes that has one."""
    inputs: dict[int, int] = {}
    for chunk in in_chunks(pks):
        query = orm.QueryBuilder()
        query.append(kind, filters={"id": {"in": chunk}}, project="id", tag="call")
        query.append(orm.Data, with_outgoing="call", edge_filters={"label": label}, project="id")
        inputs.update(query.all())
    return inputs


def sizes_of_datasets(pks: Iterable[int]) -> dict[int, int]:
    """Return the numbers of configurations of data sets."""
    sizes: dict[int, int] = {}
    for chunk in in_chunks(pks):
        query = orm.QueryBuilder()
        query.append(LabelledDataSetData, filters={"id": {"in": chunk}}, project=["id", "attributes.n_frames"])
        sizes.update(query.all())
    return sizes


def creations_of_datasets(pks: Iterable[int]) -> dict[int, Creation]:
    """Return how each of the data sets was made; those that nothing made are left out.

    One query for a thousand of them, and one for each subset.
    """
    taken: dict[tuple[int, int, int], dict[str, tuple[int, int | None]]] = {}
    for chunk in in_chunks(pks):
        query = orm.QueryBuilder()
        query.append(
            LabelledDataSetData, filters={"id": {"in": chunk}}, project=["id", "attributes.n_frames"], tag="dataset"
        )
        query.append(orm.CalcFunctionNode, with_outgoing="dataset", project="id", tag="creator")
        query.append(
            orm.Data,
            with_outgoing="creator",
            edge_filters={"label": {"!like": "label\\_%"}},
            edge_project="label",
            project=["id", "attributes.n_frames"],
        )
        for dataset, n_frames, creator, node, size, label in query.all():
            taken.setdefault((dataset, n_frames, creator), {})[label] = (node, size)
    return {key[0]: _creation(*key, inputs) for key, inputs in taken.items()}


def _creation(dataset: int, n_frames: int, creator: int, inputs: dict[str, tuple[int, int | None]]) -> Creation:
    """Return what a calcfunction did, identified by the labels of its inputs."""
    level = inputs["level_of_theory"][0] if "level_of_theory" in inputs else None

    def parents(labels: Sequence[str]) -> tuple[tuple[int, int], ...]:
        return tuple((inputs[label][0], inputs[label][1] or 0) for label in labels)

    if {"file", "level_of_theory"} <= set(inputs):
        return Creation(dataset, n_frames, creator, file=inputs["file"][0], level_of_theory=level)
    if {"dataset", "places"} <= set(inputs):
        kept = tuple(orm.load_node(inputs["places"][0]).get_list())
        return Creation(dataset, n_frames, creator, parents(["dataset"]), kept=kept)
    if dataset_label(0) in inputs:
        merged = sorted((label for label in inputs if label.startswith("dataset_")), key=index_of_dataset)
        return Creation(dataset, n_frames, creator, parents(merged))
    earlier = parents(["previous"]) if "previous" in inputs else ()
    return Creation(dataset, n_frames, creator, earlier, level_of_theory=level, extends=True)


def walk_back(dataset: LabelledDataSetData) -> list[tuple[Creation | None, dict[int, int]]]:
    """Return where the configurations of ``dataset`` entered the graph: walks to what it extends, keeps or merges.

    As many queries as there are data sets behind one another, whatever their sizes.

    :return: creations (None where a data set was given as it is), each with the indices in ``dataset`` of what it adds,
        by their indices in the data set that it made.
    """
    added: list[tuple[Creation | None, dict[int, int]]] = []
    waiting = [(dataset.pk, {index: index for index in range(dataset.n_frames)})]
    while waiting:
        creations = creations_of_datasets({pk for pk, _ in waiting})
        following: list[tuple[int, dict[int, int]]] = []
        for pk, indices in waiting:
            creation = creations.get(pk)
            if creation is None:
                added.append((None, indices))
                continue
            # Its own are removed from the mapping, which is not copied: sets are extended in a hundred rounds and more.
            own = {here: indices.pop(here) for here in range(creation.n_earlier, creation.n_frames) if here in indices}
            following += [(parent, part) for parent, part in creation.in_parents(indices) if part]
            if own:
                added.append((creation, own))
        waiting = following
    return added
