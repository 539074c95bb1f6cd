"""Choice of the configurations to label: the most different from what is known, and from each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.common.selection_choices import METHODS

# Distances are rounded to this many decimals, so that equal frames tie whatever the order of a dot product's sum.
_DECIMALS = 12
# Rows per block of a matrix product, which bounds its memory.
_BLOCK = 4096
# Rows whose distances are brought up to date together; doubled while that finds no pick.
_FIRST_BATCH = 32
# Times in ps are multiples of a frame's interval, up to the rounding of their sums.
_TIME_ROUNDING = 1e-6


@dataclass(frozen=True)
class Pick:
    """A chosen frame.

    index: its row among the descriptors.
    distance: what it was picked by: the distance from the reference and all picks before it, or for `top-k` from the
        reference alone.
    reference_distance: from the reference alone, infinite where there is none.
    """

    index: int
    distance: float
    reference_distance: float = np.inf


@dataclass(frozen=True)
class Eligibility:
    """Which of F frames may be picked.

    allowed: (F,) bool; all by default.
    trajectory: (F,) integers that tell trajectories apart.
    time: (F,), the place of each frame in its trajectory, in ps or in frames.
    separation: picks of one trajectory are at least so far apart, in the unit of ``time``.
    tolerance: frames at a smaller distance from what is known are duplicates, which are never picked. Averaged over
        the atoms around a divacancy, frames at 1500 K are some 1e-4 apart, over all 216 atoms 1e-6; the default is
        passed by random displacements of about 0.001 A.
    """

    allowed: np.ndarray | None = None
    trajectory: np.ndarray | None = None
    time: np.ndarray | None = None
    separation: float = 0.0
    tolerance: float = 1e-9


class UnitRows:
    """Descriptors whose rows are read as float64 of unit length, block by block: they may lie in a file."""

    def __init__(self, name: str, rows: np.ndarray) -> None:
        """Check the rows.

        :param rows: (F, D) floats of unit length up to their precision; a memory-mapped file is not read as a whole.
        :raises InputError: when there is no row for each frame, or a row is not of unit length.
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
        """Return rows as they are stored, in their own precision and length, (K, D)."""
        return self._rows[index]

    @property
    def dimension(self) -> int:
        """Number of columns."""
        return self._rows.shape[1]

    def mean(self) -> np.ndarray:
        """Return the mean of all rows, (D,)."""
        total = np.zeros(self.dimension)
        for block in blocks(len(self)):
            total += self[block].sum(axis=0)
        return total / max(1, len(self))


def blocks(count: int) -> Iterator[slice]:
    """Yield slices of so many rows that a product with them stays small in memory."""
    for begin in range(0, count, _BLOCK):
        yield slice(begin, min(begin + _BLOCK, count))


def distance_to_set(descriptors: np.ndarray | UnitRows, reference: np.ndarray | UnitRows) -> np.ndarray:
    """Return the distance of each of F frames from the nearest of M others, (F,); infinite if M is 0.

    The distance of two frames is 1 - k with the kernel k = a b / (|a| |b|) of their descriptors, from 0 for equal
    frames to 1 for orthogonal ones. It is computed in float64, whatever the precision of the rows. Cost: F x M x D.

    :param descriptors: (F, D).
    :param reference: (M, D).
    """
    rows = descriptors if isinstance(descriptors, UnitRows) else UnitRows("descriptors", descriptors)
    known = reference if isinstance(reference, UnitRows) else UnitRows("reference", reference)
    nearest = np.full(len(rows), np.inf)
    if len(known) and known.dimension != rows.dimension:
        raise InputError(
            f"`reference` has {known.dimension} columns and `descriptors` {rows.dimension}: compute both alike."
        )
    for mine in blocks(len(rows)):
        own = rows[mine]
        for theirs in blocks(len(known)):
            nearest[mine] = np.minimum(nearest[mine], 1.0 - (own @ known[theirs].T).max(axis=1))
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
    """Return up to `count` frames, picked by one of the methods, in the order in which they were picked.

    The choice is exact, and ties go to the lowest index. There are fewer picks than asked for when no frame is left
    that is allowed and differs from what is known; what to do then is the caller's choice. Without a reference the
    first pick is the frame farthest from the mean of all descriptors, for `top-k` all are.

    Memory is that of a few blocks of rows. `farthest-point` (Gonzalez, Theor. Comput. Sci. 38, 293 (1985)) costs
    frames x picks at the most: distances only fall while frames are picked, so that those of a frame are brought up to
    date only when they are the largest (the accelerated greedy algorithm of Minoux, in: Optimization Techniques,
    Springer 1978, p. 234).

    :param method: one of :data:`~aiida_sicmlip.common.selection_choices.METHODS`.
    :param descriptors: (F, D), rows of unit length.
    :param nearest: (F,), the distance of each frame from the reference, from :func:`distance_to_set`.
    :param start: (D,), stands for the mean of all descriptors, where these are a part of a larger pool.
    :param keys: (F,), for `random`: the frames with the lowest keys are picked.
    :raises InputError: when shapes disagree, rows are not of unit length, a name or a number is not a possible one.
    """
    if method not in METHODS:
        raise InputError(f"the method is {method!r}. {nearest_name(str(method), METHODS)}")
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
        raise InputError(f"the method `random` needs `keys`, one for each of {len(rows)} frames.")
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
                    f"`allowed` has the shape {self.mask.shape} and type {self.mask.dtype}: give {n_frames} logical "
                    "values."
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
        """Take a frame, and with it those that are too near in time."""
        self.mask[index] = False
        if self._separation:
            self.mask &= ~near_in_time(
                self._trajectory, self._time, self._trajectory[index], self._time[index], self._separation
            )


def near_in_time(
    trajectory: np.ndarray, time: np.ndarray, of_trajectory: int, at_time: float, separation: float
) -> np.ndarray:
    """Return which frames, (F,) bool, are of a trajectory and less than `separation` away from a time in it."""
    return (trajectory == of_trajectory) & (np.abs(time - at_time) < separation - _TIME_ROUNDING)


def _farthest_points(
    rows: UnitRows, nearest: np.ndarray, count: int, free: _Free, first: np.ndarray | None = None
) -> list[Pick]:
    """Return the picks of the greedy farthest-point selection.

    :param first: (F,), by which the first frame is picked where there is no reference.
    """
    bound = nearest.copy()
    # How many of the picks each bound has seen.
    seen = np.zeros(len(rows), dtype=np.int64)
    known = np.empty((count, rows.dimension))
    picks: list[Pick] = []
    while len(picks) < count and free.mask.any():
        if first is not None and not picks:
            best = int(np.argmax(np.where(free.mask, first, -np.inf)))
            distance = float(first[best])
        else:
            best = _largest(rows, bound, seen, known[: len(picks)], free.mask)
            distance = float(bound[best])
            # The first of all frames has nothing that it could duplicate.
            if distance < free.tolerance:
                break
        known[len(picks)] = rows[np.array([best])][0]
        picks.append(Pick(best, distance, float(nearest[best])))
        free.take(best)
    return picks


def _largest(rows: UnitRows, bound: np.ndarray, seen: np.ndarray, known: np.ndarray, mask: np.ndarray) -> int:
    """Return the free frame farthest from what is known; bounds are brought up to date as far as that needs it."""
    batch = _FIRST_BATCH
    while True:
        measure = np.where(mask, bound, -np.inf)
        best = int(np.argmax(measure))
        # Every other frame's true distance is at most its bound, which is at most this one.
        if seen[best] == len(known):
            return best
        stale = np.flatnonzero(mask & (seen < len(known)))
        if len(stale) > batch:
            stale = stale[np.argpartition(-bound[stale], batch - 1)[:batch]]
        own = rows[stale]
        begin = int(seen[stale].min())
        bound[stale] = np.minimum(bound[stale], np.round(1.0 - (own @ known[begin:].T).max(axis=1), _DECIMALS))
        seen[stale] = len(known)
        batch = min(2 * batch, _BLOCK)


def _in_order(
    rows: UnitRows, order: np.ndarray, nearest: np.ndarray, count: int, free: _Free, *, by: np.ndarray | None = None
) -> list[Pick]:
    """Return the first frames of an order that may be picked and duplicate neither the reference nor a pick.

    :param by: (F,), the distance that the order is made by; else it is that from the reference and the picks before.
    """
    known = np.empty((count, rows.dimension))
    picks: list[Pick] = []
    for index in order:
        if len(picks) == count:
            break
        if not free.mask[index] or nearest[index] < free.tolerance:
            continue
        own = rows[np.array([index])][0]
        distance = float(nearest[index])
        if picks:
            distance = min(distance, round(float(1.0 - (known[: len(picks)] @ own).max()), _DECIMALS))
            if distance < free.tolerance:
                continue
        known[len(picks)] = own
        shown = distance if by is None else float(by[index])
        picks.append(Pick(int(index), shown, float(nearest[index])))
        free.take(int(index))
    return picks


def _distance_from(rows: UnitRows, vector: np.ndarray) -> np.ndarray:
    """Return 1 - cos of the angle between each row and a vector."""
    length = np.linalg.norm(vector)
    unit = vector / (length if length > 0 else 1.0)
    return np.round(1.0 - np.concatenate([rows[block] @ unit for block in blocks(len(rows))]), _DECIMALS)
