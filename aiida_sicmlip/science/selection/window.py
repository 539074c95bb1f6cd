"""The window that picked frames have to be in: novel, and still believed in by the potential that explored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.selection.settings import SelectionSettings

BOUNDS = ("max_disagreement", "min_disagreement", "max_force")
"""Settings of the selection that are bounds of the window."""


@dataclass(frozen=True)
class Window:
    """Which of F frames may be picked; all arrays are (F,) bool.

    A frame whose disagreement or force is not known, which is not a number, is inside.

    above_disagreement: the members of the committee disagree more than they may.
    above_force: a member predicts a larger force than there may be.
    below_disagreement: the members agree too well for a label to teach anything.
    """

    above_disagreement: np.ndarray
    above_force: np.ndarray
    below_disagreement: np.ndarray

    @classmethod
    def of(cls, settings: SelectionSettings, disagreement: np.ndarray, max_force: np.ndarray) -> Window:
        """Return the window of some settings.

        :param disagreement: of a committee on the force on any atom of each frame, the largest, (F,) in eV/A.
        :param max_force: largest force on an atom that any member predicts, (F,) in eV/A.
        """

        def beyond(values: np.ndarray, bound: float | None, above: bool) -> np.ndarray:
            if bound is None:
                return np.zeros(len(values), dtype=bool)
            return values > bound if above else values < bound

        return cls(
            beyond(disagreement, settings.max_disagreement, above=True),
            beyond(max_force, settings.max_force, above=True),
            beyond(disagreement, settings.min_disagreement, above=False),
        )

    @property
    def for_training(self) -> np.ndarray:
        """Which frames may become training configurations."""
        return self.for_validation & ~self.below_disagreement

    @property
    def for_validation(self) -> np.ndarray:
        """Which frames may become validation configurations, which stand for what was sampled, known or not."""
        return ~self.above_disagreement & ~self.above_force

    def counts(self, eligible: np.ndarray) -> dict[str, int]:
        """Return how many of the eligible frames, (F,) bool, are outside, under `n_` and the names of the bounds."""
        names = ("above_disagreement", "above_force", "below_disagreement")
        return {f"n_{name}": int((getattr(self, name) & eligible).sum()) for name in names}


def with_thresholds(settings: SelectionSettings, thresholds: Mapping[str, Any] | None) -> SelectionSettings:
    """Return settings with other bounds of the window.

    :param thresholds: by the names of :data:`BOUNDS`; those that are missing or None are as in the settings. Other keys
        are ignored, so that the result of a calibration can be given.
    :raises InputError: if the bounds are invalid.
    """
    given = {name: value for name, value in (thresholds or {}).items() if name in BOUNDS and value is not None}
    try:
        return replace(settings, **given)
    except InputError as error:
        raise InputError(f"`thresholds` do not fit the settings: {error}") from error
