"""How the loop keeps to its budgets: each is looked at before a step that would spend it.

What these steps decide depends on what the run has cost by then, and on nothing that they make.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida import orm
from aiida.engine import ExitCode

from aiida_sicmlip.common.costs import Costs
from aiida_sicmlip.common.labels import frame_label
from aiida_sicmlip.science.costs.budgets import Budget, labels_left, share_out, used_up
from aiida_sicmlip.science.selection.picks import ROLES
from aiida_sicmlip.tools.costs import costs_of_run
from aiida_sicmlip.workflows.active_learning.ports import code_of_budget

if TYPE_CHECKING:
    from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain

AFTER_LABELS = ("gpu_hours", "wall_hours")
"""What a training spends; labels that are done are not wasted for want of more labels."""


def budget_before_exploration(chain: ActiveLearningWorkChain) -> ExitCode | None:
    """Return the exit code of a budget that does not hold another round, if one is used up."""
    budget, costs = budget_and_costs(chain)
    name = used_up(budget, costs)
    left = labels_left(budget, costs)
    if name is None and left is not None and left[0] < sum(_needed(chain).values()):
        name = left[1]
    return _end(chain, name, "exploration", budget, costs)


def budget_before_labelling(chain: ActiveLearningWorkChain) -> ExitCode | None:
    """Leave the last of the picks out where the budgets do not hold all labels; end the run where they hold too few."""
    budget, costs = budget_and_costs(chain)
    name = used_up(budget, costs, *AFTER_LABELS)
    left = labels_left(budget, costs)
    if name is not None or left is None:
        return _end(chain, name, "labelling", budget, costs)
    asked = {role: len(picked) for role, picked in chain.ctx.picked.items()}
    count, limit = left
    parts = share_out(asked, count, _needed(chain))
    if parts is None:
        return _end(chain, limit, "labelling", budget, costs)
    if parts != asked:
        in_order = labels_in_order(chain.ctx.picks[f"round_{chain.ctx.round:02d}"])
        chain.ctx.picked = {
            role: {label: chain.ctx.picked[role][label] for label in in_order[role][: parts[role]]} for role in parts
        }
        chain.report(
            f"round {chain.ctx.round}: `budget.{limit}` holds {count} more labels; labelling {sum(parts.values())} of "
            f"{sum(asked.values())} picks, the first of each set"
        )
    return None


def budget_before_training(chain: ActiveLearningWorkChain) -> ExitCode | None:
    """Return the exit code of a budget that does not hold the training, if one is used up."""
    budget, costs = budget_and_costs(chain)
    return _end(chain, used_up(budget, costs, *AFTER_LABELS), "training", budget, costs)


def labels_in_order(picks: orm.ArrayData) -> dict[str, list[str]]:
    """Return the link labels of picked frames for each role, in the order in which they were picked."""
    places = zip(*(picks.get_array(name) for name in ("role", "segment", "frame")), strict=True)
    found: dict[str, list[str]] = {role: [] for role in ROLES}
    for role, segment, frame in places:
        found[ROLES[int(role)]].append(frame_label(int(segment), int(frame)))
    return found


def budget_and_costs(chain: ActiveLearningWorkChain) -> tuple[Budget, Costs]:
    """Return what a run may cost and what it has cost; nothing is looked up where it may cost anything."""
    budget = Budget.from_mapping(chain.inputs.budget.get_dict())
    return budget, costs_of_run(chain.node) if budget.limits else Costs()


def _needed(chain: ActiveLearningWorkChain) -> dict[str, int]:
    """Return how many new labels of each set a round needs at least."""
    return {"training": 1, "validation": int(chain.ctx.datasets["validation"] is None)}


def _end(chain: ActiveLearningWorkChain, name: str | None, step: str, budget: Budget, costs: Costs) -> ExitCode | None:
    """Hand out what the last complete round made and return the exit code of a budget, where one is named."""
    if name is None:
        return None
    chain.hand_out()
    trained = "potential" in chain.ctx.finished
    code = getattr(chain.exit_codes, code_of_budget(name))
    return code.format(
        allowed=getattr(budget, name),
        used=getattr(costs, name),
        step=step,
        round=chain.ctx.round,
        what="The last potential is usable within its errors; a larger budget allows to go on."
        if trained
        else "No potential was trained yet: allow more.",
    )
