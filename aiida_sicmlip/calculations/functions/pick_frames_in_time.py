"""Frames of runs, evenly in time, to be labelled."""

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.common.labels import frame_label, number_of_segment
from aiida_sicmlip.science.evaluation.final_run import FinalRunSettings, Segment, plan_labels

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def pick_frames_in_time(parameters: orm.Dict, **namespaces: Mapping[str, Any]) -> dict:
    """Return frames of runs as structures, and which they are.

    :param parameters: see :class:`aiida_sicmlip.science.evaluation.final_run.FinalRunSettings`.
    :param namespaces: `structures`, the start structures by the name that the user gave to each, which may be any, and
        `trajectories`, the segments of the runs from each that left frames, under ``s03`` and so on.
    :return: ``frames``, a namespace of structures whose link label names segment and frame (``frame_s03_012345``), and
        ``plan``, the ``runs`` of :func:`~aiida_sicmlip.science.evaluation.final_run.plan_labels`.
    """
    trajectories = namespaces.get("trajectories", {})
    segments = {
        name: [
            Segment(label, node.continues, node.times(), node.frame_interval_ps)
            for label, node in sorted(trajectories.get(name, {}).items(), key=lambda item: number_of_segment(item[0]))
        ]
        for name in sorted(namespaces["structures"])
    }
    runs = plan_labels(FinalRunSettings.from_mapping(parameters.get_dict()), segments)
    frames = {}
    for run in runs:
        for frame in run["frames"]:
            (atoms,) = trajectories[run["structure"]][frame["segment"]].frames([frame["index"]])
            label = frame_label(number_of_segment(frame["segment"]), frame["index"])
            frames[label] = orm.StructureData(ase=atoms)
            frames[label].label = f"{frames[label].get_formula()} at {frame['time']:g} ps of a free run"
    return {"frames": frames, "plan": orm.Dict({"runs": runs})}
