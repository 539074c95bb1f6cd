"""The frames that selections have picked, with what later ones need to know of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from aiida_sicmlip.common.exceptions import InputError

ROLES = ("training", "validation", "fixed_validation")
"""What a frame was picked for; `Picks.role` counts from 0."""


@dataclass(frozen=True)
class Picks:
    """P picked frames, in the order in which they were picked.

    All arrays but the descriptors are (P,).

    role: place in :data:`ROLES`.
    segment: number of the segment in which the frame stands, among all of the run.
    frame: its place there.
    trajectory: number of the first segment of its trajectory.
    time: when in that trajectory, in ps.
    distance: what it was picked by: a training configuration by its distance as
        :class:`~aiida_sicmlip.science.selection.farthest_point.Pick` has it, a validation configuration by its squared
        distance from the centre of its cluster.
    reference_distance: from the training set of that time, infinite where there was none.
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
        """Return the picks that arrays describe.

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
        """Return the picks of several selections as one; None where there is no selection."""
        if not parts:
            return None
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.names()))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays by name."""
        return {name: getattr(self, name) for name in self.names()}

    def of(self, *roles: str) -> np.ndarray:
        """Return which picks have one of the roles, (P,) bool."""
        return np.isin(self.role, [ROLES.index(role) for role in roles])
