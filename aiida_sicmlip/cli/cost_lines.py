"""What a run would cost, in lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiida_sicmlip.workflows.active_learning.workload import Beginning

BASIS = (
    "The estimate rests on times of one core of an AMD EPYC, for cells of 14 to 62 atoms, scaled with the atoms, the "
    "cutoffs and the pairs of the network; for GPUs on what the divacancy paper says of an L40S. A run that converges "
    "or stops its trainings earlier costs less. Not in it: labels in the place of failed ones, waiting in queues, and "
    "AiiDA's own seconds for each job."
)


def cost_lines(settings: Mapping[str, Any], beginning: Beginning | None = None) -> list[str]:
    """Return counts and costs of a run, one line a kind, and which budget would end it first.

    :param settings: complete settings. :param beginning: what the run begins with.
    """
    from aiida_sicmlip.science.costs.budgets import UNITS, Budget
    from aiida_sicmlip.science.costs.runs import RoundCosts, costs_by_round, first_budget
    from aiida_sicmlip.workflows.active_learning.workload import workload_of_settings

    rounds = costs_by_round(workload_of_settings(settings, beginning))
    total = sum(rounds, RoundCosts())
    budget = Budget.from_mapping(settings["budget"])
    parts = [
        ("molecular dynamics", f"{total.steps:,} steps", total.dynamics),
        ("variables and descriptions", f"{total.frames:,} frames", total.selection),
        ("labels", f"{total.labels:,}", total.labelling),
        (
            "trainings",
            f"{total.trainings:,}, {total.optimiser_steps:,} optimiser steps on {total.training_frames:,} frames",
            total.training,
        ),
    ]
    lines = ["Cost at the most:"]
    for name, count, hours in parts:
        cost = hours.in_words("core") if hours.high else "on GPUs"
        lines.append(f"  {name}: {count}; {cost}")
    if total.gpu.high:
        lines.append(f"  molecular dynamics and trainings on GPUs: {total.gpu.in_words('GPU')}")
    lines.append(f"  time, with as many jobs at once as allowed: {total.wall.in_words('')}")
    if budget.limits:
        found = first_budget(budget, rounds)
        if found is None:
            lines.append("  none of the budgets would end the run, as far as estimated")
        else:
            name, number = found
            limit = f"{getattr(budget, name):g} {UNITS[name]}"
            lines.append(
                f"  the budget of {limit} would end the run first, in round {number} of 0 to {len(rounds) - 1}"
            )
    return [*lines, BASIS]


def short_cost(settings: Mapping[str, Any]) -> str:
    """Return the cost of a run in one line."""
    from aiida_sicmlip.science.costs.runs import total_costs
    from aiida_sicmlip.workflows.active_learning.workload import workload_of_settings

    total = total_costs(workload_of_settings(settings))
    others = total.dynamics + total.selection + total.training
    gpu = f", {total.gpu.in_words('GPU')}" if total.gpu.high else ""
    return (
        f"Cost at the most: {total.labels:,} DFT calculations of {total.labelling.in_words('core')}, "
        f"{others.in_words('core')} for all else{gpu}; {total.wall.in_words('')} in all."
    )
