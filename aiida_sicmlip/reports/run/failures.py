"""Failures of a run, their causes and how they were handled, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiida_sicmlip.common.labels import parse_round_label
from aiida_sicmlip.reports.text import Cells
from aiida_sicmlip.tools.failures import Failure
from aiida_sicmlip.tools.runs import REPLACEMENTS, Run


def failure_values(failures: Sequence[Failure], run: Run) -> list[dict[str, Any]]:
    """Return failures as plain values.

    Keys: `round`, `step`, `label`, `process`, `pk`, `uuid`, `state`, `exit_status`, `message`, `done` (what was done
    about it), and `command`, which shows its report.
    """
    values = []
    for failure in failures:
        called = failure.called
        index, step = _round(failure.step)
        values.append(
            {
                "round": index,
                "step": step,
                "label": called.label,
                "process": called.process,
                "pk": called.pk,
                "uuid": called.uuid,
                "state": called.state,
                "exit_status": called.exit_status,
                "message": called.reason,
                "done": done_about(failure, run),
                "command": f"verdi process report {called.pk}",
            }
        )
    return values


def done_about(failure: Failure, run: Run) -> str:
    """Return what was done about a failure, in one or two sentences."""
    parts = []
    if failure.again is not None:
        parts.append(f"{failure.again.process} <{failure.again.pk}> ran instead.")
    index, step = _round(failure.step)
    chain = [failure.called, *failure.passed_to]
    is_label = step in ("labelling", REPLACEMENTS) and any(called.label.startswith("frame_") for called in chain)
    caught = failure.caught_by
    if is_label and step == "labelling" and (caught is None or caught.label == failure.step):
        parts += _replacements(index, run)
    if failure.ended_run:
        parts.append("The run failed because of it.")
    elif caught is not None and caught.has_failed:
        parts.append(f"{caught.process} <{caught.pk}> returned partial outputs: {caught.message}")
    elif caught is not None:
        parts.append(f"{caught.process} <{caught.pk}> continued.")
    elif run.terminated and run.exit_status not in (None, 0) and not parts:
        parts.append("The run continued as far as possible.")
    elif not parts:
        parts.append("The run continued without it.")
    return " ".join(parts)


def failure_cells(values: Sequence[dict[str, Any]]) -> Cells | None:
    """Return failures as a table; None where nothing has failed."""
    if not values:
        return None
    return Cells(
        ("round", "step", "what", "exit status", "message", "what was done"),
        [
            (
                "-" if entry["round"] is None else f"{entry['round']}",
                entry["step"],
                f"{entry['process']} <{entry['pk']}> ({entry['label']})",
                entry["state"] if entry["exit_status"] is None else f"{entry['exit_status']}",
                entry["message"],
                entry["done"],
            )
            for entry in values
        ],
    )


def _replacements(index: int | None, run: Run) -> list[str]:
    """Return how many failed labels of a round were replaced."""
    for entry in run.rounds:
        if entry.index == index and REPLACEMENTS in entry.steps:
            return [
                f"{entry.labels_replaced} of the round's {entry.labels_failed} failed labels were replaced by other "
                f"frames, in <{entry.steps[REPLACEMENTS].pk}>."
            ]
    return ["No other frame replaced this label."]


def _round(step: str) -> tuple[int | None, str]:
    """Return round and step of the label of a call."""
    try:
        return parse_round_label(step)
    except ValueError:
        return None, step
