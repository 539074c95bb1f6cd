"""What a run may cost, and what is left of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from aiida_sicmlip.common.costs import Costs
from aiida_sicmlip.science.settings import Settings, integer, number

UNITS = {"labels": "labels", "dft_core_hours": "core hours of DFT", "gpu_hours": "GPU hours", "wall_hours": "hours"}
"""What the numbers of each budget are, in words."""
STATUSES = {702: "labels", 703: "dft_core_hours", 704: "gpu_hours", 705: "wall_hours"}
"""Exit statuses of the runs that a budget has ended."""


@dataclass(frozen=True)
class Budget(Settings):
    """What a run may cost. Each is checked before a step that would spend it, so that one step may go beyond it."""

    PREFIX = "budget."

    labels: int | None = integer(
        None, "labels in all, those that failed and those that were taken from the cache included", at_least=1
    )
    dft_core_hours: float | None = number(
        None,
        "cores times wall time of the calculations of all labels; what labels to come will cost is taken from the mean "
        "of those that are done, so that the first labelling is not shortened",
        unit="h",
        above=0,
    )
    gpu_hours: float | None = number(None, "GPUs times wall time of all calculations that use some", unit="h", above=0)
    wall_hours: float | None = number(None, "time from the submission of the run", unit="h", above=0)

    @property
    def limits(self) -> dict[str, float]:
        """The budgets that are set, by name."""
        return {name: getattr(self, name) for name in self.names() if getattr(self, name) is not None}


@dataclass(frozen=True)
class BudgetUse:
    """What has been used of one budget.

    name: of the budget.
    unit: of the numbers, in words.
    used: so far.
    allowed: None where the budget is not set.
    """

    name: str
    unit: str
    used: float
    allowed: float | None = None

    @property
    def left(self) -> float | None:
        """What is left, 0 where more was used than is allowed; None where the budget is not set."""
        return None if self.allowed is None else max(0.0, self.allowed - self.used)


def uses_of_budgets(budget: Mapping[str, float | None], costs: Costs) -> list[BudgetUse]:
    """Return what has been used of each budget, of those that are not set too."""
    return [BudgetUse(name, unit, getattr(costs, name), budget.get(name)) for name, unit in UNITS.items()]


def used_up(budget: Budget, costs: Costs, *names: str) -> str | None:
    """Return the first budget that is used up, of ``names`` or of all; None where none is."""
    for name in names or Budget.names():
        limit = getattr(budget, name)
        if limit is not None and getattr(costs, name) >= limit:
            return name
    return None


def labels_left(budget: Budget, costs: Costs) -> tuple[int, str] | None:
    """Return how many more labels the budgets hold, and which of them sets that limit; None where none does."""
    found = []
    if budget.labels is not None:
        found.append((max(0, budget.labels - costs.labels), "labels"))
    each = costs.core_hours_of_a_label
    if budget.dft_core_hours is not None and each:
        left = (budget.dft_core_hours - costs.dft_core_hours) / each
        # Sums of times are rounded; a label that fits but for that is not refused.
        found.append((max(0, math.floor(left + 1e-9)), "dft_core_hours"))
    return min(found, default=None)


def share_out(asked: Mapping[str, int], total: int, needed: Mapping[str, int]) -> dict[str, int] | None:
    """Return how many labels of each kind to compute where not all can be, in proportion to what was asked.

    Each kind gets at least what is needed of it, and never more than was asked. Parts are rounded by largest
    remainder; the first kind comes first where these are equal.

    :param asked: number of each kind.
    :param total: how many can be computed.
    :param needed: least number of a kind; 0 where it is not named.
    :return: number of each kind; None where the total does not hold what is needed.
    """
    least = {name: min(needed.get(name, 0), count) for name, count in asked.items()}
    if sum(least.values()) > total or sum(asked.values()) == 0:
        return None
    if sum(asked.values()) <= total:
        return dict(asked)
    parts = dict(least)
    # One by one to whoever lies farthest behind its share.
    for _ in range(total - sum(parts.values())):
        open_names = [name for name in asked if parts[name] < asked[name]]
        shares = {name: asked[name] * total / sum(asked.values()) - parts[name] for name in open_names}
        parts[max(open_names, key=lambda name: shares[name])] += 1
    return parts
