"""What a run costs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """What a run has cost so far, as :class:`~aiida_sicmlip.science.costs.budgets.Budget` names it.

    labels: that were begun.
    computed_labels: of these, those that have ended and were not taken from the cache.
    """

    labels: int = 0
    dft_core_hours: float = 0.0
    gpu_hours: float = 0.0
    wall_hours: float = 0.0
    computed_labels: int = 0

    @property
    def core_hours_of_a_label(self) -> float | None:
        """Mean cost of a label; None where none has been computed."""
        return self.dft_core_hours / self.computed_labels if self.computed_labels else None
