"""Assessment of a round's potential against the convergence criteria."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiida_sicmlip.science.distributions import distribution, fraction_above
from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria
from aiida_sicmlip.science.evaluation.fitness import HELD_OUT, fitness

ERRORS = ("force_mae", "force_rmse", "energy_mae", "energy_rmse")
KEPT = (*ERRORS, "n_frames", "energy_offset_fitted")
"""Values of an evaluation that an assessment keeps, where available."""


@dataclass(frozen=True)
class History:
    """Properties of all rounds up to the current one that an assessment needs.

    diversity: of each round, the median distance at which its training configurations were picked; None where unknown.
    defect_types: all types found in labels.
    rounds_without_new_defects: number of consecutive rounds, up to this one; None where types are unknown.
    """

    diversity: tuple[float | None, ...] = ()
    defect_types: tuple[str, ...] = ()
    rounds_without_new_defects: int | None = None

    @classmethod
    def of(cls, assessment: Mapping[str, Any] | None) -> History:
        """Return the history stored in an assessment; empty for None."""
        found = (assessment or {}).get("history", {})
        return cls(
            tuple(found.get("diversity", ())),
            tuple(found.get("defect_types", ())),
            found.get("rounds_without_new_defects"),
        )

    def with_round(self, diversity: float | None, defect_types: Mapping[str, int] | None) -> History:
        """Return the history with one more round."""
        quiet = None
        types = set(self.defect_types)
        if defect_types is not None:
            quiet = 0 if set(defect_types) - types else (self.rounds_without_new_defects or 0) + 1
            types |= set(defect_types)
        return History((*self.diversity, diversity), tuple(sorted(types)), quiet)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "diversity": list(self.diversity),
            "defect_types": list(self.defect_types),
            "rounds_without_new_defects": self.rounds_without_new_defects,
        }


def assess(
    criteria: ConvergenceCriteria,
    *,
    exploring: Mapping[str, Any],
    training: Mapping[str, Any],
    validation: Mapping[str, Any],
    selection: Mapping[str, Any],
    fixed_validation: Mapping[str, Any] | None = None,
    defect_types: Mapping[str, int] | None = None,
    previous: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return errors (eV/A, eV/atom) with their distributions, the verdict on each criterion, and ``converged``.

    :param exploring: errors of the exploring potential on the new labels, which it was not trained on.
    :param training: errors of the new potential on the training set.
    :param validation: errors of the new potential on the validation set.
    :param selection: summary of the selection.
    :param fixed_validation: errors of the new potential on a set that is the same in all rounds, and that no training
        chooses its epoch or learning rate by.
    :param defect_types: number of new labels by type of defect; None where unknown.
    :param previous: the assessment of the round before.

    Each set has ``migrating`` and ``surroundings``: number, force MAE and, of migrating atoms, score P; None without
    any. ``fitness`` says what the new potential can be used for, as
    :func:`~aiida_sicmlip.science.evaluation.fitness.fitness` has it.
    """
    evaluated = {"exploring": exploring, "training": training, "validation": validation}
    if fixed_validation is not None:
        evaluated["fixed_validation"] = fixed_validation
    spread = distribution(selection.get("distances_when_picked", ()))
    before = History.of(previous)
    history = before.with_round(spread["median"] if spread else None, defect_types)
    verdicts = [
        *_verdicts_on_errors(criteria, evaluated),
        *_verdicts_on_hops(criteria, evaluated),
        *_verdicts_on_novelty(criteria, selection, history),
        *_guards(criteria, history),
    ]
    kept = {name: _kept(errors, criteria.force_mae) for name, errors in evaluated.items()}
    return {
        **kept,
        "selection": dict(selection),
        "novelty": selection.get("novelty"),
        "diversity": spread,
        "defect_types": dict(defect_types) if defect_types is not None else None,
        "new_defect_types": sorted(set(defect_types or ()) - set(before.defect_types)),
        "history": history.to_dict(),
        "criteria": verdicts,
        "converged": all(verdict["met"] for verdict in verdicts),
        "fitness": fitness(criteria, kept),
    }


def _kept(errors: Mapping[str, Any], threshold: float) -> dict[str, Any]:
    """Return the kept values of an evaluation, with the distribution of the errors of configurations.

    For rare events, ``migrating`` and ``surroundings`` are the number of such atoms, their force MAE (eV/A) and score
    P, None without any; for a committee, ``disagreement`` is the mean and maximum force disagreement (eV/A).
    """
    kept = {key: errors[key] for key in KEPT if key in errors}
    for region in ("migrating", "surroundings"):
        if region in errors.get("rare_events", {}):
            found = errors["rare_events"][region]
            kept[region] = {key: found.get(key) for key in ("n_atoms", "force_mae", "score")}
    if "committee" in errors:
        forces = errors["committee"]["forces"]
        kept["disagreement"] = {key: forces[key] for key in ("mean", "maximum")}
    single: Sequence[float] = errors.get("force_mae_per_frame", ())
    if single:
        kept["force_mae_of_configurations"] = distribution(single)
        kept["fraction_above_threshold"] = fraction_above(single, threshold)
    return kept


def _verdict(
    criterion: str,
    value: float | None,
    threshold: float,
    unit: str = "",
    *,
    direction: str = "below",
    reason: str = "it is not known",
) -> dict[str, Any]:
    """Return the verdict on one criterion; an unknown or NaN value never meets it."""
    met = value is not None and bool(value < threshold if direction == "below" else value >= threshold)
    verdict = {
        "criterion": criterion,
        "value": value,
        "threshold": threshold,
        "unit": unit,
        "direction": direction,
        "met": met,
    }
    return verdict if value is not None else {**verdict, "reason": reason}


def _verdicts_on_errors(
    criteria: ConvergenceCriteria, evaluated: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the verdicts on the errors on all atoms, of the evaluations by set."""
    verdicts = []
    for key, name, unit in (("force_mae", "force MAE", "eV/A"), ("energy_mae", "energy MAE", "eV/atom")):
        threshold = getattr(criteria, key)
        if threshold is None:
            continue
        for of_set in ("training", *HELD_OUT):
            if of_set in evaluated:
                where = of_set.replace("_", " ")
                verdicts.append(_verdict(f"{name} on the {where} set", evaluated[of_set].get(key), threshold, unit))
    if criteria.exploring_force_mae is not None:
        verdicts.append(
            _verdict(
                "force MAE of the exploring potential on new labels",
                evaluated["exploring"].get("force_mae"),
                criteria.exploring_force_mae,
                "eV/A",
            )
        )
    return verdicts


def _verdicts_on_hops(
    criteria: ConvergenceCriteria, evaluated: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the verdicts on migrating atoms and their surroundings, which are not known for too few of them."""
    of_set = next(name for name in reversed(HELD_OUT) if name in evaluated)
    where = of_set.replace("_", " ")
    rare = evaluated[of_set].get("rare_events", {})
    migrating = rare.get("migrating", {})
    count, reason = migrating.get("n_atoms"), None
    if count is None:
        reason = "the evaluation gave none"
    elif count < criteria.minimum_migrating_atoms:
        reason = (
            f"the set has {count} migrating atoms, too few to tell (`minimum_migrating_atoms` is "
            f"{criteria.minimum_migrating_atoms})"
        )
    verdicts = []
    for threshold, name, found, key, unit, direction in (
        (criteria.migrating_force_mae, "force MAE on migrating atoms", migrating, "force_mae", "eV/A", "below"),
        (
            criteria.surroundings_force_mae,
            "force MAE around migrating atoms",
            rare.get("surroundings", {}),
            "force_mae",
            "eV/A",
            "below",
        ),
        (criteria.rare_event_score, "score on migrating atoms", migrating, "score", "", "at least"),
    ):
        if threshold is not None:
            verdicts.append(
                _verdict(
                    f"{name} of the {where} set",
                    None if reason else found.get(key),
                    threshold,
                    unit,
                    direction=direction,
                    reason=reason or found.get("reason") or "the evaluation gave none",
                )
            )
    return verdicts


def _verdicts_on_novelty(
    criteria: ConvergenceCriteria, selection: Mapping[str, Any], history: History
) -> list[dict[str, Any]]:
    """Return the verdicts on the novelty of this round."""
    verdicts = []
    if criteria.novelty is not None:
        novelty = selection.get("novelty") or {}
        verdicts.append(
            _verdict(
                "median distance of the picks from the training set",
                novelty.get("median"),
                criteria.novelty,
                reason="there was no training set to be distant from",
            )
        )
    if criteria.rounds_without_new_defects is not None:
        verdicts.append(
            _verdict(
                "rounds without new types of defects",
                history.rounds_without_new_defects,
                criteria.rounds_without_new_defects,
                direction="at least",
                reason="the types of defects are not known without hosts",
            )
        )
    return verdicts


def _guards(criteria: ConvergenceCriteria, history: History) -> list[dict[str, Any]]:
    """Return the verdicts on the diversity of the data, without which small errors are not significant."""
    verdicts = []
    first, *later = history.diversity
    if criteria.minimum_rounds is not None:
        verdicts.append(
            _verdict("rounds", len(history.diversity), criteria.minimum_rounds, direction="at least"),
        )
    if criteria.diversity is not None:
        verdicts.append(
            _verdict(
                "diversity of the picks, largest of all rounds",
                _largest(history.diversity),
                criteria.diversity,
                direction="at least",
                reason="no round has picked two configurations by their distance",
            )
        )
    if criteria.relative_diversity is not None:
        largest = _largest(later)
        verdicts.append(
            _verdict(
                "diversity of the picks, largest of the later rounds over that of the first",
                largest / first if largest is not None and first else None,
                criteria.relative_diversity,
                direction="at least",
                reason="there is no later round yet" if not later else "the diversity of a round is not known",
            )
        )
    return verdicts


def _largest(values: Sequence[float | None]) -> float | None:
    """Return the largest of the known values."""
    return max((value for value in values if value is not None), default=None)


def message_of_verdict(verdict: Mapping[str, Any]) -> str:
    """Return a message with the criterion, its value, its threshold, and whether it is met."""
    direction = verdict.get("direction", "below")
    unit = f" {verdict['unit']}" if verdict["unit"] else ""
    if verdict["value"] is None:
        asked = f"{direction} {verdict['threshold']:g}{unit}"
        return f"{verdict['criterion']}: {verdict['reason'].rstrip('.')}; asked is {asked}"
    words = {
        ("below", True): "below",
        ("below", False): "not below",
        ("at least", True): "at least",
        ("at least", False): "not at least",
    }[direction, bool(verdict["met"])]
    return f"{verdict['criterion']} is {verdict['value']:.4g}{unit}, {words} {verdict['threshold']:g}"
