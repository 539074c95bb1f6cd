"""What a run has cost, by budget and by step."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiida_sicmlip.common.labels import round_label
from aiida_sicmlip.reports.text import Cells, duration
from aiida_sicmlip.science.costs.budgets import budget_uses
from aiida_sicmlip.tools.costs import StepCosts, costs_by_step
from aiida_sicmlip.tools.runs import REPLACEMENTS, STEPS, Run

EVALUATION = "evaluation_of_exploring_potential"
COSTING = (*STEPS[:4], REPLACEMENTS, EVALUATION, *STEPS[4:])
"""Steps that calculations belong to, in their order."""


def cost_values(run: Run) -> dict[str, Any] | None:
    """Return what a run has cost as plain values; None where that was not looked up.

    Keys: `budgets` (`name`, `unit`, `used`, `allowed`, `left`), `core_hours_per_label`, and `by_step` (`round`,
    `step`, `wall_seconds`, `calculations`, `core_hours`, `gpu_hours`), of steps that have begun. Calculations that have
    not ended, or were taken from the cache, cost nothing.
    """
    if run.costs is None:
        return None
    spent = costs_by_step(run.jobs)
    steps = [
        {
            "round": entry.index,
            "step": name,
            "wall_seconds": entry.steps[name].seconds,
            **asdict(spent.get(round_label(entry.index, name), StepCosts())),
        }
        for entry in run.rounds
        for name in COSTING
        if name in entry.steps
    ]
    budgets = [{**asdict(use), "left": use.left} for use in budget_uses(run.budget, run.costs)]
    return {"budgets": budgets, "core_hours_per_label": run.costs.core_hours_per_label, "by_step": steps}


def budget_cells(costs: dict[str, Any]) -> Cells:
    """Return what is used and left of each budget."""
    return Cells(
        ("budget", "used", "allowed", "left"),
        [
            (
                f"{entry['unit']}",
                f"{entry['used']:.4g}",
                "no limit" if entry["allowed"] is None else f"{entry['allowed']:g}",
                "-" if entry["left"] is None else f"{entry['left']:.4g}",
            )
            for entry in costs["budgets"]
        ],
    )


def step_cells(costs: dict[str, Any]) -> Cells:
    """Return what each step has used in all rounds together, and the share of all core hours."""
    rows = []
    everything = sum(entry["core_hours"] for entry in costs["by_step"])
    for name in COSTING:
        entries = [entry for entry in costs["by_step"] if entry["step"] == name]
        if not entries:
            continue
        core_hours = sum(entry["core_hours"] for entry in entries)
        rows.append(
            (
                name.replace("_", " "),
                f"{len(entries)}",
                duration(sum(entry["wall_seconds"] for entry in entries)),
                f"{sum(entry['calculations'] for entry in entries)}",
                f"{core_hours:.4g}",
                f"{100 * core_hours / everything:.0f} %" if everything else "-",
                f"{sum(entry['gpu_hours'] for entry in entries):.4g}",
            )
        )
    heads = ("step", "rounds", "wall time", "calculations", "core hours", "share of\ncore hours", "GPU hours")
    return Cells(heads, rows)
