"""Replacements of picked frames whose labelling failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.selection.candidates_file import Candidates
from aiida_sicmlip.science.selection.clustering import squared_distances
from aiida_sicmlip.science.selection.farthest_point import (
    Eligibility,
    Pick,
    UnitRows,
    choose_frames,
    distance_to_set,
    near_in_time,
)
from aiida_sicmlip.science.selection.frames import FrameSelection, JoinedCandidates, picks_at
from aiida_sicmlip.science.selection.picks import ROLES, Picks
from aiida_sicmlip.science.selection.settings import SelectionSettings


def select_replacements_of_candidates(
    settings: SelectionSettings,
    failed: Sequence[tuple[int, int]],
    picks: Picks,
    current: Candidates,
    earlier: Sequence[Candidates] = (),
) -> FrameSelection:
    """Pick a candidate for each failed frame, from the same candidates and by the same rules as the picks.

    A training configuration is replaced by the next one in the order of the selection, which is continued. A validation
    configuration is replaced by the candidate nearest to the centre of its cluster. No replacement is outside the
    window of the settings, within ``separation`` of a pick of the same trajectory, or a duplicate of a pick. The failed
    frames count as picks, since similar frames are likely to fail as well. There are fewer replacements than failures
    where no candidate is left.

    :param failed: (segment, frame) of each, most important first.
    :param picks: all picks of the round.
    :param current: candidates of this round.
    :param earlier: candidates of the rounds before, oldest first.
    :raises InputError: when a failed frame is none of the picks, or ``earlier`` are not the candidates that ``current``
        was computed with.
    """
    joined = JoinedCandidates(settings, earlier, current)
    row_of_frame = {
        (int(segment), int(frame)): row
        for row, (segment, frame) in enumerate(zip(picks.segment, picks.frame, strict=True))
    }
    for frame in failed:
        if frame not in row_of_frame:
            raise InputError(f"Frame {frame[1]} of segment {frame[0]} is none of the {len(picks)} picks of this round.")
    lost = [row_of_frame[frame] for frame in failed]
    free = np.ones(len(joined.rows), dtype=bool)
    _exclude(free, joined, settings, picks)
    wanted = [row for row in lost if picks.role[row] == ROLES.index("training")]
    trained_on = picks.descriptors[picks.of("training")]
    chosen = [
        (0, replace(pick, reference_distance=float(joined.reference_distance[pick.index])))
        for pick in choose_frames(
            settings.method,
            joined.rows,
            np.minimum(joined.reference_distance, distance_to_set(joined.rows, trained_on)),
            len(wanted),
            Eligibility(
                free & joined.for_training, joined.trajectory, joined.time, settings.separation, settings.tolerance
            ),
            start=current.mean,
            keys=joined.of("keys"),
        )
    ]
    _exclude(free, joined, settings, picks_at(joined, chosen))
    for row in lost:
        if picks.role[row] == ROLES.index("training"):
            continue
        pick = _representative(joined, free & joined.for_validation, picks.descriptors[row], current.centres)
        if pick is not None:
            chosen.append((int(picks.role[row]), pick))
            _exclude(free, joined, settings, picks_at(joined, chosen[-1:]))
    replacements = picks_at(joined, chosen)
    counts = {f"n_{name}": int(replacements.of(name).sum()) for name in ROLES}
    summary = {**counts, "n_failed": len(failed)}
    return FrameSelection(replacements, [joined.place(pick.index) for _, pick in chosen], summary)


def _exclude(free: np.ndarray, joined: JoinedCandidates, settings: SelectionSettings, picks: Picks) -> None:
    """Exclude picks, their duplicates and frames too near to them in time from ``free``, (C,) bool."""
    for trajectory, time in zip(picks.trajectory, picks.time, strict=True):
        free &= ~near_in_time(joined.trajectory, joined.time, trajectory, time, settings.separation)
    if len(picks):
        free &= distance_to_set(joined.rows, picks.descriptors) >= settings.tolerance


def _representative(
    joined: JoinedCandidates, free: np.ndarray, descriptor: np.ndarray, centres: np.ndarray
) -> Pick | None:
    """Return the free candidate nearest to the centre of the cluster that a descriptor belongs to; None without one."""
    rows = np.flatnonzero(free)
    if not len(rows):
        return None
    own = UnitRows("descriptor", descriptor[None])[:]
    centre = centres[int(np.argmin(squared_distances(own, centres)[0]))]
    squares = squared_distances(joined.rows[rows], centre[None])[:, 0]
    best = int(np.argmin(squares))
    row = int(rows[best])
    return Pick(row, float(squares[best]), float(joined.reference_distance[row]))
