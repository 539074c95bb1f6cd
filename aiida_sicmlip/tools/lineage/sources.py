"""What the configurations of a data set were made from: labels, calculations, structures, frames of trajectories."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from aiida import orm

from aiida_sicmlip.common.labels import index_of_label, parse_frame_label, segment_label
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.tools.lineage.creations import in_chunks, walk_back

_EXTENSIONS = 20
"""Number of calcfunctions whose labels are queried at once."""


@dataclass(frozen=True)
class SourceOfLabel:
    """A configuration of a data set with what it was made from (PKs), as far as that is known.

    All but `index` are None where the data set was given as it is.

    index: its index in the data set, from 0.
    label: energy and forces; like `calculation` and `structure` None where it was not labelled here.
    calculation: the calculation that made the label.
    structure: what was computed.
    selection: the calcfunction that picked it; like what follows None where it was not picked from a trajectory.
    trajectory: the trajectory that it is a frame of.
    segment: number of the trajectory among those of the run.
    frame: index in the trajectory.
    file: the file that it was imported from; None where it was not.
    file_index: its index in that file.
    added_by: the calcfunction that added it.
    """

    index: int
    label: int | None = None
    calculation: int | None = None
    structure: int | None = None
    selection: int | None = None
    trajectory: int | None = None
    segment: int | None = None
    frame: int | None = None
    file: int | None = None
    file_index: int | None = None
    added_by: int | None = None


@dataclass(frozen=True)
class _Links:
    """What stands behind the labels that some calcfunctions took, each by what comes before it."""

    labels: dict[tuple[int, int], int]
    calculations: dict[int, int]
    structures: dict[int, int]
    makers: dict[int, tuple[int, str]]


def labels_of_dataset(dataset: LabelledDataSetData) -> list[SourceOfLabel]:
    """Return the source of every configuration of ``dataset``, in its order.

    Walks from the data set to those that it extends, is a part of or was merged from: one query for each step, and then
    a handful for every twenty calcfunctions that took labels, so that the time grows with the number of data sets and,
    slowly, with that of labels.
    """
    added = walk_back(dataset)
    links = _links_of_extensions({creation.creator for creation, _ in added if creation and creation.extends})
    segments = segments_of_selections({selection for selection, _ in links.makers.values()})
    sources: list[SourceOfLabel] = []
    for creation, indices in added:
        for here, index in indices.items():
            if creation is None:
                sources.append(SourceOfLabel(index))
            elif creation.file is not None:
                sources.append(SourceOfLabel(index, file=creation.file, file_index=here, added_by=creation.creator))
            else:
                sources.append(_source(index, creation.creator, links.labels.get((creation.creator, here)), links))
    return sorted((_with_frame(source, links, segments) for source in sources), key=lambda source: source.index)


def _source(index: int, creator: int, label: int | None, links: _Links) -> SourceOfLabel:
    """Return a configuration that a calcfunction took up as a label."""
    if label is None:
        # What another calcfunction than those of this package made has no known source.
        return SourceOfLabel(index)
    calculation = links.calculations.get(label)
    structure = links.structures.get(calculation) if calculation is not None else None
    return SourceOfLabel(index, label, calculation, structure, added_by=creator)


def _links_of_extensions(pks: Iterable[int]) -> _Links:
    """Return what stands behind the labels that calcfunctions took.

    Four queries for every twenty of them: a joint one would lose labels without a structure that something made.
    """
    links = _Links({}, {}, {}, {})
    for chunk in in_chunks(pks, _EXTENSIONS):
        query = orm.QueryBuilder()
        query.append(orm.CalcFunctionNode, filters={"id": {"in": chunk}}, project="id", tag="extension")
        query.append(
            orm.TrajectoryData,
            with_outgoing="extension",
            edge_filters={"label": {"like": "label\\_%"}},
            edge_project="label",
            project="id",
            tag="label",
        )
        for extension, label, name in query.all():
            links.labels[extension, index_of_label(name)] = label
        query.append(orm.CalcJobNode, with_outgoing="label", project="id", tag="calculation")
        for _, label, calculation, _ in query.all():
            links.calculations[label] = calculation
        query.append(
            orm.StructureData,
            with_outgoing="calculation",
            edge_filters={"label": "structure"},
            project="id",
            tag="structure",
        )
        for _, _, calculation, structure, _ in query.all():
            links.structures[calculation] = structure
        query.append(orm.CalcFunctionNode, with_outgoing="structure", edge_project="label", project="id")
        for _, _, _, structure, maker, _, made_as in query.all():
            links.makers[structure] = (maker, made_as)
    return links


def _with_frame(source: SourceOfLabel, links: _Links, segments: dict[int, dict[str, int]]) -> SourceOfLabel:
    """Return ``source`` with the frame that its structure was, if it was picked from a trajectory.

    :param segments: trajectories of each selection by link label.
    """
    if source.structure is None or source.structure not in links.makers:
        return source
    selection, label = links.makers[source.structure]
    try:
        # The structure of a label that was not picked from a trajectory has no such link label.
        segment, frame = parse_frame_label(label.rsplit("__", 1)[-1])
    except ValueError:
        return source
    trajectory = segments.get(selection, {}).get(segment_label(segment))
    return replace(source, selection=selection, trajectory=trajectory, segment=segment, frame=frame)


def segments_of_selection(pk: int) -> dict[str, int]:
    """Return the trajectories whose candidates a selection chose from, of all rounds, by the label of the segment."""
    return segments_of_selections([pk]).get(pk, {})


def segments_of_selections(pks: Iterable[int]) -> dict[int, dict[str, int]]:
    """Return what :func:`segments_of_selection` does for each of several selections: three queries."""
    pks = set(pks)
    chosen_from: dict[int, list[int]] = {}
    for chunk in in_chunks(pks):
        query = orm.QueryBuilder()
        query.append(orm.CalcFunctionNode, filters={"id": {"in": chunk}}, project="id", tag="selection")
        query.append(CandidateFramesData, with_outgoing="selection", project="id")
        for selection, candidates in query.all():
            chosen_from.setdefault(selection, []).append(candidates)
    direct: dict[int, dict[str, int]] = {}
    for chunk in in_chunks(set(pks) - set(chosen_from)):
        # Frames along a final run are taken from its trajectories themselves.
        query = orm.QueryBuilder()
        query.append(orm.CalcFunctionNode, filters={"id": {"in": chunk}}, project="id", tag="pick")
        query.append(
            SegmentTrajectoryData,
            with_outgoing="pick",
            edge_filters={"label": {"like": "trajectories\\_\\_%"}},
            edge_project="label",
            project="id",
        )
        for pick, trajectory, label in query.all():
            direct.setdefault(pick, {})[label.rsplit("__", 1)[-1]] = trajectory
    segments: dict[int, dict[str, int]] = {}
    for chunk in in_chunks({pk for candidates_of_one in chosen_from.values() for pk in candidates_of_one}):
        query = orm.QueryBuilder()
        query.append(CandidateFramesData, filters={"id": {"in": chunk}}, project="id", tag="candidates")
        query.append(orm.CalcJobNode, with_outgoing="candidates", tag="description")
        query.append(
            SegmentTrajectoryData,
            with_outgoing="description",
            edge_filters={"label": {"like": "trajectories\\_\\_%"}},
            edge_project="label",
            project="id",
        )
        for candidates, trajectory, label in query.all():
            segments.setdefault(candidates, {})[label.rsplit("__", 1)[-1]] = trajectory
    return direct | {
        selection: {label: pk for one in candidates_of_one for label, pk in segments.get(one, {}).items()}
        for selection, candidates_of_one in chosen_from.items()
    }
