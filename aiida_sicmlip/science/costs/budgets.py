"""Budgets of a run: limits of its cost, and what remains of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from aiida_sicmlip.common.costs import Costs
from aiida_sicmlip.science.settings import Settings, integer, number

UNITS = {"labels": "labels", "dft_core_hours": "core hours of DFT", "gpu_hours": "GPU hours", "wall_hours": "hours"}
"""Unit of each budget, for messages."""
STATUSES = {702: "labels", 703: "dft_core_hours", 704: "gpu_hours", 705: "wall_hours"}
"""Exit statuses of runs that an exhausted budget has stopped, and the budgets."""


@dataclass(frozen=True)
class Budget(Settings):
    """Limits of the cost of a run. Each is checked before the steps that spend it, so a single step may exceed it."""

    PREFIX = "budget."

    labels: int | None = integer(
        None,
        "total number of labels, including failed ones and those taken from the cache; null: no limit",
        at_least=1,
        limit=1e9,
    )
    dft_core_hours: float | None = number(
        None,
        "cores times wall time of the calculations of all labels; the cost of further labels is estimated by the mean "
        "of finished ones, so that the first labelling is not shortened; null: no limit",
        unit="h",
        above=0,
    )
    gpu_hours: float | None = number(
        None, "GPUs times wall time of all calculations that use GPUs; null: no limit", unit="h", above=0
    )
    wall_hours: float | None = number(None, "time since the submission of the run; null: no limit", unit="h", above=0)

    @property
    def limits(self) -> dict[str, float]:
        """Limits of the budgets that are set, by name."""
        return {name: getattr(self, name) for name in self.names() if getattr(self, name) is not None}


@dataclass(frozen=True)
class BudgetUse:
    """Use of one budget.

    name: of the budget.
    unit: of the numbers, for messages.
    used: amount used so far.
    allowed: limit; None if the budget is not set.
    """

    name: str
    unit: str
    used: float
    allowed: float | None = None

    @property
    def left(self) -> float | None:
        """Remaining amount, 0 if the budget is exceeded; None if it is not set."""
        return None if self.allowed is None else max(0.0, self.allowed - self.used)


def budget_uses(budget: Mapping[str, float | None], costs: Costs) -> list[BudgetUse]:
    """Return the use of each budget, including those that are not set."""
    return [BudgetUse(name, unit, getattr(costs, name), budget.get(name)) for name, unit in UNITS.items()]


def exhausted_budget(budget: Budget, costs: Costs, *names: str) -> str | None:
    """Return the first exhausted budget of ``names``, or of all budgets; None if there is none."""
    for name in names or Budget.names():
        limit = getattr(budget, name)
        if limit is not None and getattr(costs, name) >= limit:
            return name
    return None


def remaining_labels(budget: Budget, costs: Costs) -> tuple[int, str] | None:
    """Return the number of labels that the budgets still allow, and the budget that limits it; None without limit."""
    limits = []
    if budget.labels is not None:
        limits.append((max(0, budget.labels - costs.labels), "labels"))
    per_label = costs.core_hours_per_label
    if budget.dft_core_hours is not None and per_label:
        count = (budget.dft_core_hours - costs.dft_core_hours) / per_label
        # The tolerance is for rounding errors of sums of times.
        limits.append((max(0, math.floor(count + 1e-9)), "dft_core_hours"))
    return min(limits, default=None)


def distribute_labels(asked: Mapping[str, int], total: int, needed: Mapping[str, int]) -> dict[str, int] | None:
    """Distribute ``total`` labels over kinds, in proportion to the requested numbers.

    Each kind gets at least the number needed, and at most the requested number. Numbers are rounded by the largest
    remainder method, with ties in favour of the first kind.

    :param asked: requested number of each kind.
    :param total: number of labels that can be computed.
    :param needed: minimum number of each kind; 0 by default.
    :return: number of each kind; None if the total is less than the minimum numbers.
    """
    minimum = {name: min(needed.get(name, 0), count) for name, count in asked.items()}
    if sum(minimum.values()) > total or sum(asked.values()) == 0:
        return None
    if sum(asked.values()) <= total:
        return dict(asked)
    counts = dict(minimum)
    # The kind with the largest deficit gets the next label.
    for _ in range(total - sum(counts.values())):
        incomplete = [name for name in asked if counts[name] < asked[name]]
        deficits = {name: asked[name] * total / sum(asked.values()) - counts[name] for name in incomplete}
        counts[max(incomplete, key=lambda name: deficits[name])] += 1
    return counts
