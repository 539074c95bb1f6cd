"""Whether a round's potential is good enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiida_sicmlip.science.settings import Settings

ERRORS = ("force_mae", "force_rmse", "energy_mae", "energy_rmse")


@dataclass(frozen=True)
class ConvergenceCriteria(Settings):
    """What has to hold before the loop stops; the default is the paper's."""

    PREFIX = "convergence."

    force_mae: float = 0.1
    """Mean absolute error of force components in eV/A, on the training set and on the validation set."""

    def __post_init__(self) -> None:
        self.require_number("force_mae", positive=True)


def assess(
    criteria: ConvergenceCriteria,
    *,
    exploring: Mapping[str, Any],
    training: Mapping[str, Any],
    validation: Mapping[str, Any],
    selection: Mapping[str, Any],
    fixed_validation: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return errors (eV/A, eV/atom), the verdict on each criterion, and ``converged``.

    :param exploring: errors of the exploring potential on the new labels: the honest ones, as it has not seen them.
    :param training: errors of the new potential on the training set.
    :param validation: errors of the new potential on the validation set.
    :param selection: summary of the selection.
    :param fixed_validation: errors of the new potential on a set that stays the same from round to round; reported, and
        no criterion.

    Of rare events, which are no criterion either, each set has ``migrating``: the number of migrating atoms and their
    score P, None without any.
    """
    verdicts = []
    for where, errors in (("training", training), ("validation", validation)):
        value = errors["force_mae"]
        verdicts.append(
            {
                "criterion": f"force MAE on the {where} set",
                "value": value,
                "threshold": criteria.force_mae,
                "unit": "eV/A",
                # Written so that a value that is not a number is never taken for convergence.
                "met": bool(value < criteria.force_mae),
            }
        )
    judged = {"training": training, "validation": validation}
    if fixed_validation is not None:
        judged["fixed_validation"] = fixed_validation
    return {
        "exploring": _kept(exploring, (*ERRORS, "n_frames", "energy_offset_fitted")),
        **{name: _kept(errors, (*ERRORS, "n_frames")) for name, errors in judged.items()},
        "selection": dict(selection),
        "criteria": verdicts,
        "converged": all(verdict["met"] for verdict in verdicts),
    }


def _kept(errors: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Return what an assessment keeps of an evaluation."""
    kept = {key: errors[key] for key in keys if key in errors}
    if "rare_events" in errors:
        migrating = errors["rare_events"]["migrating"]
        kept["migrating"] = {key: migrating[key] for key in ("n_atoms", "score")}
    return kept
