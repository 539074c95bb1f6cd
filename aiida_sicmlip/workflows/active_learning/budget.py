"""Budget checks of the loop, each before a step that would spend the budget.

They depend only on the costs of the run so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiida import orm

from aiida_sicmlip.common.costs import Costs
from aiida_sicmlip.science.costs.budgets import Budget, distribute_labels, exhausted_budget, remaining_labels
from aiida_sicmlip.workflows.active_learning.rounds import labels_in_order

AFTER_LABELS = ("gpu_hours", "wall_hours")
"""Budgets that a training spends; a used-up budget of labels does not prevent training on finished labels."""

Picked = Mapping[str, Mapping[str, Any]]
"""For each role of :data:`~aiida_sicmlip.science.selection.picks.ROLES`, the structures to label by frame."""


@dataclass(frozen=True)
class Limit:
    """A budget that does not suffice for the next step.

    name: name of the budget.
    allowed: limit, in the unit of the budget.
    used: amount that is used up.
    """

    name: str
    allowed: float
    used: float


@dataclass(frozen=True)
class Trimmed:
    """The picks of a round that can be labelled within the budgets.

    picked: remaining picks, the first of each role.
    message: report message if picks were dropped; None otherwise.
    limit: budget that does not suffice for the smallest labelling, so that the run finishes; None otherwise.
    """

    picked: Picked
    message: str | None = None
    limit: Limit | None = None


def limit_before_exploration(needed: Mapping[str, int], budget: Budget, costs: Costs) -> Limit | None:
    """Return the budget that does not suffice for another round; None if all do.

    :param needed: minimum number of labels of each role in the round.
    """
    name = exhausted_budget(budget, costs)
    left = remaining_labels(budget, costs)
    if name is None and left is not None and left[0] < sum(needed.values()):
        name = left[1]
    return _limit(name, budget, costs)


def trim_to_budget(
    picked: Picked, needed: Mapping[str, int], budget: Budget, costs: Costs, picks: orm.ArrayData
) -> Trimmed:
    """Return the picks of a round without the last ones, for which the budgets do not suffice.

    :param needed: minimum number of labels of each role in the round; with fewer, the run finishes.
    :param picks: picks of the round, in the order in which they were picked.
    """
    name = exhausted_budget(budget, costs, *AFTER_LABELS)
    left = remaining_labels(budget, costs)
    if name is not None or left is None:
        return Trimmed(picked, limit=_limit(name, budget, costs))
    asked = {role: len(structures) for role, structures in picked.items()}
    count, name = left
    parts = distribute_labels(asked, count, needed)
    if parts is None:
        return Trimmed(picked, limit=_limit(name, budget, costs))
    if parts == asked:
        return Trimmed(picked)
    in_order = labels_in_order(picks)
    kept = {role: {label: picked[role][label] for label in in_order[role][: parts[role]]} for role in parts}
    message = (
        f"`budget.{name}` allows {count} more labels; labelling {sum(parts.values())} of {sum(asked.values())} picks, "
        "the first of each set"
    )
    return Trimmed(kept, message)


def limit_before_training(budget: Budget, costs: Costs) -> Limit | None:
    """Return the budget that does not suffice for a training; None if all do."""
    return _limit(exhausted_budget(budget, costs, *AFTER_LABELS), budget, costs)


def hours_left(budget: Budget, costs: Costs) -> float | None:
    """Return how many hours trainings may take: what is left of wall time, or of GPU hours; None without a limit."""
    left = [getattr(budget, name) - getattr(costs, name) for name in AFTER_LABELS if getattr(budget, name) is not None]
    return max(0.0, min(left)) if left else None


def message_values(limit: Limit, fitness: str | None) -> dict[str, Any]:
    """Return the values for the exit message on a budget that is used up.

    :param fitness: what the last potential can be used for, as a sentence; None if the run has trained none.
    """
    advice = "No potential has been trained yet; increase the budget."
    if fitness is not None:
        advice = f"{fitness} Increase the budget to continue."
    return {"allowed": limit.allowed, "used": limit.used, "advice": advice}


def _limit(name: str | None, budget: Budget, costs: Costs) -> Limit | None:
    """Return the limit that the budget ``name`` sets."""
    return None if name is None else Limit(name, getattr(budget, name), getattr(costs, name))
