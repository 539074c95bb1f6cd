"""Whether everything has an origin, and processes took what decides their results."""

from __future__ import annotations

from collections import Counter

from aiida import orm

from aiida_sicmlip.common.process_types import (
    COLLECTIVE_VARIABLES,
    COMPILATION,
    DESCRIPTORS,
    EVALUATION,
    EXPLORATION_CALCULATION,
    PW,
    REFERENCE_LABEL,
    TRAINING_CALCULATION,
)
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.data.collective_variables import CollectiveVariablesData
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.continuation import ContinuationData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.lennard_jones_prior import LennardJonesPriorData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.data.training_checkpoint import TrainingCheckpointData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.tools.verification.graph import Graph

MADE_HERE = (
    orm.StructureData,
    orm.TrajectoryData,
    SegmentTrajectoryData,
    LabelledDataSetData,
    PotentialData,
    CompiledPotentialData,
    CollectiveVariablesData,
    CandidateFramesData,
    ContinuationData,
    LennardJonesPriorData,
    TrainingCheckpointData,
)
"""What is made by calculations and calcfunctions, unless a user gave it."""

REQUIRED: dict[str, tuple[str, ...]] = {
    TRAINING_CALCULATION: ("code", "training_set", "validation_set", "parameters", "seed"),
    EXPLORATION_CALCULATION: ("code", "structure", "potential", "parameters", "seed"),
    COLLECTIVE_VARIABLES: ("code", "parameters", "seed"),
    DESCRIPTORS: ("code", "parameters", "seed"),
    COMPILATION: ("code", "potential"),
    EVALUATION: ("code", "potential", "dataset"),
    PW: ("code", "structure", "parameters", "kpoints"),
    REFERENCE_LABEL: ("code", "structure", "potential"),
    "select_frames": ("parameters", "seed", "candidates"),
    "extend_dataset": ("level_of_theory",),
    "subset_dataset": ("dataset", "places"),
    "import_dataset": ("file", "level_of_theory"),
}
"""Inputs without which a result could not be made again, by process type, or by name for calcfunctions."""


def check_roots(graph: Graph) -> tuple[int, list[str]]:
    """Find structures, trajectories, labels, data sets and potentials that nothing made and no user gave.

    What a user gave is an input of the run, or of a process that nothing called.
    """
    problems, examined = [], 0
    for kind in MADE_HERE:
        for node in graph.nodes(kind):
            if type(node) is not kind:
                continue
            examined += 1
            if node.pk not in graph.made and node.pk not in graph.given and node.pk != graph.root.pk:
                problems.append(f"{kind.__name__} <{node.pk}> was made by nothing and is no input of the user")
    if isinstance(graph.root, PotentialData) and graph.root.pk not in graph.made:
        problems.append(f"the model <{graph.root.pk}> was made by nothing")
    return examined, problems


def check_inputs(graph: Graph) -> tuple[int, list[str]]:
    """Find calculations that lack an input which decides their result, such as a seed."""
    problems, examined = [], 0
    for process in graph.nodes(orm.ProcessNode):
        needed = REQUIRED.get(process.process_type or "") or REQUIRED.get(process.process_label or "")
        if needed is None:
            continue
        examined += 1
        taken = graph.taken.get(process.pk, {})
        problems += [
            f"{process.process_label} <{process.pk}> has no input `{name}`" for name in needed if name not in taken
        ]
    return examined, problems


def check_calls(graph: Graph) -> tuple[int, list[str]]:
    """Find steps of a work chain that finished well twice."""
    finished = {
        process.pk
        for process in graph.nodes(orm.ProcessNode)
        if process.is_finished_ok and not _is_anonymous(graph.callers.get(process.pk))
    }
    counts = Counter(graph.callers[pk] for pk in finished)
    problems = [
        f"<{caller}> called `{label}` {count} times, each to its end"
        for (caller, label), count in sorted(counts.items())
        if count > 1
    ]
    return len(finished), problems


def _is_anonymous(call: tuple[int, str] | None) -> bool:
    """Whether nothing called a process, or without a name of the step."""
    return call is None or call[1] in ("CALL", "") or call[1].startswith("iteration_")
