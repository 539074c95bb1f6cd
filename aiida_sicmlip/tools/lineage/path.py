"""The path from a potential through one of its configurations to what drove the run that the frame is from."""

from __future__ import annotations

from dataclasses import dataclass

from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.process_types import REFERENCE_LABEL
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.data.classical_potential import potential_name
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.tools.lineage.sources import labels_of_dataset


@dataclass(frozen=True)
class PathStep:
    """One step on the way from a potential to its origin."""

    pk: int
    what: str
    detail: str


def path_to_calculation(potential: PotentialData, index: int = 0) -> list[PathStep]:
    """Return the way from ``potential`` through configuration ``index`` of its training set to what drove the run.

    :raises InputError: if ``potential`` was not trained here, or ``index`` lies outside its training set.
    """
    training = potential.creator
    if training is None or "training_set" not in training.inputs:
        raise InputError(f"potential <{potential.pk}> was not trained in this profile, so that it has no lineage here.")
    dataset = training.inputs.training_set
    sources = {source.index: source for source in labels_of_dataset(dataset)}
    if index not in sources:
        raise InputError(f"the training set <{dataset.pk}> has no configuration {index}; it has {dataset.n_frames}.")
    source = sources[index]
    steps = [
        PathStep(potential.pk, "potential", f"species {', '.join(potential.species)}, cutoff {potential.cutoff:g} A"),
        PathStep(training.pk, "trained by", training.process_label),
        PathStep(dataset.pk, "on the training set", f"{dataset.n_frames} configurations"),
    ]
    if source.file is not None:
        name = orm.load_node(source.file).filename
        return [
            *steps,
            PathStep(
                source.file, f"whose configuration {index} is from the file", f"frame {source.file_index} of {name}"
            ),
        ]
    if source.label is None or source.structure is None:
        return steps
    calculation = orm.load_node(source.calculation)
    steps += [
        PathStep(source.label, f"whose configuration {index} is the label", "energy and forces"),
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
    query = orm.QueryBuilder()
    query.append(orm.CalcFunctionNode, filters={"id": selection}, tag="selection")
    query.append(CandidateFramesData, with_outgoing="selection", project="attributes.n_candidates", tag="candidates")
    query.append(orm.CalcJobNode, with_outgoing="candidates", project="*", tag="description")
    query.append(SegmentTrajectoryData, filters={"id": trajectory}, with_outgoing="description")
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
