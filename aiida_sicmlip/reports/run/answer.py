"""The result of a run: its state or how it ended, and what to do next."""

from __future__ import annotations

from typing import Any

from aiida_sicmlip.reports.run.tables import round_name, round_status, verdict
from aiida_sicmlip.science.costs.budgets import STATUSES, UNITS
from aiida_sicmlip.science.evaluation.assessment import message_of_verdict
from aiida_sicmlip.science.evaluation.fitness import fitness_sentence
from aiida_sicmlip.tools.runs import Round, Run

NOT_CONVERGED, NOTHING_NEW = 701, 410
"""Exit statuses of the loop with advice of their own."""


def answer_of_run(run: Run) -> dict[str, Any]:
    """Return the answer of a run as plain values.

    Keys: `verdict` (`converged`, `rounds_used_up`, `budget_used_up`, `nothing_new`, `failed`, `killed`, `excepted` or
    `running`), `title`, `text`, and `next`, what to do.
    """
    kind = _kind(run)
    return {"verdict": kind, "title": _title(kind, run), "text": _text(kind, run), "next": _next(kind, run)}


def last_assessed(run: Run) -> Round | None:
    """Return the last round that is complete."""
    return next((entry for entry in reversed(run.rounds) if entry.assessment is not None), None)


def _kind(run: Run) -> str:
    if not run.terminated:
        return "running"
    if run.state != "finished":
        return run.state
    kinds = {0: "converged", None: "converged", NOT_CONVERGED: "rounds_used_up", NOTHING_NEW: "nothing_new"}
    kinds |= dict.fromkeys(STATUSES, "budget_used_up")
    return kinds.get(run.exit_status, "failed")


def _title(kind: str, run: Run) -> str:
    """Return the verdict as a title."""
    if kind == "budget_used_up":
        return f"Ended on its budget of {UNITS[STATUSES[run.exit_status or 0]]}"
    return {
        "converged": "Converged",
        "rounds_used_up": "Not converged: all rounds are used up",
        "nothing_new": "Ended: exploration found nothing new",
        "failed": "Failed",
        "killed": "Killed",
        "excepted": "Stopped by an error",
        "running": "Running",
    }.get(kind, kind.capitalize())


def _text(kind: str, run: Run) -> str:
    """Return what is known of the potential, in one or two sentences."""
    entry = last_assessed(run)
    if kind == "running":
        begun = run.rounds[-1] if run.rounds else None
        where = f"{round_name(begun, run)}: {round_status(begun, run)}." if begun is not None else "No round has begun."
        where = where[0].upper() + where[1:]
        return where if entry is None or entry is begun else f"{where} {_errors(entry)}"
    if kind == "converged" and entry is not None:
        fitness = fitness_sentence(entry.assessment, entry.final_run)
        return f"The potential of round {entry.index} meets every criterion. {_errors(entry)} {fitness}"
    said = (run.exit_message or f"The run has ended: {verdict(run)}.").strip()
    said = said if said.endswith((".", "!", "?")) else f"{said}."
    if entry is None:
        return f"{said} No round is complete."
    fitness = fitness_sentence(entry.assessment, entry.final_run)
    if fitness not in said:
        said = f"{said} {fitness}"
    criteria = (entry.assessment or {}).get("criteria", ())
    unmet = [
        message_of_verdict(verdict_of_criterion) for verdict_of_criterion in criteria if not verdict_of_criterion["met"]
    ]
    lacking = f" Not met in round {entry.index}: {'; '.join(unmet)}." if unmet else ""
    return f"{said}{lacking or ' ' + _errors(entry)}"


def _errors(entry: Round) -> str:
    """Return the errors of a complete round."""
    assessment = entry.assessment or {}
    parts = [
        f"{assessment[name]['force_mae']:.3f} eV/A on the {name} set"
        for name in ("training", "validation")
        if assessment.get(name, {}).get("force_mae") is not None
    ]
    return f"Round {entry.index} has a force MAE of {' and '.join(parts)}."


def _next(kind: str, run: Run) -> str:
    """Return what to do."""
    go_on = f"`aiida-sicmlip run FILE --continue {run.pk}` continues from here"
    report = f"`verdi process report {run.pk}`"
    if kind == "running":
        return f"`aiida-sicmlip status {run.pk}` follows it; make this page again when it has ended."
    if kind == "converged":
        export = f"`aiida-sicmlip export {run.pk} FOLDER`"
        return f"{export} writes the potential with its history; evaluate it for your own application first."
    if kind == "rounds_used_up":
        return f"{go_on}, with `max_rounds` for the rounds to come in FILE."
    if kind == "budget_used_up":
        return f"{go_on}, with a larger `budget.{STATUSES[run.exit_status or 0]}` in FILE."
    if kind == "nothing_new":
        return f"{go_on}, with longer or hotter explorations in FILE (`exploration.parameters`)."
    if any(entry.labels_done for entry in run.rounds):
        return (
            f"See the failures below and {report}; once the cause is fixed, {go_on} with the labels that were computed."
        )
    return f"See the failures below and {report}; fix the cause and start it again."
