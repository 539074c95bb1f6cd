"""Which frames of a trajectory are physical enough to be looked at."""

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.science.selection.frame_filter import COLUMNS, FrameFilterSettings, filter_frames

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def filter_trajectory(
    parameters: orm.Dict, trajectory: SegmentTrajectoryData, thermodynamics: orm.ArrayData
) -> orm.ArrayData:
    """Return the frames of ``trajectory`` that pass the filter.

    :param parameters: see :class:`aiida_sicmlip.science.selection.frame_filter.FrameFilterSettings`.
    :param thermodynamics: the run's energies (eV), least distances (A) and largest forces (eV/A), at least at each
        frame; a frame without them is dropped as ``unknown``.
    :return: array ``kept`` (K,) of frame indices, with ``n_frames``, ``n_kept``, ``n_dropped`` and the counts by
        reason, ``dropped``, as attributes.
    """
    produced = thermodynamics.get_array("production").astype(bool)
    steps = thermodynamics.get_array("step")[produced]
    order = {int(step): row for row, step in enumerate(steps)}
    rows = np.array([order.get(int(step), -1) for step in trajectory.steps()])
    known = np.flatnonzero(rows >= 0)

    def at_frames(name: str) -> np.ndarray:
        return thermodynamics.get_array(name)[produced][rows[known]]

    kept, dropped = filter_frames(
        FrameFilterSettings.from_mapping(parameters.get_dict()),
        {name: at_frames(name) for name in COLUMNS},
        n_atoms=len(trajectory.symbols),
    )
    node = orm.ArrayData()
    node.set_array("kept", known[kept])
    unknown = trajectory.n_frames - len(known)
    node.base.attributes.set_many(
        {
            "n_frames": trajectory.n_frames,
            "n_kept": len(kept),
            "n_dropped": trajectory.n_frames - len(kept),
            "dropped": {**dropped, "unknown": unknown},
        }
    )
    return node
