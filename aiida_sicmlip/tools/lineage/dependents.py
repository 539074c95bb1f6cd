"""Steps from a node to what came of it, along the link labels that numbers and trajectories pass through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiida import orm
from aiida_lammps.data.potential import LammpsPotentialData
from aiida_pseudo.data.pseudo import PseudoPotentialData

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import index_of_label, number_of_segment, parse_frame_label
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.data.collective_variables import CollectiveVariablesData
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.lennard_jones_prior import LennardJonesPriorData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.tools.lineage.creations import Creation, creations_of_datasets, in_chunks
from aiida_sicmlip.tools.lineage.rounds import FINDER

KINDS: dict[str, Any] = {
    "data set": LabelledDataSetData,
    "trajectory": SegmentTrajectoryData,
    "model": PotentialData,
    "compiled model": CompiledPotentialData,
    "classical potential": LammpsPotentialData,
    "collective variables": CollectiveVariablesData,
    "prior": LennardJonesPriorData,
    "pseudopotential": PseudoPotentialData,
    "code": orm.AbstractCode,
    "label": orm.TrajectoryData,
    "structure": orm.StructureData,
    # Files that were imported; the classes above that are files, too, come first.
    "file": orm.SinglefileData,
}
"""What kinds of nodes are followed, each with its class."""

_OF_CALCULATIONS = ("trajectory", "model", "compiled model", "collective variables", "label")
"""Kinds that calculations make of others; what they say of the choice of frames is left out."""

Found = dict[str, set[int]]
"""PKs by kind."""
Indices = dict[int, set[int]]
"""Indices in data sets, by data set."""


def kinds_of_node(node: orm.Node) -> Found:
    """Return a node by its kind, or of a calculation what it has made.

    :raises InputError: if nothing is followed from a node of its kind.
    """
    kind = next((name for name, cls in KINDS.items() if isinstance(node, cls)), None)
    if kind is not None:
        return {kind: {node.pk}}
    if isinstance(node, orm.CalcJobNode):
        made = _outputs_of_calculations(orm.QueryBuilder().append(orm.CalcJobNode, filters={"id": node.pk}, tag="call"))
        if made:
            return made
    what = getattr(node, "process_label", None) or type(node).__name__
    raise InputError(
        f"node <{node.pk}> is a {what}, which is not followed; give the PK of one of these: {', '.join(KINDS)}, "
        "or of a calculation that made one of them."
    )


class Dependents:
    """Follows nodes to what came of them; what it has read of data sets and selections it reads once."""

    def __init__(self) -> None:
        self._children: dict[int, set[int]] = {}
        self._creations: dict[int, Creation] = {}
        self._picked: dict[int, dict[int, set[int]]] = {}
        self._steps: dict[tuple[str, frozenset[int]], Found] = {}
        self._indices: dict[frozenset[int], Indices] = {}

    def step(self, kind: str, pks: set[int]) -> Found:
        """Return what came of nodes of one kind in one step, but for data sets."""
        key = (kind, frozenset(pks))
        if key not in self._steps:
            self._steps[key] = self._step(kind, pks)
        return self._steps[key]

    def _step(self, kind: str, pks: set[int]) -> Found:
        outputs: Found = {}
        for chunk in in_chunks(pks):
            if kind == "trajectory":
                _add(outputs, {"structure": self._frames_of_trajectories(chunk) | _states_of_trajectories(chunk)})
            if kind == "data set":
                _add(outputs, self._priors_of_datasets(chunk))
            query = orm.QueryBuilder()
            query.append(orm.Data, filters={"id": {"in": chunk}}, tag="given")
            query.append(orm.CalcJobNode, with_incoming="given", tag="call")
            _add(outputs, _outputs_of_calculations(query))
        return outputs

    def indices_of_labels(self, pks: set[int]) -> Indices:
        """Return the indices of labels in the data sets that took them."""
        key = frozenset(pks)
        if key not in self._indices:
            self._indices[key] = self._indices_of_labels(pks)
        return self._indices[key]

    def _indices_of_labels(self, pks: set[int]) -> Indices:
        indices: Indices = {}
        for chunk in in_chunks(pks):
            query = orm.QueryBuilder()
            query.append(orm.TrajectoryData, filters={"id": {"in": chunk}}, tag="label")
            query.append(
                orm.CalcFunctionNode,
                with_incoming="label",
                edge_filters={"label": {"like": "label\\_%"}},
                edge_project="label",
                tag="extension",
            )
            query.append(LabelledDataSetData, with_incoming="extension", project="id")
            for dataset, name in query.all():
                indices.setdefault(dataset, set()).add(index_of_label(name))
        return indices

    def indices_of_files(self, pks: Iterable[int]) -> Indices:
        """Return all indices of the data sets that files were imported into."""
        made = {pk for chunk in in_chunks(pks) for _, pk in self._made_by_calcfunctions(chunk)}
        creations = creations_of_datasets(made)
        return {pk: set(range(one.n_frames)) for pk, one in creations.items() if one.file is not None}

    def indices_in_children(self, indices: Indices) -> Indices:
        """Return the indices of configurations in the data sets that were made of those that they stand in."""
        new = set(indices) - set(self._children)
        self._children |= {pk: set() for pk in new}
        for chunk in in_chunks(new):
            for parent, child in self._made_by_calcfunctions(chunk):
                self._children[parent].add(child)
        made = {child for pk in new for child in self._children[pk]}
        self._creations |= creations_of_datasets(made - set(self._creations))
        in_children: Indices = {}
        for pk, here in indices.items():
            for child in self._children[pk]:
                there = self._creations[child].of_parent(pk, here)
                if there:
                    in_children.setdefault(child, set()).update(there)
        return in_children

    def _made_by_calcfunctions(self, pks: list[int]) -> list[tuple[int, int]]:
        """Return which data set was made of which node, data set or file."""
        query = orm.QueryBuilder()
        query.append(orm.Data, filters={"id": {"in": pks}}, project="id", tag="given")
        query.append(orm.CalcFunctionNode, with_incoming="given", tag="call")
        query.append(LabelledDataSetData, with_incoming="call", project="id")
        return [tuple(row) for row in query.all()]

    def _priors_of_datasets(self, pks: list[int]) -> Found:
        """Return the priors that were fitted to data sets."""
        query = orm.QueryBuilder()
        query.append(LabelledDataSetData, filters={"id": {"in": pks}}, tag="dataset")
        query.append(orm.CalcFunctionNode, with_incoming="dataset", tag="fit")
        query.append(LennardJonesPriorData, with_incoming="fit", project="id")
        return {"prior": set(query.all(flat=True))}

    def _frames_of_trajectories(self, pks: list[int]) -> set[int]:
        """Return the structures that selections picked from trajectories."""
        query = orm.QueryBuilder()
        query.append(SegmentTrajectoryData, filters={"id": {"in": pks}}, tag="trajectory")
        query.append(
            orm.CalcJobNode,
            with_incoming="trajectory",
            edge_filters={"label": {"like": "trajectories\\_\\_%\\_\\_s%"}},
            edge_project="label",
            tag="description",
        )
        query.append(CandidateFramesData, with_incoming="description", tag="candidates")
        query.append(orm.CalcFunctionNode, with_incoming="candidates", project="id")
        rows = query.all()
        self._load_picks({selection for selection, _ in rows} - set(self._picked))
        structures: set[int] = set()
        for selection, name in rows:
            structures |= self._picked[selection].get(number_of_segment(name.rsplit("__", 1)[-1]), set())
        return structures

    def _load_picks(self, selections: set[int]) -> None:
        """Read the structures of selections by segment, of each selection once."""
        for chunk in in_chunks(selections):
            self._picked |= {pk: {} for pk in chunk}
            query = orm.QueryBuilder()
            query.append(orm.CalcFunctionNode, filters={"id": {"in": chunk}}, project="id", tag="selection")
            query.append(orm.StructureData, with_incoming="selection", edge_project="label", project="id")
            for selection, structure, name in query.all():
                try:
                    segment, _ = parse_frame_label(name.rsplit("__", 1)[-1])
                except ValueError:
                    continue
                self._picked[selection].setdefault(segment, set()).add(structure)


def _states_of_trajectories(pks: list[int]) -> set[int]:
    """Return the structures of states that were found in trajectories, from which further walkers start."""
    query = orm.QueryBuilder()
    query.append(SegmentTrajectoryData, filters={"id": {"in": pks}}, tag="trajectory")
    query.append(
        orm.CalcFunctionNode,
        with_incoming="trajectory",
        edge_project="label",
        project="attributes.process_label",
        tag="call",
    )
    query.append(orm.StructureData, with_incoming="call", edge_project="label", project="id")
    return {
        structure
        for kind, structure, given, made in query.all()
        # The state is a frame of one of the trajectories that were searched.
        if kind == FINDER
        and number_of_segment(given.rsplit("__", 1)[-1]) == parse_frame_label(made.rsplit("__", 1)[-1])[0]
    }


def _outputs_of_calculations(query: orm.QueryBuilder) -> Found:
    """Return what the calculations at the end of a query have made, as far as it is followed."""
    classes = [KINDS[kind] for kind in _OF_CALCULATIONS]
    query.append(classes, with_incoming="call", project=["id", "node_type"])
    return _by_kind(query.all())


def _by_kind(rows: Iterable[Any]) -> Found:
    """Return PKs by kind, from rows of PK and type."""
    kinds = {cls.class_node_type: kind for kind, cls in KINDS.items() if issubclass(cls, orm.Data)}
    by_kind: Found = {}
    for pk, node_type in rows:
        if node_type in kinds:
            by_kind.setdefault(kinds[node_type], set()).add(pk)
    return by_kind


def _add(reached: Found, more: Found) -> None:
    """Add PKs to those that are there."""
    for kind, pks in more.items():
        reached.setdefault(kind, set()).update(pks)
