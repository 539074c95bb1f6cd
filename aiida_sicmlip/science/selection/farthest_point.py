"""Selection of configurations to label: those that differ most from the training set and from each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.common.selection_choices import METHODS

# Distances are rounded to this many decimals, so that equal frames tie for any order of summation of a dot product.
_DECIMALS = 12
# Rows per block of a matrix product; bounds its memory.
_BLOCK = 4096
# Rows whose distances are updated together; doubled while no pick is found.
_FIRST_BATCH = 32
# Times in ps are multiples of the frame interval, up to rounding.
_TIME_ROUNDING = 1e-6


@dataclass(frozen=True)
class Pick:
    """A picked frame.

    index: its row in the descriptors.
    distance: distance that it was picked by: from the reference and all picks before it, or for `top-k` from the
        reference alone.
    reference_distance: distance from the reference alone, infinite where there is none.
    """

    index: int
    distance: float
    reference_distance: float = np.inf


@dataclass(frozen=True)
class Eligibility:
    """Which of F frames may be picked.

    allowed: (F,) bool; all by default.
    trajectory: (F,) int, identifies the trajectory of each frame.
    time: (F,), time of each frame in its trajectory, in ps or in frames.
    separation: minimum time between picks of one trajectory, in the unit of ``time``.
    tolerance: frames at a smaller distance from the reference or a pick are duplicates, which are never picked.
        Averaged over the atoms around a divacancy, frames at 1500 K are about 1e-4 apart, over all 216 atoms 1e-6;
        random displacements of about 0.001 A exceed the default.
    """

    allowed: np.ndarray | None = None
    trajectory: np.ndarray | None = None
    time: np.ndarray | None = None
    separation: float = 0.0
    tolerance: float = 1e-9


class UnitRows:
    """Descriptors whose rows are read as float64 of unit length, block by block; they may be memory-mapped."""

    def __init__(self, name: str, rows: np.ndarray) -> None:
        """Check the rows.

        :param rows: (F, D) floats of unit length up to their precision; a memory-mapped file is not read at once.
        :raises InputError: when the array is not two-dimensional, or a row is not of unit length.
        """
        self._rows = np.asarray(rows)
        if self._rows.ndim != 2:
            raise InputError(f"`{name}` has the shape {self._rows.shape}: give one row for each frame.")
        self._lengths = np.empty(len(rows))
        for block in blocks(len(rows)):
            self._lengths[block] = np.linalg.norm(self._rows[block].astype(np.float64), axis=1)
        if len(rows) and not (np.abs(self._lengths - 1.0) < 1e-6).all():
            worst = int(np.argmax(np.abs(self._lengths - 1.0)))
            length = self._lengths[worst]
            raise InputError(f"Row {worst} of `{name}` has the length {length}: scale rows to unit length.")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        """Return the rows of a slice or of an array of indices, (K, D) float64."""
        return self._rows[index].astype(np.float64) / self._lengths[index][:, None]

    def stored(self, index: np.ndarray) -> np.ndarray:
        """Return rows in their stored precision and length, (K, D)."""
        return self._rows[index]

    @property
    def dimension(self) -> int:
        """Number of columns."""
        return self._rows.shape[1]

    def mean(self, members: np.ndarray | None = None) -> np.ndarray:
        """Return the mean of all rows, or of those with the indices `members`, (D,)."""
        count = len(self) if members is None else len(members)
        total = np.zeros(self.dimension)
        for block in blocks(count):
            total += self[block if members is None else members[block]].sum(axis=0)
        return total / max(1, count)


def blocks(count: int) -> Iterator[slice]:
    """Yield slices of ``count`` rows, small enough to bound the memory of a product with them."""
    for begin in range(0, count, _BLOCK):
        yield slice(begin, min(begin + _BLOCK, count))


def distance_to_set(descriptors: np.ndarray | UnitRows, reference: np.ndarray | UnitRows) -> np.ndarray:
    """Return the distance of each of F frames from the nearest of M others, (F,); infinite if M is 0.

    The distance of two frames is 1 - k with the kernel k = a b / (|a| |b|) of their descriptors, from 0 for equal
    frames to 1 for orthogonal ones. It is computed in float64 for any precision of the rows. Cost: F x M x D.

    :param descriptors: (F, D).
    :param reference: (M, D).
    """
    rows = descriptors if isinstance(descriptors, UnitRows) else UnitRows("descriptors", descriptors)
    reference_rows = reference if isinstance(reference, UnitRows) else UnitRows("reference", reference)
    nearest = np.full(len(rows), np.inf)
    if len(reference_rows) and reference_rows.dimension != rows.dimension:
        raise InputError(
            f"`reference` has {reference_rows.dimension} columns and `descriptors` {rows.dimension}: compute both with "
            "the same settings."
        )
    for block in blocks(len(rows)):
        block_rows = rows[block]
        for reference_block in blocks(len(reference_rows)):
            distances = 1.0 - (block_rows @ reference_rows[reference_block].T).max(axis=1)
            nearest[block] = np.minimum(nearest[block], distances)
    return np.round(nearest, _DECIMALS)


def choose_frames(
    method: str,
    descriptors: np.ndarray | UnitRows,
    nearest: np.ndarray,
    count: int,
    eligibility: Eligibility | None = None,
    *,
    start: np.ndarray | None = None,
    keys: np.ndarray | None = None,
) -> list[Pick]:
    """Return up to `count` frames picked by a method, in the order of picking.

    The selection is exact, and ties go to the lowest index. There are fewer picks than `count` when no allowed frame is
    left that is not a duplicate. Without a reference the first pick is the frame farthest from the mean of all
    descriptors; for `top-k` all picks are those farthest from it.

    Memory is that of a few blocks of rows. `farthest-point` (Gonzalez, Theor. Comput. Sci. 38, 293 (1985)) costs frames
    x picks at most: distances only decrease while frames are picked, so that the distance of a frame is updated only
    when it is the largest (the accelerated greedy algorithm of Minoux, in: Optimization Techniques, Springer 1978, p.
    234).

    :param method: one of :data:`~aiida_sicmlip.common.selection_choices.METHODS`.
    :param descriptors: (F, D), rows of unit length.
    :param nearest: (F,), the distance of each frame from the reference, from :func:`distance_to_set`.
    :param start: (D,), used instead of the mean of all descriptors, where these are part of a larger pool.
    :param keys: (F,), for `random`: the frames with the lowest keys are picked.
    :raises InputError: when shapes disagree, rows are not of unit length, or the method or a number is not valid.
    """
    if method not in METHODS:
        raise InputError(f"`method` is {method!r}. {nearest_name(str(method), METHODS)}")
    rows = descriptors if isinstance(descriptors, UnitRows) else UnitRows("descriptors", descriptors)
    eligibility = eligibility or Eligibility()
    if count < 0 or eligibility.separation < 0:
        raise InputError(f"`count` is {count} and `separation` is {eligibility.separation}: give 0 or more.")
    if np.shape(nearest) != (len(rows),):
        raise InputError(f"`nearest` has the shape {np.shape(nearest)}: give the distance of {len(rows)} frames.")
    nearest = np.asarray(nearest, dtype=np.float64)
    free = _Free(eligibility, len(rows))
    if len(rows) and np.isinf(nearest).any():
        mean = rows.mean() if start is None else np.asarray(start, dtype=np.float64)
        from_mean = _distance_from(rows, mean)
        if method == "top-k":
            return _in_order(rows, np.argsort(-from_mean, kind="stable"), nearest, count, free, by=from_mean)
        if method == "farthest-point":
            return _farthest_points(rows, nearest, count, free, first=from_mean)
    if method == "farthest-point":
        return _farthest_points(rows, nearest, count, free)
    if method == "top-k":
        return _in_order(rows, np.argsort(-nearest, kind="stable"), nearest, count, free, by=nearest)
    if keys is None or np.shape(keys) != (len(rows),):
        raise InputError(f"The method `random` needs `keys`: give one for each of the {len(rows)} frames.")
    return _in_order(rows, np.argsort(keys, kind="stable"), nearest, count, free)


class _Free:
    """The frames that may still be picked."""

    def __init__(self, eligibility: Eligibility, n_frames: int) -> None:
        self.tolerance = eligibility.tolerance
        self._separation = eligibility.separation
        self.mask = np.ones(n_frames, dtype=bool)
        if eligibility.allowed is not None:
            self.mask = np.array(eligibility.allowed)
            if self.mask.shape != (n_frames,) or self.mask.dtype != bool:
                raise InputError(
                    f"`allowed` has the shape {self.mask.shape} and type {self.mask.dtype}: give {n_frames} booleans."
                )
        if not self._separation:
            return
        if eligibility.trajectory is None or eligibility.time is None:
            raise InputError(
                f"`separation` is {self._separation}: give `trajectory` and `time` for each frame as well."
            )
        self._trajectory = np.asarray(eligibility.trajectory, dtype=np.int64)
        self._time = np.asarray(eligibility.time, dtype=np.float64)
        if any(array.shape != (n_frames,) for array in (self._trajectory, self._time)):
            raise InputError(f"`trajectory` and `time` must have {n_frames} entries, one for each row.")

    def take(self, index: int) -> None:
        """Remove a picked frame and those too near to it in time."""
        self.mask[index] = False
        if self._separation:
            self.mask &= ~near_in_time(
                self._trajectory, self._time, self._trajectory[index], self._time[index], self._separation
            )


def near_in_time(
    trajectory: np.ndarray, time: np.ndarray, of_trajectory: int, at_time: float, separation: float
) -> np.ndarray:
    """Return which frames, (F,) bool, belong to a trajectory and are less than `separation` away from a time in it."""
    return (trajectory == of_trajectory) & (np.abs(time - at_time) < separation - _TIME_ROUNDING)


def count_apart(times: np.ndarray, separation: float) -> int:
    """Return how many of ascending times can be chosen with any two at least a separation apart."""
    if not separation:
        return len(times)
    count, last = 0, -np.inf
    for time in times:
        if time - last >= separation - 1e-6:
            count, last = count + 1, time
    return count


def _farthest_points(
    rows: UnitRows, nearest: np.ndarray, count: int, free: _Free, first: np.ndarray | None = None
) -> list[Pick]:
    """Return the picks of the greedy farthest-point selection.

    :param first: (F,), distance that the first frame is picked by, where there is no reference.
    """
    bound = nearest.copy()
    # Number of picks that each bound takes into account.
    seen = np.zeros(len(rows), dtype=np.int64)
    picked = np.empty((count, rows.dimension))
    picks: list[Pick] = []
    while len(picks) < count and free.mask.any():
        if first is not None and not picks:
            best = int(np.argmax(np.where(free.mask, first, -np.inf)))
            distance = float(first[best])
        else:
            best = _largest(rows, bound, seen, picked[: len(picks)], free.mask)
            distance = float(bound[best])
            # The very first pick cannot be a duplicate.
            if distance < free.tolerance:
                break
        picked[len(picks)] = rows[np.array([best])][0]
        picks.append(Pick(best, distance, float(nearest[best])))
        free.take(best)
    return picks


def _largest(rows: UnitRows, bound: np.ndarray, seen: np.ndarray, picked: np.ndarray, mask: np.ndarray) -> int:
    """Return the free frame farthest from the reference and the picks; bounds are updated only as far as needed."""
    batch = _FIRST_BATCH
    while True:
        measure = np.where(mask, bound, -np.inf)
        best = int(np.argmax(measure))
        # The distance of every other frame is at most its bound, which is at most this one.
        if seen[best] == len(picked):
            return best
        stale = np.flatnonzero(mask & (seen < len(picked)))
        if len(stale) > batch:
            stale = stale[np.argpartition(-bound[stale], batch - 1)[:batch]]
        updated = rows[stale]
        begin = int(seen[stale].min())
        bound[stale] = np.minimum(bound[stale], np.round(1.0 - (updated @ picked[begin:].T).max(axis=1), _DECIMALS))
        seen[stale] = len(picked)
        batch = min(2 * batch, _BLOCK)


def _in_order(
    rows: UnitRows, order: np.ndarray, nearest: np.ndarray, count: int, free: _Free, *, by: np.ndarray | None = None
) -> list[Pick]:
    """Return the first frames of an order that may be picked and duplicate neither the reference nor a pick.

    :param by: (F,), the distance that gives the order; by default that from the reference and the picks before.
    """
    picked = np.empty((count, rows.dimension))
    picks: list[Pick] = []
    for index in order:
        if len(picks) == count:
            break
        if not free.mask[index] or nearest[index] < free.tolerance:
            continue
        row = rows[np.array([index])][0]
        distance = float(nearest[index])
        if picks:
            distance = min(distance, round(float(1.0 - (picked[: len(picks)] @ row).max()), _DECIMALS))
            if distance < free.tolerance:
                continue
        picked[len(picks)] = row
        picked_by = distance if by is None else float(by[index])
        picks.append(Pick(int(index), picked_by, float(nearest[index])))
        free.take(int(index))
    return picks


def _distance_from(rows: UnitRows, vector: np.ndarray) -> np.ndarray:
    """Return 1 - cos of the angle between each row and a vector."""
    length = np.linalg.norm(vector)
    unit = vector / (length if length > 0 else 1.0)
    return np.round(1.0 - np.concatenate([rows[block] @ unit for block in blocks(len(rows))]), _DECIMALS)
