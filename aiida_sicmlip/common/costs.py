"""Costs of a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """Costs of a run so far, named as in :class:`~aiida_sicmlip.science.costs.budgets.Budget`.

    labels: number of labels that were started.
    dft_core_hours: core hours of DFT.
    gpu_hours: GPU hours.
    wall_hours: hours since the submission.
    computed_labels: number of labels that have finished and were not taken from the cache.
    """

    labels: int = 0
    dft_core_hours: float = 0.0
    gpu_hours: float = 0.0
    wall_hours: float = 0.0
    computed_labels: int = 0

    @property
    def core_hours_per_label(self) -> float | None:
        """Mean core hours of a label; None if none has been computed."""
        return self.dft_core_hours / self.computed_labels if self.computed_labels else None
