"""Choice of the configurations to label: the most different from what is known, and from each other."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from aiida_sicmlip.common.exceptions import InputError

# Distances are rounded to this many decimals, so that equal frames tie whatever the order of a dot product's sum.
_DECIMALS = 12
# Rows per block of a matrix product, which bounds its memory.
_BLOCK = 4096

Item = TypeVar("Item")


@dataclass(frozen=True)
class Pick:
    """A chosen frame: its row among the descriptors, and its distance from all that was known when it was chosen."""

    index: int
    distance: float


def distance_to_set(descriptors: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the distance 1 - k of each row of (F, D) from the nearest row of (M, D), (F,); infinite if M is 0."""
    nearest = np.full(len(descriptors), np.inf)
    for begin in range(0, len(reference), _BLOCK):
        block = reference[begin : begin + _BLOCK]
        for first in range(0, len(descriptors), _BLOCK):
            rows = slice(first, first + _BLOCK)
            nearest[rows] = np.minimum(nearest[rows], 1.0 - (descriptors[rows] @ block.T).max(axis=1))
    return np.round(nearest, _DECIMALS)


def farthest_point(
    descriptors: np.ndarray,
    reference: np.ndarray | None,
    count: int,
    *,
    allowed: np.ndarray | None = None,
    trajectory: np.ndarray | None = None,
    frame: np.ndarray | None = None,
    separation: int = 0,
    tolerance: float = 1e-9,
) -> list[Pick]:
    """Return up to `count` frames, each the farthest from the reference and from those picked before it.

    The distance of two frames is 1 - k with k the dot product of their unit vectors; that of a frame from a set is to
    its nearest member. The choice is greedy and exact, in O(frames x picks); ties go to the lowest index. Without
    reference the first pick is the frame farthest from the mean of all descriptors. There are fewer picks than asked
    for when no allowed frame is left that differs from what is known; what to do then is the caller's choice.
    Gonzalez, Theor. Comput. Sci. 38, 293 (1985).

    :param descriptors: (F, D), rows of unit length.
    :param reference: (M, D), rows of unit length, of what is known already; None or M = 0 for nothing.
    :param allowed: (F,) bool; frames that may be picked. All by default.
    :param trajectory: (F,) integers that tell trajectories apart; needed with `separation`.
    :param frame: (F,) integers, the place of each frame in its trajectory; needed with `separation`.
    :param separation: picks from one trajectory are at least so many frames apart.
    :param tolerance: frames at a smaller distance from what is known are duplicates, which are never picked. Frames
        of 216 atoms at 1500 K are some 1e-6 apart when averaged over all atoms, 1e-4 over 30; the default is passed
        by random displacements of about 0.001 A.
    :raises InputError: when shapes disagree, rows are not of unit length, or `count` is negative.
    """
    descriptors = _checked_rows("descriptors", descriptors)
    n_frames = len(descriptors)
    if count < 0 or separation < 0:
        raise InputError(f"`count` is {count} and `separation` is {separation}: give 0 or more.")
    free = _checked_mask(allowed, n_frames)
    trajectories, places = _checked_places(trajectory, frame, n_frames, separation)
    known = np.empty((0, descriptors.shape[1])) if reference is None else _checked_rows("reference", reference)
    if known.shape[1] != descriptors.shape[1]:
        raise InputError(
            f"`reference` has {known.shape[1]} columns and `descriptors` {descriptors.shape[1]}: compute both alike."
        )
    nearest = distance_to_set(descriptors, known)
    picks: list[Pick] = []
    while len(picks) < count and free.any():
        first_of_all = not len(known) and not picks
        measure = _distance_from_mean(descriptors) if first_of_all else nearest
        best = int(np.argmax(np.where(free, measure, -np.inf)))
        # The first of all frames has nothing that it could duplicate.
        if not first_of_all and measure[best] < tolerance:
            break
        picks.append(Pick(best, float(measure[best])))
        nearest = np.minimum(nearest, np.round(1.0 - descriptors @ descriptors[best], _DECIMALS))
        free[best] = False
        if separation:
            free &= (trajectories != trajectories[best]) | (np.abs(places - places[best]) >= separation)
    return picks


def split_training_validation(
    picks: Sequence[Item],
    n_training: int,
    n_validation: int,
    seed: int,
    *,
    groups: Sequence[Hashable] | None = None,
) -> tuple[list[Item], list[Item]]:
    """Return two disjoint lists of picks, drawn at random with a seed, each in the order of the picks.

    :param groups: a label for each pick, such as its trajectory; then no group is in both lists. Groups go to the
        validation in random order until it is full, and picks of them that it does not need are left out.
    :raises InputError: when there are too few picks, or a size is negative.
    """
    if n_training < 0 or n_validation < 0 or n_training + n_validation > len(picks):
        raise InputError(
            f"{n_training} training and {n_validation} validation configurations were asked for, but there are "
            f"{len(picks)} picks: ask for fewer, or sample more."
        )
    generator = np.random.Generator(np.random.PCG64(seed))
    if groups is None:
        order = [int(index) for index in generator.permutation(len(picks))]
        validation, training = order[:n_validation], order[n_validation : n_validation + n_training]
    else:
        validation, rest = _validation_of_groups(groups, len(picks), n_validation, generator)
        if len(validation) < n_validation or len(rest) < n_training:
            raise InputError(
                f"{n_training} training and {n_validation} validation configurations of different groups were asked "
                f"for, but the {len(set(groups))} groups give {len(rest)} and {len(validation)}: use more groups."
            )
        training = rest[:n_training]
    return [picks[index] for index in sorted(training)], [picks[index] for index in sorted(validation)]


def _validation_of_groups(
    groups: Sequence[Hashable], n_picks: int, n_validation: int, generator: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Return picks for the validation and, in random order, all picks of the groups that it does not touch."""
    if len(groups) != n_picks:
        raise InputError(f"`groups` has {len(groups)} entries for {n_picks} picks: give one for each.")
    names = list(dict.fromkeys(groups))
    validation: list[int] = []
    taken = set()
    for number in generator.permutation(len(names)):
        if len(validation) >= n_validation:
            break
        name = names[number]
        taken.add(name)
        members = [index for index, group in enumerate(groups) if group == name]
        validation += [int(index) for index in generator.permutation(members)]
    rest = [index for index, group in enumerate(groups) if group not in taken]
    return validation[:n_validation], [int(index) for index in generator.permutation(rest)]


def _distance_from_mean(descriptors: np.ndarray) -> np.ndarray:
    """Return 1 - cos of the angle between each row and the mean of all."""
    mean = descriptors.mean(axis=0)
    length = np.linalg.norm(mean)
    return np.round(1.0 - descriptors @ mean / (length if length > 0 else 1.0), _DECIMALS)


def _checked_rows(name: str, rows: np.ndarray) -> np.ndarray:
    """Return rows as float64 after a check that they are finite and of unit length."""
    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim != 2:
        raise InputError(f"`{name}` has the shape {rows.shape}: give one row for each frame.")
    lengths = np.linalg.norm(rows, axis=1)
    if len(rows) and not (np.abs(lengths - 1.0) < 1e-6).all():
        worst = int(np.argmax(np.abs(lengths - 1.0)))
        raise InputError(f"Row {worst} of `{name}` has the length {lengths[worst]}: scale rows to unit length.")
    return rows


def _checked_mask(allowed: np.ndarray | None, n_frames: int) -> np.ndarray:
    """Return a mask of one's own, (F,) bool."""
    if allowed is None:
        return np.ones(n_frames, dtype=bool)
    mask = np.array(allowed)
    if mask.shape != (n_frames,) or mask.dtype != bool:
        raise InputError(f"`allowed` has the shape {mask.shape} and type {mask.dtype}: give {n_frames} logical values.")
    return mask


def _checked_places(
    trajectory: np.ndarray | None, frame: np.ndarray | None, n_frames: int, separation: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return trajectory and place of each frame as int64, (F,) each."""
    if not separation:
        return np.zeros(n_frames, dtype=np.int64), np.zeros(n_frames, dtype=np.int64)
    if trajectory is None or frame is None:
        raise InputError(f"`separation` is {separation}: give `trajectory` and `frame` for each frame as well.")
    result = np.asarray(trajectory, dtype=np.int64), np.asarray(frame, dtype=np.int64)
    if any(array.shape != (n_frames,) for array in result):
        raise InputError(f"`trajectory` and `frame` must have {n_frames} entries, one for each row of `descriptors`.")
    return result
