"""Summary of the steps and the estimated costs of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiida_sicmlip.science.costs.budgets import UNITS, Budget
from aiida_sicmlip.science.costs.runs import RoundCosts, costs_by_round, first_exhausted_budget, total_costs
from aiida_sicmlip.science.dynamics.ramp import RampSettings
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.workflows.active_learning.workload import InitialState, workload_of_settings
from aiida_sicmlip.workflows.protocols.exploration import (
    conditions_of_structures,
    final_run_parameters,
    unbiased_parameters,
)

BASIS = (
    "The estimate is based on timings on one core of an AMD EPYC for cells of 14 to 62 atoms, scaled with the number "
    "of atoms, the cutoffs and the size of the network; for GPUs on the timings of an L40S in the divacancy paper. A "
    "run that converges earlier or stops its trainings earlier costs less. Not included: replacements of failed "
    "labels, queue times, and the overhead of AiiDA for each job."
)


def plan(settings: Mapping[str, Any], initial: InitialState | None = None) -> list[str]:
    """Return a summary of the steps of a run, one line for each.

    :param settings: complete, as returned by :func:`~aiida_sicmlip.workflows.active_learning.launch.read_settings`.
    :param initial: initial state of the run; only the bootstrap potential by default.
    """
    conditions = conditions_of_structures(settings["exploration"], settings["structures"])
    explored = [
        ExplorationSettings.from_mapping(condition)
        for of_structure in conditions.values()
        for condition in of_structure
    ]
    selection = SelectionSettings.from_mapping(settings["selection"]["parameters"])
    rounds, starts = settings["max_rounds"], len(settings["structures"])
    each = settings["exploration"]["walkers"]
    lengths = _numbers(run.equilibration + run.production for run in explored)
    temperatures = _numbers(run.temperature for run in explored)
    force_mae = settings["convergence"]["force_mae"]
    bias = settings["exploration"]["bias"]
    drive = "unbiased"
    silent = ("force_mae", "minimum_migrating_atoms")
    others = [name for name, value in settings["convergence"].items() if name not in silent and value is not None]
    further = f", and {', '.join(f'`{name}`' for name in others)} of `convergence` met" if others else ""
    taken_over = initial is not None and "fixed_validation_set" in initial.sizes
    n_fixed = 0 if taken_over else selection.n_fixed_validation
    fixed = f", {n_fixed} for fixed validation in the first" if n_fixed else ""
    further_machines = ", ".join(settings["further_compilations"])
    largest = settings["labelling"]["max_force"]
    bound = f"; those with a force above {largest:g} eV/A are rejected and replaced" if largest is not None else ""
    machines = f", each compiled for this machine's codes and for {further_machines}" if further_machines else ""
    members = settings["training"]["committee_size"]
    if bias is not None:
        drive = f"biased by OPES-Explore for barriers of {bias['barrier']:g} eV"
    lines = [
        f"Start structures: {', '.join(settings['structures'])}",
        f"Rounds: at most {rounds}, until the force MAE on the training and all validation sets is below "
        f"{force_mae:g} eV/A{further}",
        f"Exploration, each round: {each * len(explored)} walkers of {lengths} ps at {temperatures} K, {drive}, "
        f"{each * sum(run.n_frames for run in explored)} frames",
        f"{label_kind(settings['labelling']['reference'])}: {selection.n_training} for training and "
        f"{selection.n_validation} for validation per round{fixed}, "
        f"{rounds * selection.n_picks + n_fixed} in total, "
        f"at most {settings['labelling']['max_concurrent']} at a time{bound}",
        f"Trainings: {f'{members} (a committee)' if members > 1 else 'one'} per round, {rounds * members} in total"
        f"{machines}",
        f"Brake: {brake_of_walkers(members)}",
    ]
    final = settings["final_run"]
    if final is not None:
        count = final["walkers"] * starts
        free = [ExplorationSettings.from_mapping(run) for run in final_run_parameters(settings).values()]
        lines.append(
            f"Final run, when these are met: {count} free run{'s' if count > 1 else ''} of "
            f"{_numbers(run.equilibration + run.production for run in free)} ps at "
            f"{_numbers(run.temperature for run in free)} K with {final['n_labels']} labels along each, whose force "
            f"MAE has to stay below {final['force_mae']:g} eV/A; otherwise the labels are trained on in another round"
        )
    if settings["exploration"]["ramp"] is not None:
        ramp = RampSettings.from_mapping(settings["exploration"]["ramp"])
        percent = ", ".join(f"{100 * ramp.share(number):.0f} %" for number in range(ramp.rounds - 1))
        lines.insert(
            3,
            f"Ramp: {percent} of the temperature and the barrier in the first rounds, all of both from round "
            f"{ramp.rounds - 1} on",
        )
    limits = Budget.from_mapping(settings["budget"]).limits
    if limits:
        lines.append(f"Budget: at most {', '.join(f'{value:g} {UNITS[name]}' for name, value in limits.items())}")
    if bias is not None:
        unbiased = ExplorationSettings.from_mapping(unbiased_parameters(settings["exploration"]))
        unbiased_runs = settings["exploration"]["unbiased"]["walkers"] * starts
        length = f"{unbiased.equilibration + unbiased.production:g} ps"
        first = f"{unbiased_runs} unbiased runs of {length}, later from the previous round"
        if initial is not None and initial.has_frames:
            first = "the continued run, later from the previous round"
        lines.insert(2, f"Collective variables: learned each round, first from {first}")
    return lines


def brake_of_walkers(members: int) -> str:
    """Return what stops walkers before their potential is lost, for a committee of so many members."""
    if members > 1:
        return (
            f"temperature and distances stop walkers, and, from the first committee on, the disagreement of its "
            f"{members} members; frames beyond it are not picked"
        )
    return (
        "temperature and distances alone stop walkers, since one potential has nothing to disagree with; "
        "`training.committee_size: 2` adds the disagreement of a second one"
    )


def _numbers(values: Iterable[float]) -> str:
    """Return distinct numbers in ascending order, such as ``1000, 1500``."""
    return ", ".join(f"{value:g}" for value in sorted(set(values)))


def label_kind(reference: Mapping[str, Any] | None) -> str:
    """Return what labels a configuration: DFT, or the name of the reference potential."""
    if reference is None:
        return "DFT calculations"
    node = reference.get("node")
    name = f"potential <{node}>" if node is not None else f"{reference['pair_style']} ({reference['file']})"
    return f"Labels by {name} instead of DFT"


def cost_lines(settings: Mapping[str, Any], initial: InitialState | None = None) -> list[str]:
    """Return counts and costs of a run, one line for each step, and the budget that would be used up first.

    :param settings: as in :func:`plan`.
    :param initial: as in :func:`plan`.
    """
    rounds = costs_by_round(workload_of_settings(settings, initial))
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
    lines = ["Maximum cost:"]
    for name, count, hours in parts:
        cost = hours.formatted("core") if hours.high else "on GPUs"
        lines.append(f"  {name}: {count}; {cost}")
    if total.gpu.high:
        lines.append(f"  molecular dynamics and trainings on GPUs: {total.gpu.formatted('GPU')}")
    lines.append(f"  time, with the maximum number of concurrent jobs: {total.wall.formatted('')}")
    if budget.limits:
        first = first_exhausted_budget(budget, rounds)
        if first is None:
            lines.append("  according to this estimate, the budgets suffice for the run")
        else:
            name, number = first
            limit = f"{getattr(budget, name):g} {UNITS[name]}"
            lines.append(f"  the budget of {limit} would be used up first, in round {number} of 0 to {len(rounds) - 1}")
    return [*lines, BASIS]


def short_cost(settings: Mapping[str, Any]) -> str:
    """Return the cost of a run in one line."""
    total = total_costs(workload_of_settings(settings))
    others = total.dynamics + total.selection + total.training
    gpu = f", {total.gpu.formatted('GPU')}" if total.gpu.high else ""
    return (
        f"Maximum cost: {total.labels:,} DFT calculations of {total.labelling.formatted('core')}, "
        f"{others.formatted('core')} for all other steps{gpu}; {total.wall.formatted('')} in total."
    )
