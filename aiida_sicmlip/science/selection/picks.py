"""The frames that selections picked, with the properties that later selections need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from aiida_sicmlip.common.exceptions import InputError

ROLES = ("training", "validation", "fixed_validation")
"""What a frame was picked for; `Picks.role` is an index into this."""


@dataclass(frozen=True)
class Picks:
    """P picked frames, in the order of picking.

    All arrays but the descriptors are (P,).

    role: index in :data:`ROLES`.
    segment: index of the frame's segment among all of the run.
    frame: index of the frame in its segment.
    trajectory: index of the first segment of its trajectory.
    time: time in that trajectory, in ps.
    distance: distance that it was picked by: for a training configuration as of
        :class:`~aiida_sicmlip.science.selection.farthest_point.Pick`, for a validation configuration the squared
        distance from the centre of its cluster.
    reference_distance: distance from the training set at that time, infinite where there was none.
    descriptors: (P, D) float32.
    """

    role: np.ndarray
    segment: np.ndarray
    frame: np.ndarray
    trajectory: np.ndarray
    time: np.ndarray
    distance: np.ndarray
    reference_distance: np.ndarray
    descriptors: np.ndarray

    def __len__(self) -> int:
        return len(self.role)

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the arrays."""
        return [entry.name for entry in fields(cls)]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Picks:
        """Return the picks from their arrays.

        :raises InputError: when one of them is missing or has another length.
        """
        missing = [name for name in cls.names() if name not in arrays]
        if missing:
            raise InputError(f"The picks lack {', '.join(missing)}: take the output `picks` of a selection.")
        found = {name: np.asarray(arrays[name]) for name in cls.names()}
        if len({len(array) for array in found.values()}) > 1:
            raise InputError("The arrays of the picks differ in length: take the output `picks` of a selection.")
        return cls(**found)

    @classmethod
    def joined(cls, parts: Sequence[Picks]) -> Picks | None:
        """Return the concatenated picks of several selections; None where there are none."""
        if not parts:
            return None
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.names()))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays by name."""
        return {name: getattr(self, name) for name in self.names()}

    def of(self, *roles: str) -> np.ndarray:
        """Return which picks have one of the roles, (P,) bool."""
        return np.isin(self.role, [ROLES.index(role) for role in roles])
