"""Runs as text: a table by round, and where a run stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiida_sicmlip.reports.composition import composition_lines
from aiida_sicmlip.reports.run.criteria import (
    SETS,
    criteria_cells,
    criteria_table,
    final_run_cells,
    notes_on_novelty,
    novelty_table,
    spread_table,
    verdict_lines,
)
from aiida_sicmlip.reports.text import Cells, duration, or_dash, text_of
from aiida_sicmlip.science.costs.budgets import budget_uses
from aiida_sicmlip.tools.lineage import PathStep
from aiida_sicmlip.tools.origins import PickShare
from aiida_sicmlip.tools.runs import STEPS, Round, Run, step_seconds

TITLES = {"fixed_validation": "fixed", "exploring": "exploring, new"}
"""Titles of columns of errors that are not the names of their sets."""
SCORED = ("validation", "fixed_validation", "exploring")
"""What the table shows scores on migrating atoms of."""


def _error(entry: Round, which: str, key: str, scale: float = 1.0) -> str:
    """Return an error of the assessment, or a dash where there is none."""
    value = (entry.assessment or {}).get(which, {}).get(key)
    return "-" if value is None else f"{value * scale:.3f}" if scale == 1.0 else f"{value * scale:.1f}"


def errors_cells(run: Run) -> Cells:
    """Return sizes of data sets, labels and errors by round, and scores on migrating atoms where there are any.

    Columns of the fixed validation set are left out of runs without one.
    """
    sets = _sets(run)
    scored = [which for which in SCORED if which in sets] if _has_scores(run) else []
    titled = [
        *_titles("force MAE (eV/A)", sets),
        *_titles("energy MAE (meV/atom)", sets),
        *_titles("P (migrating atoms)", scored),
    ]
    return Cells(
        ("round", "configurations\ntrain. / valid.", "labels\ndone / failed", *titled),
        [
            (
                f"{entry.index}",
                f"{or_dash(entry.training_configurations)} / {or_dash(entry.validation_configurations)}",
                f"{entry.labels_done} / {entry.labels_failed}",
                *(_error(entry, which, "force_mae") for which in sets),
                *(
                    _error(entry, which, "energy_mae", 1000.0)
                    + ("*" if which == "exploring" and _is_shifted(entry) else "")
                    for which in sets
                ),
                *(_score(entry, which) for which in scored),
            )
            for entry in run.rounds
        ],
    )


def _sets(run: Run) -> list[str]:
    """Return what errors of the run are of, in the order of the columns."""
    has_fixed = any("fixed_validation" in (entry.assessment or {}) for entry in run.rounds)
    return [which for which in SETS if has_fixed or which != "fixed_validation"]


def _titles(quantity: str, sets: Sequence[str]) -> list[str]:
    """Return the titles of the columns of a quantity; the first one names it."""
    return [f"{'' if place else quantity}\n{TITLES.get(which, which)}" for place, which in enumerate(sets)]


def times_cells(run: Run) -> Cells:
    """Return the wall time of each step by round."""
    return Cells(
        ("wall time", *STEPS, "round"),
        [
            (
                f"round {entry.index}",
                *(duration(seconds[name]) if name in seconds else "-" for name in STEPS),
                duration(entry.seconds),
            )
            for entry in run.rounds
            for seconds in [step_seconds(entry)]
        ],
    )


def notes_on_errors(run: Run) -> list[str]:
    """Return what :func:`errors_cells` does not say."""
    notes = ["exploring, new: the potential that explored this round, on labels that it has not seen."]
    if "fixed_validation" in _sets(run):
        notes.append("fixed: validation set that is the same in all rounds; no training chooses its weights by it.")
    if run.reference is not None:
        notes.append(f"labels: by {run.reference}, a reference potential instead of DFT.")
    if _has_scores(run):
        notes.append("P: score of the forces on atoms between two sites, 1 is perfect; in brackets how many these are.")
    if any(map(_is_shifted, run.rounds)):
        notes.append("*: a classical potential has its own zero of energy; compared after the best shift.")
    return notes


def results_table(run: Run) -> str:
    """Return errors and times by round, and scores on migrating atoms where there are any."""
    about_data = novelty_table(run)
    notes = [*notes_on_errors(run), *(notes_on_novelty(run) if about_data is not None else ())]
    costs = "\n".join(cost_lines(run)) or None
    failures = "\n".join(failure_lines(run)) or None
    free_runs = text_of(final_run_cells(run))
    tables = [criteria_table(run), spread_table(run), free_runs, about_data, times_cells(run).text]
    parts = [errors_cells(run).text, failures, *tables, costs, "\n".join(notes)]
    return "\n\n".join(part for part in parts if part is not None)


def _has_scores(run: Run) -> bool:
    """Whether errors on migrating atoms were evaluated in any round."""
    return any(_score(entry, which) != "-" for entry in run.rounds for which in SCORED)


def _is_shifted(entry: Round) -> bool:
    """Whether energies of the exploring potential were compared after a shift."""
    return bool((entry.assessment or {}).get("exploring", {}).get("energy_offset_fitted"))


def _score(entry: Round, which: str) -> str:
    """Return the score of an assessment on migrating atoms and how many these are, or a dash where there is none."""
    score = (entry.assessment or {}).get(which, {}).get("migrating", {"score": None})
    return "-" if score["score"] is None else f"{score['score']:.2f} ({score['n_atoms']})"


def status_lines(run: Run) -> list[str]:
    """Return where the run stands, one line a fact."""
    lines = [f"ActiveLearningWorkChain <{run.pk}>: {verdict(run)}, {duration(run.seconds)}"]
    if run.reference is not None:
        lines.append(f"  labelled by {run.reference}, a reference potential instead of DFT")
    assessed = [entry.index for entry in run.rounds if entry.assessment is not None]
    for entry in run.rounds:
        lines.append(f"  {round_name(entry, run)}: {round_status(entry, run)}")
        if entry.assessment is not None and entry.index == assessed[-1]:
            lines += [f"    {line}" for line in verdict_lines(entry.assessment)]
            if entry.final_run is not None:
                passed = "passed" if entry.final_run["met"] else "not passed"
                lines.append(f"    final run {passed}: {entry.final_run['message']}")
    for process in run.paused:
        lines.append(f"  paused: {process.name} <{process.pk}>: {process.reason}")
        lines.append(f"    When the cause is fixed, `verdi process play {process.pk}` resumes it.")
    lines += [f"  {line}" for line in cost_lines(run)]
    if run.failed:
        lines.append(
            f"  Completed steps are kept. `verdi process report {run.pk}` gives details; when the cause is fixed, "
            f"`aiida-sicmlip run SETTINGS --continue {run.pk}` continues it."
        )
    left = run.expected_seconds_left
    if left is not None:
        lines.append(f"  expected: at most {duration(left)} more")
    elif not run.terminated:
        lines.append("  expected: known after the first round")
    return lines


def detail_lines(run: Run, shares: Mapping[int, Sequence[PickShare]], parent: int | None) -> list[str]:
    """Return what :func:`status_lines` leaves out: criteria, labels and origins of the picks of every round.

    :param shares: by round, what each origin has in its picks.
    :param parent: PK of the run that it continues.
    """
    parts = [[f"continues run <{parent}>"]] if parent is not None else []
    cells = criteria_cells(run)
    if cells is not None:
        parts.append(cells.text.splitlines())
    parts.append([line for entry in run.rounds if entry.labels_asked for line in label_lines(entry)])
    parts.append(composition_lines(shares))
    lines: list[str] = []
    for part in parts:
        lines += ["", *(f"  {line}" for line in part)] if part else []
    return lines


def failure_lines(run: Run) -> list[str]:
    """Return the labels that failed with their reasons, and how many were replaced, round by round."""
    return [line for entry in run.rounds if entry.failures for line in label_lines(entry)]


def label_lines(entry: Round) -> list[str]:
    """Return how many labels of a round were asked, are done, have failed and were replaced, and why they failed."""
    line = f"round {entry.index}: {entry.labels_asked} labels asked, {entry.labels_done} done"
    if entry.labels_failed:
        line += f", {entry.labels_failed} failed, {entry.labels_replaced} of them replaced"
    return [line, *(f"  {failed.frame} <{failed.pk}>: {failed.reason}" for failed in entry.failures)]


def cost_lines(run: Run) -> list[str]:
    """Return what the run has cost and may cost, one line a budget; nothing where its costs were not looked up."""
    if run.costs is None:
        return []
    lines = []
    for use in budget_uses(run.budget, run.costs):
        limit = f" of {use.allowed:g} (`budget.{use.name}`)" if use.allowed is not None else ""
        left = f", {use.left:.4g} left" if use.left is not None else ""
        lines.append(f"used: {use.used:.4g}{limit} {use.unit}{left}")
    return lines


def verdict(run: Run) -> str:
    """Return how the run ended, or that it is running."""
    if not run.terminated:
        return "running"
    if run.state != "finished":
        return run.exit_message or run.state
    if run.exit_status == 0:
        return "finished, converged"
    return f"finished with status {run.exit_status}: {run.exit_message}"


def round_name(entry: Round, run: Run) -> str:
    """Return the number of a round, and which it is of this run: numbers go on from a run that this one continues."""
    first = run.rounds[0].index if run.rounds else 0
    return f"round {entry.index} ({entry.index - first + 1} of at most {run.max_rounds})"


def round_status(entry: Round, run: Run) -> str:
    """Return the step of a round with its counts, or its errors once it is complete."""
    name = entry.current
    if entry.assessment is not None and name is None:
        return f"{_force_errors(entry)}, {duration(entry.seconds)}"
    if name is None:
        return "stopped" if run.terminated else "between two steps"
    text = f"{name.replace('_', ' ')}, {duration(entry.steps[name].seconds)}"
    if name == "labelling":
        text = f"{name}, {entry.labels_done} of {entry.labels_asked} labels"
        text += f", {entry.labels_failed} failed" if entry.labels_failed else ""
        text += f", {duration(entry.steps[name].seconds)}"
        done = entry.labels_done + entry.labels_failed
        if done:
            left = entry.steps[name].seconds / done * (entry.labels_asked - done)
            text += f", about {duration(left)} more"
    return text


def _force_errors(entry: Round) -> str:
    """Return the force errors of the potential of a round on its sets."""
    fixed = f", {_error(entry, 'fixed_validation', 'force_mae')} on the fixed set"
    return (
        f"force MAE {_error(entry, 'training', 'force_mae')} eV/A on training, "
        f"{_error(entry, 'validation', 'force_mae')} eV/A on validation"
        f"{fixed if 'fixed_validation' in (entry.assessment or {}) else ''}"
    )


def progress_events(run: Run) -> list[str]:
    """Return what has happened so far as messages without times, so that a repeated look shows which are new."""
    events = []
    for entry in run.rounds:
        name = round_name(entry, run)
        for step in STEPS:
            if step not in entry.steps:
                continue
            events.append(f"{name}: {step}")
            if step == "labelling":
                done = range(1, entry.labels_done + entry.labels_failed + 1)
                events += [f"{name}: label {count} of {entry.labels_asked}" for count in done]
            if entry.steps[step].terminated and not entry.steps[step].finished_ok:
                events.append(f"{name}: {step} failed")
        if entry.assessment is not None:
            events.append(f"{name}: {_force_errors(entry)}")
    return events


def lineage_lines(path: Sequence[PathStep]) -> list[str]:
    """Return the way from a potential to its origin, one step a line."""
    width = max(len(step.what) for step in path)
    digits = max(len(str(step.pk)) for step in path)
    return [
        f"{step.what.rjust(width)}  <{step.pk}>{' ' * (digits - len(str(step.pk)))}  {step.detail}" for step in path
    ]
