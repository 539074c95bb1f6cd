"""The pictures of the page of a run, as figures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.reports.pictures import force_errors_of, new_figure, threshold_of
from aiida_sicmlip.reports.run.costs import COSTING
from aiida_sicmlip.reports.run.material import RunMaterial
from aiida_sicmlip.tools.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 3
"""Panels beside each other."""
OF_FORCES = (
    "force MAE on the training set",
    "force MAE on the validation set",
    "force MAE on the fixed validation set",
)
"""Criteria whose threshold stands in the picture of the force errors."""


def figure_of_convergence(run: Run) -> Figure:
    """Return the force errors by round, and every further criterion by round, each with its threshold.

    :raises InputError: if no round is complete.
    """
    from aiida_sicmlip.plots.criteria import plot_criterion
    from aiida_sicmlip.plots.rounds import plot_force_errors

    assessed = {entry.index: entry.assessment for entry in run.rounds if entry.assessment is not None}
    if not assessed:
        raise InputError("no round is complete yet, so that no criterion has a value.")
    rounds = list(assessed)
    criteria: dict[str, dict[int, dict[str, Any]]] = {}
    for index, assessment in assessed.items():
        for verdict in assessment.get("criteria", ()):
            criteria.setdefault(verdict["criterion"], {})[index] = verdict
    further = {name: verdicts for name, verdicts in criteria.items() if name not in OF_FORCES}
    columns = min(ACROSS, max(2, 1 + len(further)))
    rows = -(-(1 + len(further)) // columns)
    figure = new_figure((9.6, 3.4 * rows)) if further else new_figure((6.4, 3.8))
    panels = figure.subplots(rows, columns if further else 1, squeeze=False).ravel()
    plot_force_errors(panels[0], rounds, force_errors_of(assessed), threshold_of(run))
    # Inside, it would hide the curves where they are short.
    panels[0].get_legend().remove()
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4 if further else 2, frameon=False, fontsize="small")
    for axes, (name, verdicts) in zip(panels[1:], further.items(), strict=False):
        first = next(iter(verdicts.values()))
        values = [verdicts[index]["value"] if index in verdicts else None for index in rounds]
        plot_criterion(
            axes,
            rounds,
            values,
            first["threshold"],
            name=name,
            unit=first["unit"],
            at_least=first.get("direction") == "at least",
        )
    for axes in panels[1 + len(further) :]:
        axes.set_visible(False)
    return figure


def figure_of_final_run(results: dict[str, Any]) -> Figure:
    """Return the force errors against time along the free runs of a final run."""
    from aiida_sicmlip.plots.final_run import plot_final_run

    figure = new_figure((6.4, 3.4))
    plot_final_run(figure.subplots(), results["runs"], results["threshold"], results["production"])
    return figure


def figure_of_costs(costs: dict[str, Any]) -> Figure:
    """Return wall time and core hours of each round, made up of their steps."""
    from aiida_sicmlip.plots.costs import plot_costs
    from aiida_sicmlip.plots.style import add_shared_legend

    entries = costs["by_step"]
    rounds = sorted({entry["round"] for entry in entries})
    # Steps without calculations take seconds.
    steps = [name for name in COSTING if any(entry["step"] == name and entry["calculations"] for entry in entries)]
    figure = new_figure((9.6, 1.6 + 0.32 * len(rounds)))
    panels = figure.subplots(1, 2)
    for axes, key, scale, quantity in (
        (panels[0], "wall_seconds", 1 / 3600, "wall time (h)"),
        (panels[1], "core_hours", 1.0, "core hours"),
    ):
        spent = {(entry["round"], entry["step"]): scale * entry[key] for entry in entries}
        values = {name.replace("_", " "): [spent.get((index, name), 0.0) for index in rounds] for name in steps}
        plot_costs(axes, rounds, values, quantity=quantity)
    add_shared_legend([panels[0]])
    return figure


def drawn(draw: Callable[[], Figure]) -> tuple[Figure | None, str]:
    """Return a figure, or None and the message that says why there is none."""
    try:
        return draw(), ""
    except InputError as error:
        return None, str(error)


def figures_of_run(material: RunMaterial, costs: dict[str, Any] | None) -> dict[str, tuple[Figure | None, str]]:
    """Return the pictures of a run by name, each with the reason where there is none."""
    from aiida_sicmlip.reports.evaluation_pictures import figure_of_parity
    from aiida_sicmlip.reports.exploration import figure_of_rounds
    from aiida_sicmlip.reports.lineage_picture import figure_of_lineage
    from aiida_sicmlip.reports.potential_pictures import figure_of_boxes, figure_of_energies
    from aiida_sicmlip.reports.selection import figure_of_selections

    run = material.run
    pictures: dict[str, Callable[[], Figure]] = {
        "convergence": lambda: figure_of_convergence(run),
        "boxes": lambda: figure_of_boxes(material.evaluations, threshold_of(run)),
        "energies": lambda: figure_of_energies(material.evaluations),
        "space": lambda: figure_of_rounds(material.node),
    }
    tested = [entry for entry in run.rounds if entry.final_run is not None and entry.final_run["force_mae"] is not None]
    if tested:
        pictures["final-run"] = lambda: figure_of_final_run(tested[-1].final_run or {})
    if material.selections:
        pictures["picks"] = lambda: figure_of_selections(material.selections)
    for name, evaluation in material.final_evaluations().items():
        pictures[f"parity-{name}"] = partial(figure_of_parity, evaluation)
    if costs is not None and costs["by_step"]:
        pictures["costs"] = lambda: figure_of_costs(costs)
    lineage = material.lineage
    if lineage is not None:
        pictures["lineage"] = lambda: figure_of_lineage(lineage)
    return {name: drawn(draw) for name, draw in pictures.items()}
