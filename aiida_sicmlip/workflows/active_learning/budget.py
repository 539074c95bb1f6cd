"""How a run keeps to its budgets: each is looked at before a step that would spend it.

What may be begun depends on what the run has cost by then, and on nothing that its steps make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiida import orm

from aiida_sicmlip.common.costs import Costs
from aiida_sicmlip.science.costs.budgets import Budget, labels_left, share_out, used_up
from aiida_sicmlip.workflows.active_learning.rounds import labels_in_order

AFTER_LABELS = ("gpu_hours", "wall_hours")
"""What a training spends; labels that are done are not wasted for want of more labels."""

Picked = Mapping[str, Mapping[str, Any]]
"""For each role of :data:`~aiida_sicmlip.science.selection.picks.ROLES`, the structures to label by frame."""


@dataclass(frozen=True)
class Limit:
    """A budget that does not hold what comes next.

    name: of the budget.
    allowed: what it allows, in its unit.
    used: what is used of it.
    """

    name: str
    allowed: float
    used: float


@dataclass(frozen=True)
class Trimmed:
    """What the budgets leave of the picks of a round.

    picked: what is left, the first of each role.
    message: says what was left out; None where nothing was.
    limit: does not hold the labelling at all and ends the run; None where all hold it.
    """

    picked: Picked
    message: str | None = None
    limit: Limit | None = None


def limit_before_exploration(needed: Mapping[str, int], budget: Budget, costs: Costs) -> Limit | None:
    """Return the budget that does not hold another round; None where all do.

    :param needed: labels of each role that the round needs at least.
    """
    name = used_up(budget, costs)
    left = labels_left(budget, costs)
    if name is None and left is not None and left[0] < sum(needed.values()):
        name = left[1]
    return _limit(name, budget, costs)


def trim_to_budget(
    picked: Picked, needed: Mapping[str, int], budget: Budget, costs: Costs, picks: orm.ArrayData
) -> Trimmed:
    """Return the picks of a round without the last of them, as many as the budgets do not hold.

    :param needed: labels of each role that the round needs at least; with fewer, the run ends.
    :param picks: of the round, in the order in which they were picked.
    """
    name = used_up(budget, costs, *AFTER_LABELS)
    left = labels_left(budget, costs)
    if name is not None or left is None:
        return Trimmed(picked, limit=_limit(name, budget, costs))
    asked = {role: len(structures) for role, structures in picked.items()}
    count, name = left
    parts = share_out(asked, count, needed)
    if parts is None:
        return Trimmed(picked, limit=_limit(name, budget, costs))
    if parts == asked:
        return Trimmed(picked)
    in_order = labels_in_order(picks)
    kept = {role: {label: picked[role][label] for label in in_order[role][: parts[role]]} for role in parts}
    message = (
        f"`budget.{name}` holds {count} more labels; labelling {sum(parts.values())} of {sum(asked.values())} picks, "
        "the first of each set"
    )
    return Trimmed(kept, message)


def limit_before_training(budget: Budget, costs: Costs) -> Limit | None:
    """Return the budget that does not hold a training; None where all do."""
    return _limit(used_up(budget, costs, *AFTER_LABELS), budget, costs)


def words_of_limit(limit: Limit, has_potential: bool) -> dict[str, Any]:
    """Return what the exit message says of the budget that ends a run.

    :param has_potential: whether a potential has been trained by then.
    """
    advice = "No potential was trained yet: allow more."
    if has_potential:
        advice = "The last potential is usable within its errors; a larger budget allows to go on."
    return {"allowed": limit.allowed, "used": limit.used, "what": advice}


def _limit(name: str | None, budget: Budget, costs: Costs) -> Limit | None:
    """Return the limit that the budget ``name`` sets."""
    return None if name is None else Limit(name, getattr(budget, name), getattr(costs, name))
