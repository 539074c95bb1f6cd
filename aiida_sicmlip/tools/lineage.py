"""Where a potential comes from: explicit steps along known link labels, from the model to its first data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import parse_frame_label, place_of_label, segment_label
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData


@dataclass(frozen=True)
class SourceOfLabel:
    """A label of a data set with what it was made from (PKs), and where in its trajectory the frame stood."""

    place: int
    label: int
    calculation: int
    structure: int
    selection: int | None = None
    trajectory: int | None = None
    segment: int | None = None
    frame: int | None = None


@dataclass(frozen=True)
class PathStep:
    """One step on the way from a potential to its origin."""

    pk: int
    what: str
    detail: str


def labels_of_dataset(dataset: LabelledDataSetData) -> list[SourceOfLabel]:
    """Return the source of every configuration of ``dataset``, in its order.

    Walks from the data set to the one it extends: a query for each of them, and one for each selection that picked
    their frames, so that the time grows with the number of rounds and, slowly, with that of labels.
    """
    found: list[SourceOfLabel] = []
    segments: dict[int, dict[str, int]] = {}
    current: LabelledDataSetData | None = dataset
    while current is not None and current.creator is not None:
        creator = current.creator
        found += [_source_of_label(row, segments) for row in _labels_of_extension(creator.pk)]
        current = creator.inputs.previous if "previous" in creator.inputs else None
    return sorted(found, key=lambda source: source.place)


def _labels_of_extension(pk: int) -> list[dict[str, dict[str, Any]]]:
    """Return label, calculation, structure and, if there is one, selection of each label that a calcfunction took."""
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
    query.append(
        orm.StructureData,
        with_outgoing="calculation",
        edge_filters={"label": "structure"},
        project="id",
        tag="structure",
    )
    query.append(
        orm.CalcFunctionNode,
        with_outgoing="structure",
        edge_project="label",
        project="id",
        outerjoin=True,
        tag="selection",
    )
    return query.dict()


def _source_of_label(row: dict[str, dict[str, Any]], segments: dict[int, dict[str, int]]) -> SourceOfLabel:
    """Return what one row of :func:`_labels_of_extension` says.

    :param segments: trajectories of each selection by link label, filled as they are needed.
    """
    known = (
        place_of_label(row["extension--label"]["label"]),
        row["label"]["id"],
        row["calculation"]["id"],
        row["structure"]["id"],
    )
    selection = row["selection"]["id"]
    try:
        # The structure of a label that was not picked from a trajectory has no such link label.
        segment, frame = parse_frame_label((row["structure--selection"]["label"] or "").rsplit("__", 1)[-1])
    except ValueError:
        return SourceOfLabel(*known)
    if selection not in segments:
        segments[selection] = segments_of_selection(selection)
    return SourceOfLabel(*known, selection, segments[selection][segment_label(segment)], segment, frame)


def segments_of_selection(pk: int) -> dict[str, int]:
    """Return the trajectories whose candidates a selection chose from, of all rounds, by the label of the segment."""
    query = orm.QueryBuilder()
    query.append(orm.CalcFunctionNode, filters={"id": pk}, tag="selection")
    query.append(CandidateFramesData, with_outgoing="selection", tag="candidates")
    query.append(orm.CalcJobNode, with_outgoing="candidates", tag="description")
    query.append(
        SegmentTrajectoryData,
        with_outgoing="description",
        edge_filters={"label": {"like": "trajectories\\_\\_%"}},
        edge_project="label",
        project="id",
    )
    return {label.rsplit("__", 1)[-1]: trajectory for trajectory, label in query.all()}


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
    calculation = orm.load_node(source.calculation)
    steps = [
        PathStep(potential.pk, "potential", f"species {', '.join(potential.species)}, cutoff {potential.cutoff:g} A"),
        PathStep(training.pk, "trained by", training.process_label),
        PathStep(dataset.pk, "on the training set", f"{dataset.n_frames} configurations"),
        PathStep(source.label, f"whose configuration {place} is the label", "energy and forces"),
        PathStep(
            calculation.pk, "computed by", f"{calculation.process_label} with {calculation.inputs.code.full_label}"
        ),
        PathStep(source.structure, "for the structure", calculation.inputs.structure.get_formula()),
    ]
    if source.trajectory is not None and source.selection is not None and source.frame is not None:
        trajectory = orm.load_node(source.trajectory)
        run = trajectory.creator
        steps += [
            PathStep(source.selection, "picked by", "selection of novel frames"),
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
