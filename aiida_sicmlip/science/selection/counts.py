"""How many configurations a round can be asked for."""

from __future__ import annotations

import numpy as np

from aiida_sicmlip.science.selection.farthest_point import count_apart
from aiida_sicmlip.science.selection.settings import SelectionSettings


def picks_to_ask_for(
    settings: SelectionSettings,
    wanted: tuple[int, int, int],
    eligible: tuple[np.ndarray, np.ndarray],
    trajectory: np.ndarray,
    time: np.ndarray,
) -> tuple[int, int, int]:
    """Return how many configurations to pick for each role: fewer than wanted where there are few frames.

    :param wanted: numbers of training, validation and fixed validation configurations.
    :param eligible: which of F frames may become training, and validation configurations, (F,) bool each.
    :param trajectory: as in :class:`~aiida_sicmlip.science.selection.picks.Picks`.
    :param time: likewise, in ps.
    """
    if settings.holds_out:
        return wanted
    either = eligible[0] | eligible[1]
    capacity = 0
    for number in np.unique(trajectory[either]):
        capacity += count_apart(np.sort(time[either & (trajectory == number)]), settings.separation)
    share = min(1.0, capacity / sum(wanted))
    # Rounded up, so that each role gets at least one configuration while there is a frame for it.
    validation, kept = (int(np.ceil(share * count)) for count in wanted[1:])
    return max(1, min(wanted[0], capacity - validation - kept)), validation, kept
