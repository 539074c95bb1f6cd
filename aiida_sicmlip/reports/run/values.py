"""The report of a run as plain values, for JSON, for its page and for `status`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from aiida_sicmlip.reports.composition import composition_values
from aiida_sicmlip.reports.lineage import lineage_tree
from aiida_sicmlip.reports.potential import potential_report
from aiida_sicmlip.reports.run.answer import answer_of_run
from aiida_sicmlip.reports.run.costs import cost_values
from aiida_sicmlip.reports.run.criteria import SETS
from aiida_sicmlip.reports.run.failures import failure_values
from aiida_sicmlip.reports.run.material import RunMaterial
from aiida_sicmlip.reports.run.question import level_of_run, question_of_run
from aiida_sicmlip.reports.run.tables import round_status
from aiida_sicmlip.reports.run.versions import version_values
from aiida_sicmlip.reports.selection import selection_report
from aiida_sicmlip.science.evaluation.assessment import message_of_verdict
from aiida_sicmlip.tools.origins import PickShare
from aiida_sicmlip.tools.runs import Round, Run

SCHEMA_VERSION = 1
"""Raised when a key of :func:`run_report` changes its meaning or goes."""


def run_report(material: RunMaterial) -> dict[str, Any]:
    """Return all that is known of a run as plain values for JSON; None for what there is not (yet).

    Keys: those of :func:`status_report`, and `question`, `potential` (see
    :func:`~aiida_sicmlip.reports.potential.potential_report`), `walkers` (see
    :func:`~aiida_sicmlip.reports.exploration.heating_values`), `ends_of_walkers` by round (fields of
    :class:`~aiida_sicmlip.tools.walkers.WalkerEnd`), `brakes` by round (fields of
    :class:`~aiida_sicmlip.tools.walkers.CommitteeBrake`), `selections` (see
    :func:`~aiida_sicmlip.reports.selection.selection_report`), `failures`, `lineage` (`tree`, `path`), `reproduce`
    (`command`, `what`) and `versions`. Energies in eV/atom, forces in eV/A, times in s unless a key says hours.
    """
    run = material.run
    report = status_report(material)
    return report | {
        "question": question_of_run(material.node, run),
        "potential": None if material.potential is None else potential_report(material.potential),
        "walkers": material.walkers,
        "selections": selection_report(material.node, material.selections, material.shares)["rounds"],
        "ends_of_walkers": {
            str(index): [asdict(end) for end in ends] for index, ends in material.ends_of_walkers.items()
        },
        "brakes": {str(index): asdict(brake) for index, brake in material.brakes.items()},
        "failures": failure_values(material.failures, run),
        "lineage": {
            "tree": [] if material.lineage is None else lineage_tree(material.lineage),
            "path": [{"pk": step.pk, "what": step.what, "detail": step.detail} for step in material.path],
        },
        "reproduce": commands_of_run(material),
        "versions": version_values(material.node, material.processes, level_of_run(material.node, run)),
    }


def status_report(material: RunMaterial) -> dict[str, Any]:
    """Return where a run stands as plain values for JSON.

    Keys: `schema_version`, `run`, `answer` (see :func:`~aiida_sicmlip.reports.run.answer.answer_of_run`), `continues`
    (PK of a run), `rounds` (see :func:`round_values`), `costs` (see
    :func:`~aiida_sicmlip.reports.run.costs.cost_values`) and `expected_seconds_left` (at most; None where unknown).
    """
    node, run = material.node, material.run
    return {
        "schema_version": SCHEMA_VERSION,
        "run": {
            "pk": run.pk,
            "uuid": node.uuid,
            "label": node.label,
            "description": node.description,
            "state": run.state,
            "exit_status": run.exit_status,
            "exit_message": run.exit_message,
            "started": run.started.isoformat(timespec="seconds"),
            "changed": run.changed.isoformat(timespec="seconds"),
            "seconds": run.seconds,
            "max_rounds": run.max_rounds,
            "seed": node.inputs.seed.value if "seed" in node.inputs else None,
            "reference": run.reference,
        },
        "answer": answer_of_run(run),
        "continues": material.parent,
        "rounds": [round_values(entry, run, material.shares.get(entry.index, [])) for entry in run.rounds],
        "costs": cost_values(run),
        "expected_seconds_left": run.expected_seconds_left,
    }


def round_values(entry: Round, run: Run, shares: Sequence[PickShare]) -> dict[str, Any]:
    """Return a round as plain values.

    Keys: `index`, `status`, `seconds`, `steps`, `configurations` of the data sets, `labels` (`asked`, `done`,
    `failed`, `replaced`, `failures`), `errors` by set, `criteria` (each with its verdict and a `message`), `final_run`
    (errors against time along its free runs), `converged`, `fitness`, `novelty`, `diversity`, `defect_types`,
    `new_defect_types`, and `composition` of the picks.
    """
    assessment = entry.assessment or {}
    return {
        "index": entry.index,
        "status": round_status(entry, run),
        "seconds": entry.seconds,
        "steps": {
            name: {"pk": step.pk, "state": step.state, "exit_status": step.exit_status, "seconds": step.seconds}
            for name, step in entry.steps.items()
        },
        "configurations": {
            "training": entry.training_configurations,
            "validation": entry.validation_configurations,
        },
        "labels": {
            "asked": entry.labels_asked,
            "done": entry.labels_done,
            "failed": entry.labels_failed,
            "replaced": entry.labels_replaced,
            "failures": [{"frame": label.frame, "pk": label.pk, "reason": label.reason} for label in entry.failures],
        },
        "errors": {name: assessment.get(name) for name in SETS},
        "criteria": [{**verdict, "message": message_of_verdict(verdict)} for verdict in assessment.get("criteria", ())],
        "final_run": entry.final_run,
        **{
            name: assessment.get(name)
            for name in ("converged", "fitness", "novelty", "diversity", "defect_types", "new_defect_types")
        },
        "composition": composition_values(shares),
    }


def commands_of_run(material: RunMaterial) -> list[dict[str, str]]:
    """Return the commands that check a run and make it again."""
    pk = material.node.pk
    commands = [
        (f"aiida-sicmlip status {pk}", "where it stands: criteria, labels, costs"),
        (f"verdi process report {pk}", "what it has reported, in its own words"),
        (f"verdi process status {pk}", "all that it called, as a tree"),
    ]
    if material.run.terminated:
        commands.append((f"aiida-sicmlip verify {pk}", "checks the provenance of all that it rests on"))
        commands.append(
            (f"aiida-sicmlip reproduce {pk} --plan", "what running it again would do; without --plan it does")
        )
    if material.potential is not None:
        model = material.potential.potential.pk
        commands += [
            (
                f"aiida-sicmlip lineage {model}",
                "every configuration that the model was trained on, and where it is from",
            ),
            (f"aiida-sicmlip reproduce {model}", "trains the model again and compares the weights"),
            (f"aiida-sicmlip export {model} FOLDER", "the model with its history and a model card, for others"),
        ]
    return [{"command": command, "what": what} for command, what in commands]
