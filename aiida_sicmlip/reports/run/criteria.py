"""Criteria of convergence, spread of the errors and types of defects, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida_sicmlip.reports.text import Cells, text_of
from aiida_sicmlip.science.evaluation.assessment import message_of_verdict
from aiida_sicmlip.tools.runs import Run

SIGNS = {"below": "<", "at least": ">="}
SETS = ("training", "validation", "fixed_validation", "exploring")


def criteria_cells(run: Run) -> Cells | None:
    """Return the value of each criterion by round, and whether it is met; None where no round is assessed."""
    assessed = {entry.index: entry.assessment for entry in run.rounds if entry.assessment is not None}
    verdicts = {
        (index, verdict["criterion"]): verdict
        for index, assessment in assessed.items()
        for verdict in assessment.get("criteria", ())
    }
    if not verdicts:
        return None
    # A run has the same criteria in all rounds.
    criteria = {name: verdict for (_, name), verdict in verdicts.items()}
    rows = []
    for name, verdict in criteria.items():
        asked = f"{SIGNS[verdict.get('direction', 'below')]} {verdict['threshold']:g} {verdict['unit']}".rstrip()
        rows.append((name, asked, *(_cell(verdicts.get((index, name))) for index in assessed)))
    return Cells(("criterion", "asked", *(f"round {index}" for index in assessed)), rows)


def criteria_table(run: Run) -> str | None:
    """Return :func:`criteria_cells` as text."""
    return text_of(criteria_cells(run))


def verdict_lines(assessment: Mapping[str, Any]) -> list[str]:
    """Return each criterion of a round in words, with its verdict first."""
    return [
        f"{'met' if verdict['met'] else 'not met'}: {message_of_verdict(verdict)}"
        for verdict in assessment.get("criteria", ())
    ]


def spread_cells(run: Run) -> Cells | None:
    """Return how the force errors of single configurations are spread, by round and set; None where it is not known.

    Beside them stand number, force MAE and score of migrating atoms, the force MAE around them, and a committee's mean
    disagreement about forces, where known.
    """
    rows = []
    for entry in run.rounds:
        for name in SETS:
            errors = (entry.assessment or {}).get(name, {})
            spread = errors.get("force_mae_of_configurations")
            if spread is None:
                continue
            values = [f"{spread[key]:.3f}" for key in ("smallest", "median", "quantile_90", "largest")]
            above = f"{100 * errors['fraction_above_threshold']:.0f} %"
            migrating, around = errors.get("migrating", {}), errors.get("surroundings", {})
            of_atoms = (migrating.get("force_mae"), around.get("force_mae"), migrating.get("score"))
            disagreement = errors.get("disagreement", {}).get("mean")
            further = ["-" if value is None else f"{value:.3f}" for value in (*of_atoms, disagreement)]
            counts = [str(found) for found in (errors.get("n_frames", "-"), migrating.get("n_atoms", "-"))]
            rows.append((f"round {entry.index}, {_words(name)}", counts[0], *values, above, counts[1], *further))
    if not rows:
        return None
    spread_heads = ("force MAE (eV/A)\nsmallest", "\nmedian", "\n90 %", "\nlargest", "above\nthreshold")
    of_atoms_heads = ("migrating\natoms", "force MAE\non them", "\naround them", "\nscore P")
    heads = ("configurations", *spread_heads, *of_atoms_heads, "committee's\ndisagreement (eV/A)")
    return Cells(("by configuration", *heads), rows)


def spread_table(run: Run) -> str | None:
    """Return :func:`spread_cells` as text."""
    return text_of(spread_cells(run))


def final_run_cells(run: Run) -> Cells | None:
    """Return the errors along the free runs of each round that had some; None where there were none."""
    rows = []
    for entry in run.rounds:
        results = entry.final_run or {}
        for free in results.get("runs", ()):
            errors = [label["force_mae"] for label in free["labels"]]
            early = ", ended early" if free["ended_early"] else ""
            values = (*free["halves"], max(errors, default=None))
            rows.append(
                (
                    f"round {entry.index}, {free['structure']}",
                    f"{free['reached']:g} of {results['production']:g}{early}",
                    str(len(errors)),
                    *("-" if value is None else f"{value:.3f}" for value in values),
                )
            )
    heads = ("time (ps)", "labels", "force MAE (eV/A)\nfirst half", "\nsecond half", "\nlargest")
    return Cells(("free runs", *heads), rows) if rows else None


def novelty_cells(run: Run) -> Cells | None:
    """Return novelty and diversity of the picks and the types of defects by round; None where nothing is known."""
    rows = []
    for entry in run.rounds:
        assessment = entry.assessment or {}
        if "diversity" not in assessment:
            continue
        types: Mapping[str, int] | None = assessment.get("defect_types")
        new = assessment.get("new_defect_types", ())
        rows.append(
            (
                f"round {entry.index}",
                *(_median(assessment.get(key)) for key in ("novelty", "diversity")),
                "-" if types is None else f"{len(types)}, {len(new)} new",
            )
        )
    if not rows:
        return None
    heads = ("novelty\nof picks", "diversity\nof picks", "types of\ndefects")
    return Cells(("new data", *heads), rows)


def novelty_table(run: Run) -> str | None:
    """Return :func:`novelty_cells` as text."""
    return text_of(novelty_cells(run))


def notes_on_novelty(run: Run) -> Sequence[str]:
    """Return what the columns of :func:`novelty_table` mean."""
    return (
        "novelty: median distance (1 - kernel) of new training configurations from the training set before.",
        "diversity: median distance at which they were picked, each from all that was known and picked before it.",
    )


def _cell(verdict: Mapping[str, Any] | None) -> str:
    if verdict is None:
        return "-"
    value = "unknown" if verdict["value"] is None else f"{verdict['value']:.4g}"
    return f"{value} {'met' if verdict['met'] else 'not met'}"


def _words(name: str) -> str:
    return "exploring, new" if name == "exploring" else name.replace("_", " ")


def _median(spread: Mapping[str, float] | None) -> str:
    return "-" if not spread else f"{spread['median']:.2e}"
