"""The selection step: the most novel frames of a round's trajectories."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import frame_label, segment_label
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.science.frame_selection import SelectionSettings, select_frames_of_segments

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def select_frames(
    parameters: orm.Dict,
    seed: orm.Int,
    training_set: LabelledDataSetData | None = None,
    validation_set: LabelledDataSetData | None = None,
    **segments: SegmentTrajectoryData | orm.ArrayData,
) -> dict:
    """Return the picked frames as structures, and a summary.

    :param parameters: see :class:`aiida_sicmlip.science.frame_selection.SelectionSettings`.
    :param seed: decides which picks become validation.
    :param training_set: what is labelled already; new picks differ from it.
    :param validation_set: likewise.
    :param segments: the trajectories, under ``s00``, ``s01`` and so on, and what the filter says of them, if there is
        one, under ``kept_s00`` and so on.
    :return: ``training`` and ``validation``, each a namespace of structures whose link label names segment and frame
        (``frame_s03_012345``), and ``summary``.
    :raises InputError: if segments keep frames at different intervals.
    """
    filters = {name: segments.pop(name) for name in sorted(segments) if name.startswith("kept_")}
    names = sorted(segments)
    intervals = {round(segments[name].frame_interval_ps, 9) for name in names}
    if names != [segment_label(index) for index in range(len(names))] or len(intervals) != 1:
        raise InputError(
            f"the trajectories are named {', '.join(names)} and keep frames every {sorted(intervals)} ps; they have to "
            f"be named {segment_label(0)}, {segment_label(1)} and so on, and keep frames at one interval."
        )
    frames = [segments[name].frames() for name in names]
    labelled = [
        frame for dataset in (training_set, validation_set) if dataset is not None for frame in dataset.frames()
    ]
    selection = select_frames_of_segments(
        SelectionSettings.from_mapping(parameters.get_dict()),
        seed.value,
        frames,
        intervals.pop(),
        labelled,
        continues=[segments[name].continues for name in names],
        kept=[filters[f"kept_{name}"].get_array("kept") if f"kept_{name}" in filters else None for name in names],
    )

    def structures(places: list[tuple[int, int, float]]) -> dict[str, orm.StructureData]:
        found = {}
        for segment, frame, _ in places:
            structure = orm.StructureData(ase=frames[segment][frame])
            structure.label = f"{structure.get_formula()} frame {frame} of segment {segment}"
            found[frame_label(segment, frame)] = structure
        return found

    return {
        "training": structures(selection.training),
        "validation": structures(selection.validation),
        "summary": orm.Dict(selection.summary),
    }
