"""Picks of which a share has migrating atoms.

Frames in which an atom is between two sites are few, and forces there are what a potential of quiet frames does not
know (Y. Liu, X. He and Y. Mo, npj Comput. Mater. 9, 174 (2023), train on sets that are enhanced with such frames).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aiida_sicmlip.science.selection.farthest_point import (
    Eligibility,
    Pick,
    UnitRows,
    choose_frames,
    distance_to_set,
    near_in_time,
)
from aiida_sicmlip.science.selection.settings import SelectionSettings


@dataclass(frozen=True)
class PicksWithHops:
    """Picks for training, those with migrating atoms first, and picks with migrating atoms for fixed validation."""

    training: list[Pick]
    fixed: list[Pick]


def choose_with_hops(
    settings: SelectionSettings,
    rows: UnitRows,
    nearest: np.ndarray,
    asked: Sequence[int],
    *,
    eligibility: Eligibility,
    for_validation: np.ndarray,
    migrating: np.ndarray,
    start: np.ndarray,
    keys: np.ndarray,
) -> PicksWithHops:
    """Return the training configurations of F frames, and those of the fixed set that are to have migrating atoms.

    The share of both is picked together by farthest point (by key for the method `random`) among frames with migrating
    atoms, and dealt out evenly: a fixed set has hops like those that are trained on, and where frames are few both get
    their part. The other training configurations are picked by the method of the settings. Without a share these are
    the picks of :func:`~aiida_sicmlip.science.selection.farthest_point.choose_frames`.

    :param rows: descriptors (F, D).
    :param nearest: distance of each from the training set, (F,).
    :param asked: numbers of training, validation and fixed validation configurations.
    :param eligibility: which may be picked for training.
    :param for_validation: which may be picked for validation, (F,) bool.
    :param migrating: which have migrating atoms, (F,) bool.
    :param start: as of `choose_frames`.
    :param keys: likewise.
    """
    for_training = np.ones(len(rows), dtype=bool) if eligibility.allowed is None else eligibility.allowed
    of_training, of_fixed = settings.n_hops(asked[0]), settings.n_hops(asked[2])
    method = "random" if settings.method == "random" else "farthest-point"

    def choose(method: str, mask: np.ndarray, count: int, taken: Sequence[Pick]) -> list[Pick]:
        """Return picks of a mask beside those that are taken."""
        free, distance = mask, nearest
        if taken:
            free = mask & ~_near(taken, eligibility)
            distance = np.minimum(nearest, distance_to_set(rows, rows[np.array([pick.index for pick in taken])]))
        picks = choose_frames(method, rows, distance, count, replace(eligibility, allowed=free), start=start, keys=keys)
        return [replace(pick, reference_distance=float(nearest[pick.index])) for pick in picks]

    training: list[Pick] = []
    fixed: list[Pick] = []
    if settings.holds_out:
        training = choose(method, for_training & migrating, of_training, ())
        fixed = choose(method, for_validation & migrating, of_fixed, training)
    elif of_training + of_fixed and migrating.any():
        count = of_training + of_fixed
        together = choose(method, for_training & for_validation & migrating, count, ())
        # Every so many, so that the two shares are filled at the same pace.
        is_fixed = np.diff(np.arange(count + 1) * of_fixed // count) > 0
        fixed = [pick for pick, mine in zip(together, is_fixed, strict=False) if mine]
        training = [pick for pick, mine in zip(together, is_fixed, strict=False) if not mine]
    if fixed:
        away = distance_to_set(rows, rows[np.array([pick.index for pick in fixed])]) >= settings.tolerance
        for_training = for_training & away & ~_near(fixed, eligibility)
    rest = choose(settings.method, for_training, asked[0] - len(training), training)
    return PicksWithHops([*training, *rest], fixed)


def _near(picks: Sequence[Pick], eligibility: Eligibility) -> np.ndarray:
    """Return which frames are picks or too near to one in time, (F,) bool."""
    assert eligibility.trajectory is not None and eligibility.time is not None
    near = np.zeros(len(eligibility.time), dtype=bool)
    for pick in picks:
        near[pick.index] = True
        where = (eligibility.trajectory[pick.index], eligibility.time[pick.index])
        near |= near_in_time(eligibility.trajectory, eligibility.time, *where, eligibility.separation)
    return near
