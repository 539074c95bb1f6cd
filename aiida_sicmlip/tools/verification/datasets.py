"""Whether data sets hold what was computed, for the frames that were picked, at one level of theory."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from aiida import orm
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import parse_frame_label, segment_label
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.labels import labelled_frame, level_of_label
from aiida_sicmlip.data.level_of_theory import require_same_level
from aiida_sicmlip.science.labels.comparison import geometry_key
from aiida_sicmlip.science.labels.states import CHARGE, SPIN
from aiida_sicmlip.tools.lineage import SourceOfLabel, labels_of_dataset, segments_of_selection
from aiida_sicmlip.tools.verification.graph import Graph

SAME_PLACE = 1e-6
"""A; positions of a picked structure and of the frame of its trajectory agree better, as both come from one file."""
_UNREADABLE = (InputError, OSError, ValueError, KeyError, AttributeError)
"""What reading a file or a label that was tampered with may raise."""


def check_frames(graph: Graph) -> tuple[int, list[str]]:
    """Compare each picked structure with the frame of the trajectory that the label of its link names."""
    problems, examined = [], 0
    segments: dict[int, dict[str, int]] = {}
    for structure in graph.nodes(orm.StructureData):
        creator, label = graph.made.get(structure.pk, (0, ""))
        try:
            segment, frame = parse_frame_label(label.rsplit("__", 1)[-1])
        except ValueError:
            continue
        examined += 1
        if creator not in segments:
            segments[creator] = segments_of_selection(creator)
        what = f"structure <{structure.pk}>, which its link calls `{label}`,"
        if segment_label(segment) not in segments[creator]:
            problems.append(f"{what} is of a trajectory that <{creator}> did not choose from")
            continue
        trajectory = orm.load_node(segments[creator][segment_label(segment)])
        try:
            kept = trajectory.frames([frame])[0]
        except (*_UNREADABLE, IndexError) as error:
            problems.append(f"{what} cannot be compared with trajectory <{trajectory.pk}>: {error}")
            continue
        if not _same_structure(structure.get_ase(), kept):
            problems.append(f"{what} is not that frame of trajectory <{trajectory.pk}>")
    return examined, problems


def check_sources(graph: Graph) -> tuple[int, list[str]]:
    """Find configurations of data sets that lead to no label and to no imported file."""
    problems, examined = [], 0
    for dataset in graph.nodes(LabelledDataSetData):
        if dataset.pk not in graph.made:
            # Given by the user as it is; another check sees whether it was.
            continue
        sources = labels_of_dataset(dataset)
        examined += dataset.n_frames
        lost = [source.index for source in sources if source.label is None and source.file is None]
        lost += sorted(set(range(dataset.n_frames)) - {source.index for source in sources})
        problems += [f"configuration {index} of data set <{dataset.pk}> leads to no label" for index in lost]
    return examined, problems


def check_labels(graph: Graph) -> tuple[int, list[str]]:
    """Compare each configuration of each data set with its label: species, positions, cell, energy, forces, state."""
    problems, examined = [], 0
    read = lru_cache(maxsize=None)(lambda pk: labelled_frame(orm.load_node(pk), f"<{pk}>"))
    for dataset, sources in _labelled(graph):
        try:
            frames = dataset.frames()
        except _UNREADABLE as error:
            problems.append(f"data set <{dataset.pk}> cannot be read: {error}")
            continue
        if len(frames) != dataset.n_frames:
            problems.append(f"data set <{dataset.pk}> says that it holds {dataset.n_frames}, and holds {len(frames)}")
            continue
        for source in sources:
            examined += 1
            what = f"configuration {source.index} of data set <{dataset.pk}>"
            try:
                label = read(source.label)
            except _UNREADABLE as error:
                problems.append(f"{what}: label <{source.label}> cannot be read: {error}")
                continue
            wrong = _unlike(frames[source.index], label)
            if wrong:
                problems.append(f"{what} is not its label <{source.label}>: {' and '.join(wrong)} differ")
    return examined, problems


def check_levels(graph: Graph) -> tuple[int, list[str]]:
    """Derive the level of theory of each label from its calculation, and compare it with that of its data sets."""
    problems, examined = [], 0
    levels: dict[int, dict[str, Any]] = {}
    for dataset, sources in _labelled(graph):
        try:
            stated = [dataset.levels_of_theory[state.level] for state in dataset.states()]
        except (*_UNREADABLE, IndexError) as error:
            problems.append(f"the levels of theory of data set <{dataset.pk}> cannot be read: {error}")
            continue
        for source in sources:
            assert source.label is not None
            what = f"label <{source.label}> at index {source.index} of data set <{dataset.pk}>"
            examined += 1
            try:
                if source.label not in levels:
                    levels[source.label] = level_of_label(orm.load_node(source.label), f"<{source.label}>")
                require_same_level(stated[source.index], levels[source.label], what)
            except (*_UNREADABLE, IndexError) as error:
                problems.append(str(error) if isinstance(error, InputError) else f"{what}: {error}")
    return examined, problems


def check_validation(graph: Graph) -> tuple[int, list[str]]:
    """Find configurations that a model was both trained and validated on."""
    problems, examined = [], 0
    for process, taken in sorted(graph.taken.items()):
        if not {"training_set", "validation_set"} <= set(taken):
            continue
        sets = [orm.load_node(taken[name]) for name in ("training_set", "validation_set")]
        try:
            training, validation = (dataset.frames() for dataset in sets)
        except _UNREADABLE as error:
            problems.append(f"the sets of <{process}> cannot be read: {error}")
            continue
        indices = {geometry_key(frame): index for index, frame in enumerate(training)}
        examined += len(validation)
        for index, frame in enumerate(validation):
            if (there := indices.get(geometry_key(frame))) is not None:
                problems.append(
                    f"configuration {index} of the validation set <{sets[1].pk}> is configuration {there} of the "
                    f"training set <{sets[0].pk}>, both of <{process}>"
                )
    return examined, problems


def _labelled(graph: Graph) -> list[tuple[LabelledDataSetData, list[SourceOfLabel]]]:
    """Return the data sets of a graph with those of their configurations that have a label."""
    labelled = []
    for dataset in graph.nodes(LabelledDataSetData):
        labelled.append((dataset, [source for source in labels_of_dataset(dataset) if source.label is not None]))
    return labelled


def _unlike(frame: Atoms, label: Atoms) -> list[str]:
    """Return in what a configuration is not its label."""
    pairs = {
        "species": (frame.numbers, label.numbers),
        "positions": (frame.positions, label.positions),
        "cell": (frame.cell.array, label.cell.array),
        "energy": (frame.get_potential_energy(), label.get_potential_energy()),
        "forces": (frame.get_forces(), label.get_forces()),
        "charge": (frame.info[CHARGE], label.info[CHARGE]),
        "spin": (frame.info[SPIN], label.info[SPIN]),
    }
    return [name for name, (one, other) in pairs.items() if not np.array_equal(one, other)]


def _same_structure(one: Atoms, other: Atoms) -> bool:
    """Whether species, cell and, apart from lattice vectors, positions agree."""
    if list(one.symbols) != list(other.symbols) or not np.allclose(one.cell.array, other.cell.array, atol=SAME_PLACE):
        return False
    fractional = (one.positions - other.positions) @ np.linalg.inv(one.cell.array)
    return bool(np.abs((fractional - np.round(fractional)) @ one.cell.array).max(initial=0.0) < SAME_PLACE)
