"""Where a potential comes from: explicit steps along known link labels, from the model to its first data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import (
    dataset_label,
    index_of_dataset,
    parse_frame_label,
    place_of_label,
    segment_label,
)
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.data.classical_potential import REFERENCE_LABEL, potential_name
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData


@dataclass(frozen=True)
class SourceOfLabel:
    """A configuration of a data set with what it was made from (PKs), as far as that is known.

    A configuration that was labelled here has `label`, `calculation` and `structure`; one that was picked from a
    trajectory also `selection`, `trajectory`, `segment` and `frame`. An imported one has `file`, and `index` in it.
    `added_by` is the calcfunction that took it up. All are None where the data set was given as it is.
    """

    place: int
    label: int | None = None
    calculation: int | None = None
    structure: int | None = None
    selection: int | None = None
    trajectory: int | None = None
    segment: int | None = None
    frame: int | None = None
    file: int | None = None
    index: int | None = None
    added_by: int | None = None


@dataclass(frozen=True)
class PathStep:
    """One step on the way from a potential to its origin."""

    pk: int
    what: str
    detail: str


def labels_of_dataset(dataset: LabelledDataSetData) -> list[SourceOfLabel]:
    """Return the source of every configuration of ``dataset``, in its order.

    Walks from the data set to those that it extends, is a part of or was merged from: at most three queries for each
    of them, and one for each selection that picked their frames, so that the time grows with the number of data sets
    and, slowly, with that of labels.
    """
    found: list[SourceOfLabel] = []
    segments: dict[int, dict[str, int]] = {}
    # Data sets to look at, each with the places there of what is sought, and their places in `dataset`.
    waiting = [(dataset, {place: place for place in range(dataset.n_frames)})]
    while waiting:
        current, wanted = waiting.pop()
        if not wanted:
            continue
        creator, inputs = _creation(current.pk)
        if creator is None:
            found += [SourceOfLabel(place) for place in wanted.values()]
        elif {"file", "level_of_theory"} <= set(inputs):
            file = inputs["file"].pk
            found += [SourceOfLabel(place, file=file, index=index, added_by=creator) for index, place in wanted.items()]
        elif {"dataset", "places"} <= set(inputs):
            kept = inputs["places"].get_list()
            waiting.append((inputs["dataset"], {kept[here]: place for here, place in wanted.items()}))
        elif dataset_label(0) in inputs:
            waiting += _parts_of_merged(inputs, wanted)
        else:
            made = _makers_of_structures(creator)
            for here, label, calculation, structure in _labels_of_extension(creator):
                if here in wanted:
                    source = SourceOfLabel(wanted.pop(here), label, calculation, structure, added_by=creator)
                    found.append(_with_frame(source, made.get(structure), segments))
            if "previous" in inputs:
                waiting.append((inputs["previous"], wanted))
            else:
                # What another calcfunction than those of this package made has no known source.
                found += [SourceOfLabel(place) for place in wanted.values()]
    return sorted(found, key=lambda source: source.place)


def _creation(pk: int) -> tuple[int | None, dict[str, Any]]:
    """Return the PK of the calcfunction that made a data set, and what it took by link label, labels left out."""
    query = orm.QueryBuilder()
    query.append(LabelledDataSetData, filters={"id": pk}, tag="dataset")
    query.append(orm.CalcFunctionNode, with_outgoing="dataset", project="id", tag="creator")
    query.append(
        orm.Data,
        with_outgoing="creator",
        edge_filters={"label": {"!like": "label\\_%"}},
        edge_project="label",
        project="*",
        tag="input",
    )
    rows = query.all()
    return (rows[0][0] if rows else None), {label: node for _, node, label in rows}


def _parts_of_merged(
    inputs: dict[str, Any], wanted: dict[int, int]
) -> list[tuple[LabelledDataSetData, dict[int, int]]]:
    """Return each of the merged data sets with the places there of what is sought."""
    parts, start = [], 0
    for label in sorted(inputs, key=index_of_dataset):
        end = start + inputs[label].n_frames
        parts.append((inputs[label], {here - start: place for here, place in wanted.items() if start <= here < end}))
        start = end
    return parts


def _query_of_labels(pk: int) -> orm.QueryBuilder:
    """Return a query for label, calculation and structure of each label that a calcfunction took, with its link."""
    query = orm.QueryBuilder()
    query.append(orm.CalcFunctionNode, filters={"id": pk}, tag="extension")
    query.append(
        orm.TrajectoryData,
        with_outgoing="extension",
        edge_filters={"label": {"like": "label\\_%"}},
        edge_project="label",
        project="id",
        tag="label",
    )
    query.append(orm.CalcJobNode, with_outgoing="label", project="id", tag="calculation")
    return query.append(
        orm.StructureData,
        with_outgoing="calculation",
        edge_filters={"label": "structure"},
        project="id",
        tag="structure",
    )


def _labels_of_extension(pk: int) -> list[tuple[int, int, int, int]]:
    """Return place, label, calculation and structure of each label that a calcfunction took."""
    rows = _query_of_labels(pk).all()
    return [(place_of_label(name), label, calculation, structure) for label, calculation, structure, name in rows]


def _makers_of_structures(pk: int) -> dict[int, tuple[int, str]]:
    """Return what made the structures of an extension's labels, and under which link label, by structure.

    A query of its own: a structure that no calcfunction made would take its label out of a joint one.
    """
    query = _query_of_labels(pk).append(
        orm.CalcFunctionNode,
        with_outgoing="structure",
        edge_project="label",
        project="id",
    )
    return {structure: (maker, made_as) for _, _, structure, maker, _, made_as in query.all()}


def _with_frame(
    source: SourceOfLabel, made: tuple[int, str] | None, segments: dict[int, dict[str, int]]
) -> SourceOfLabel:
    """Return ``source`` with the frame that its structure was, if it was picked from a trajectory.

    :param made: what made the structure, and under which link label.
    :param segments: trajectories of each selection by link label, filled as they are needed.
    """
    if made is None:
        return source
    selection, label = made
    try:
        # The structure of a label that was not picked from a trajectory has no such link label.
        segment, frame = parse_frame_label(label.rsplit("__", 1)[-1])
    except ValueError:
        return source
    if selection not in segments:
        segments[selection] = segments_of_selection(selection)
    trajectory = segments[selection][segment_label(segment)]
    return replace(source, selection=selection, trajectory=trajectory, segment=segment, frame=frame)


def segments_of_selection(pk: int) -> dict[str, int]:
    """Return the trajectories whose candidates a selection chose from, of all rounds, by the label of the segment."""
    query = query_of_candidates(pk)
    query.append(
        SegmentTrajectoryData,
        with_outgoing="description",
        edge_filters={"label": {"like": "trajectories\\_\\_%"}},
        edge_project="label",
        project="id",
    )
    return {label.rsplit("__", 1)[-1]: trajectory for trajectory, label in query.all()}


def query_of_candidates(pk: int, label: str = "%") -> orm.QueryBuilder:
    """Return the part of a query that leads from a selection to what made its candidates, with the tag `description`.

    :param label: of the link of the candidates, as SQL's ``like`` takes it; those of its own round are `candidates`.
    """
    query = orm.QueryBuilder()
    query.append(orm.CalcFunctionNode, filters={"id": pk}, tag="selection")
    query.append(
        CandidateFramesData, with_outgoing="selection", edge_filters={"label": {"like": label}}, tag="candidates"
    )
    query.append(orm.CalcJobNode, with_outgoing="candidates", tag="description")
    return query


def path_to_calculation(potential: PotentialData, place: int = 0) -> list[PathStep]:
    """Return the way from ``potential`` through configuration ``place`` of its training set to what drove the run.

    :raises InputError: if ``potential`` was not trained here, or ``place`` lies outside its training set.
    """
    training = potential.creator
    if training is None or "training_set" not in training.inputs:
        raise InputError(f"potential <{potential.pk}> was not trained in this profile, so that it has no lineage here.")
    dataset = training.inputs.training_set
    sources = {source.place: source for source in labels_of_dataset(dataset)}
    if place not in sources:
        raise InputError(f"the training set <{dataset.pk}> has no configuration {place}; it has {dataset.n_frames}.")
    source = sources[place]
    steps = [
        PathStep(potential.pk, "potential", f"species {', '.join(potential.species)}, cutoff {potential.cutoff:g} A"),
        PathStep(training.pk, "trained by", training.process_label),
        PathStep(dataset.pk, "on the training set", f"{dataset.n_frames} configurations"),
    ]
    if source.file is not None:
        name = orm.load_node(source.file).filename
        return [
            *steps,
            PathStep(source.file, f"whose configuration {place} is from the file", f"frame {source.index} of {name}"),
        ]
    if source.label is None or source.structure is None:
        return steps
    calculation = orm.load_node(source.calculation)
    steps += [
        PathStep(source.label, f"whose configuration {place} is the label", "energy and forces"),
        PathStep(
            calculation.pk, "computed by", f"{calculation.process_label} with {calculation.inputs.code.full_label}"
        ),
        *_path_of_reference(calculation),
        PathStep(source.structure, "for the structure", calculation.inputs.structure.get_formula()),
    ]
    if source.trajectory is not None and source.selection is not None and source.frame is not None:
        trajectory = orm.load_node(source.trajectory)
        run = trajectory.creator
        steps += [
            PathStep(source.selection, "picked by", "selection of novel frames"),
            _path_of_candidates(source.selection, source.trajectory),
            PathStep(
                trajectory.pk, "from the trajectory", f"frame {source.frame}, {trajectory.times()[source.frame]:g} ps"
            ),
        ]
        if run is not None:
            driving = run.inputs.potential
            kind = "compiled model" if driving.creator is not None else "bootstrap potential"
            steps += [
                PathStep(run.pk, "made by", f"{run.process_label} with seed {run.inputs.seed.value}"),
                PathStep(driving.pk, "driven by", kind),
            ]
            steps += _path_of_bias(run)
    return steps


def _path_of_reference(calculation: orm.CalcJobNode) -> list[PathStep]:
    """Return the potential that a label is by; nothing for one from first principles."""
    if calculation.process_type != REFERENCE_LABEL:
        return []
    potential = calculation.inputs.potential
    return [PathStep(potential.pk, "by the reference potential", potential_name(potential))]


def _path_of_candidates(selection: int, trajectory: int) -> PathStep:
    """Return the calculation whose candidates a selection took the frames of a trajectory from."""
    query = query_of_candidates(selection)
    query.append(SegmentTrajectoryData, filters={"id": trajectory}, with_outgoing="description")
    query.add_projection("description", "*")
    query.add_projection("candidates", "attributes.n_candidates")
    # Columns come in the order of the query's parts, not of the projections.
    count, description = query.first()
    return PathStep(description.pk, "among candidates of", f"{description.process_label}, {count} frames")


def _path_of_bias(run: orm.CalcJobNode) -> list[PathStep]:
    """Return what the run was biased along, and where those variables come from; nothing for a free run."""
    if "collective_variables" not in run.inputs:
        return []
    variables = run.inputs.collective_variables
    steps = [
        PathStep(
            variables.pk,
            "biased along",
            f"{variables.n_variables} collective variables of {len(variables.pairs)} distances",
        )
    ]
    if variables.creator is not None:
        segments = variables.creator.inputs.trajectories
        pks = ", ".join(f"<{segments[label].pk}>" for label in segments)
        steps.append(PathStep(variables.creator.pk, "learned by", f"{variables.creator.process_label} from {pks}"))
    return steps
