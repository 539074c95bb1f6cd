"""Where a potential comes from: explicit steps along known link labels, from the model to its first data."""

from __future__ import annotations

from dataclasses import dataclass

from aiida import orm
from aiida.common.links import LinkType

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import parse_frame_label, place_of_label
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

    Walks from the data set to the one it extends, with one query each: cost grows with the number of labels.
    """
    found: list[SourceOfLabel] = []
    current: LabelledDataSetData | None = dataset
    while current is not None and current.creator is not None:
        creator = current.creator
        query = orm.QueryBuilder()
        query.append(orm.CalcFunctionNode, filters={"id": creator.pk}, tag="extension")
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
        for row in query.dict():
            structure = row["structure"]["id"]
            found.append(
                SourceOfLabel(
                    place_of_label(row["extension--label"]["label"]),
                    row["label"]["id"],
                    row["calculation"]["id"],
                    structure,
                    **_source_of_frame(structure),
                )
            )
        current = creator.inputs.previous if "previous" in creator.inputs else None
    return sorted(found, key=lambda source: source.place)


def _source_of_frame(structure: int) -> dict[str, int]:
    """Return selection, trajectory, segment and frame of a structure that a selection picked."""
    query = orm.QueryBuilder()
    query.append(orm.StructureData, filters={"id": structure}, tag="structure")
    query.append(
        orm.CalcFunctionNode,
        with_outgoing="structure",
        edge_filters={"type": LinkType.CREATE.value},
        edge_project="label",
        project="id",
    )
    row = query.first()
    if row is None:
        return {}
    selection, label = row
    try:
        segment, frame = parse_frame_label(label.rsplit("__", 1)[-1])
    except ValueError:
        return {}
    trajectory = orm.QueryBuilder()
    trajectory.append(orm.CalcFunctionNode, filters={"id": selection}, tag="selection")
    trajectory.append(
        SegmentTrajectoryData, with_outgoing="selection", edge_filters={"label": f"s{segment:02d}"}, project="id"
    )
    return {
        "selection": selection,
        "trajectory": trajectory.one()[0],
        "segment": segment,
        "frame": frame,
    }


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
    return steps
