"""Criteria of convergence, and the guards against data on which small errors mean nothing."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.evaluation.assessment import History, assess, message_of_verdict
from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria

GOOD = {"force_mae": 0.05, "energy_mae": 0.001, "n_frames": 4, "force_mae_per_frame": [0.02, 0.03, 0.05, 0.4]}

FORCES_ALONE = dict.fromkeys(
    ("exploring_force_mae", "migrating_force_mae", "surroundings_force_mae", "rare_event_score", "minimum_rounds")
)
"""The paper's criteria."""


def round_of(previous: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    """Assess a round whose errors are small; names of criteria are thresholds, the others what is assessed.

    Of the criteria, only that on the force MAE is always there.
    """
    thresholds = {name: given.pop(name) for name in ConvergenceCriteria.names() if name in given}
    thresholds = {**FORCES_ALONE, **thresholds}
    inputs = {"exploring": GOOD, "training": GOOD, "validation": GOOD, "selection": {}, **given}
    return assess(ConvergenceCriteria(**thresholds), previous=previous, **inputs)


def only(assessment: dict[str, Any]) -> dict[str, Any]:
    """Return the one verdict beside those on forces."""
    (verdict,) = [entry for entry in assessment["criteria"] if "force MAE on the" not in entry["criterion"]]
    assert assessment["converged"] is verdict["met"]
    return verdict


@pytest.mark.parametrize(("value", "met"), [(0.00099, True), (0.001, False), (0.5, False)])
def test_energy_criterion_holds_on_both_sets(value: float, met: bool) -> None:
    assessment = round_of(validation={**GOOD, "energy_mae": value}, training={**GOOD, "energy_mae": 0}, energy_mae=1e-3)
    verdicts = [entry for entry in assessment["criteria"] if "energy MAE" in entry["criterion"]]
    assert [entry["criterion"] for entry in verdicts] == [
        "energy MAE on the training set",
        "energy MAE on the validation set",
    ]
    assert [entry["met"] for entry in verdicts] == [True, met]
    assert assessment["converged"] is met


def test_exploring_potential_is_evaluated_where_set() -> None:
    bad = {**GOOD, "force_mae": 0.3}
    assert round_of(exploring=bad)["converged"] is True
    verdict = only(round_of(exploring=bad, exploring_force_mae=0.2))
    assert (verdict["value"], verdict["threshold"], verdict["direction"]) == (0.3, 0.2, "below")
    assert only(round_of(exploring=bad, exploring_force_mae=0.31))["met"] is True


@pytest.mark.parametrize(("score", "met"), [(0.79, False), (0.8, True), (1.0, True)])
def test_score_has_to_reach_its_threshold(score: float, met: bool) -> None:
    verdict = only(
        round_of(
            validation={**GOOD, "rare_events": {"migrating": {"n_atoms": 20, "score": score}}}, rare_event_score=0.8
        )
    )
    assert verdict["met"] is met and verdict["direction"] == "at least"
    assert ("not at least 0.8" in message_of_verdict(verdict)) is not met


def hopping(n_atoms: int = 12, migrating: float = 0.2, around: float = 0.15, score: float = 0.6) -> dict[str, Any]:
    """Return an evaluation with migrating atoms."""
    regions = {
        "migrating": {"n_atoms": n_atoms, "force_mae": migrating, "score": score},
        "surroundings": {"n_atoms": 4 * n_atoms, "force_mae": around},
    }
    return {**GOOD, "rare_events": regions}


HOPS = ("force MAE on migrating atoms", "force MAE around migrating atoms", "score on migrating atoms")


def hops(assessment: dict[str, Any], of_set: str = "fixed validation") -> list[dict[str, Any]]:
    """Return the verdicts on migrating atoms of a set."""
    named = {entry["criterion"]: entry for entry in assessment["criteria"]}
    return [named[f"{name} of the {of_set} set"] for name in HOPS]


def test_by_default_a_run_needs_a_second_round_good_hops_and_new_labels() -> None:
    assert ConvergenceCriteria().minimum_rounds == 2 and ConvergenceCriteria().exploring_force_mae == 0.15
    evaluated = {"exploring": GOOD, "training": GOOD, "validation": GOOD, "selection": {}}
    first = assess(ConvergenceCriteria(), fixed_validation=hopping(), **evaluated)
    assert [entry["criterion"] for entry in first["criteria"] if not entry["met"]] == ["rounds"]
    second = assess(ConvergenceCriteria(), fixed_validation=hopping(), previous=first, **evaluated)
    assert second["converged"] is True
    # The validation set of a round chooses the epoch: its atoms do not count beside a fixed set.
    evaluated["validation"] = hopping(migrating=3.0, around=3.0, score=0.0)
    assert assess(ConvergenceCriteria(), fixed_validation=hopping(), previous=first, **evaluated)["converged"] is True
    evaluated["exploring"] = {**GOOD, "force_mae": 0.15}
    assert assess(ConvergenceCriteria(), fixed_validation=hopping(), previous=first, **evaluated)["converged"] is False


@pytest.mark.parametrize(
    ("given", "met"),
    [
        ({}, [True, True, True]),
        ({"migrating": 0.25}, [False, True, True]),
        ({"around": 0.2}, [True, False, True]),
        ({"score": 0.49}, [True, True, False]),
        ({"score": 0.5}, [True, True, True]),
    ],
)
def test_errors_on_migrating_atoms_and_around_them(given: dict[str, float], met: list[bool]) -> None:
    criteria = {name: getattr(ConvergenceCriteria(), name) for name in FORCES_ALONE if name != "minimum_rounds"}
    found = round_of(fixed_validation=hopping(**given), **criteria)
    assert [entry["met"] for entry in hops(found)] == met
    assert found["converged"] is all(met)
    assert found["fixed_validation"]["surroundings"]["n_atoms"] == 48


def test_too_few_migrating_atoms_are_not_known_however_good() -> None:
    found = round_of(fixed_validation=hopping(9, 0.0, 0.0, 1.0), migrating_force_mae=0.25, rare_event_score=0.5)
    (verdict,) = [entry for entry in found["criteria"] if "force MAE on migrating" in entry["criterion"]]
    assert verdict["value"] is None and found["converged"] is False
    assert "the set has 9 migrating atoms, too few to tell (`minimum_migrating_atoms` is 10)" in verdict["reason"]
    enough = round_of(fixed_validation=hopping(9), migrating_force_mae=0.25, minimum_migrating_atoms=9)
    assert enough["converged"] is True


def test_fixed_set_has_to_be_below_the_threshold_too() -> None:
    found = round_of(fixed_validation={**GOOD, "force_mae": 0.11})
    assert [entry["met"] for entry in found["criteria"]] == [True, True, False]
    assert found["criteria"][-1]["criterion"] == "force MAE on the fixed validation set"


def test_what_is_not_known_is_not_met_and_says_why() -> None:
    rare = {"n_atoms": 0, "score": None, "reason": "There are no such atoms."}
    assessment = round_of(validation={**GOOD, "rare_events": {"migrating": rare}}, rare_event_score=0.8)
    assert assessment["validation"]["migrating"] == {"n_atoms": 0, "force_mae": None, "score": None}
    verdict = only(assessment)
    assert verdict["value"] is None and verdict["met"] is False
    assert "the set has 0 migrating atoms, too few to tell" in message_of_verdict(verdict)
    assert message_of_verdict(verdict).endswith("; asked is at least 0.8")
    assert "the evaluation gave none" in only(round_of(rare_event_score=0.8))["reason"]
    assert "no training set" in only(round_of(novelty=1e-3, selection={"novelty": None}))["reason"]
    assert "without hosts" in only(round_of(rounds_without_new_defects=1))["reason"]


def test_novelty_has_to_fall() -> None:
    def at(median: float) -> dict[str, Any]:
        return only(round_of(selection={"novelty": {"median": median}}, novelty=1e-3))

    assert at(9e-4)["met"] is True
    assert at(1e-3)["met"] is False


def test_rounds_without_new_defects_are_counted_in_a_row() -> None:
    seen = [{"V_C": 3}, {"V_C": 2}, {"V_C": 1, "C_Si": 1}, {"C_Si": 2}, {"V_C": 2}]
    assessment = None
    quiet, new, converged = [], [], []
    for types in seen:
        assessment = round_of(assessment, defect_types=types, rounds_without_new_defects=2)
        quiet.append(assessment["history"]["rounds_without_new_defects"])
        new.append(assessment["new_defect_types"])
        converged.append(assessment["converged"])
    assert quiet == [0, 1, 0, 1, 2]
    assert new == [["V_C"], [], ["C_Si"], [], []]
    assert converged == [False, False, False, False, True]


def diversities(*medians: float, **criteria: Any) -> list[bool]:
    """Return after which round the run would stop whose picks were so far apart."""
    assessment, found = None, []
    for median in medians:
        # The first distance of a random selection is not known.
        selection = {"distances_when_picked": [None, median / 2, median, 2 * median]}
        assessment = round_of(assessment, selection=selection, **criteria)
        assert assessment["history"]["diversity"][-1] == median
        found.append(assessment["converged"])
    return found


def test_first_round_of_the_paper_does_not_end_the_run() -> None:
    """Small errors on data that are all alike: the second round, more diverse, is the first that may end it."""
    assert diversities(1e-5, 4e-4, 1e-5) == [True, True, True]
    assert diversities(1e-5, 4e-4, 1e-5, diversity=1e-4) == [False, True, True]
    assert diversities(1e-5, 2e-6, 4e-4, relative_diversity=1.0) == [False, False, True]
    assert diversities(4e-4, 1e-4, relative_diversity=0.5) == [False, False]
    assert diversities(4e-4, 2e-4, relative_diversity=0.5) == [False, True]
    assert diversities(1e-5, 1e-5, 1e-5, minimum_rounds=2) == [False, True, True]


def test_diversity_that_nobody_knows_ends_nothing() -> None:
    verdict = only(round_of(diversity=1e-4))
    assert verdict["value"] is None and "no round has picked" in verdict["reason"]
    assert "no later round" in only(round_of(relative_diversity=1.0))["reason"]


def test_errors_of_single_configurations() -> None:
    kept = round_of()["validation"]
    spread = kept["force_mae_of_configurations"]
    assert spread["smallest"] == 0.02 and spread["median"] == pytest.approx(0.04) and spread["largest"] == 0.4
    # Between the third and the fourth of four values, 0.7 of the way.
    assert spread["quantile_90"] == pytest.approx(0.05 + 0.7 * 0.35)
    assert kept["fraction_above_threshold"] == 0.25
    assert round_of(force_mae=0.02)["validation"]["fraction_above_threshold"] == 1.0


def test_committee_is_reported_and_decides_nothing() -> None:
    forces = {"mean": 0.2, "maximum": 1.5, "rank_correlation": 0.7}
    assessment = round_of(exploring={**GOOD, "committee": {"n_members": 4, "forces": forces}})
    assert assessment["exploring"]["disagreement"] == {"mean": 0.2, "maximum": 1.5}
    assert "disagreement" not in assessment["validation"] and assessment["converged"] is True


def test_history_survives_a_round_of_an_older_version() -> None:
    """An assessment without a history counts as none."""
    assert History.of({"criteria": [], "converged": False}) == History()


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        ({"energy_mea": 0.1}, "`convergence.energy_mea` is not a known setting. Did you mean `energy_mae`"),
        ({"novelty": 0}, "`convergence.novelty` is 0; give a number above zero"),
        ({"rare_event_score": 1.5}, "`convergence.rare_event_score` is 1.5; give a number above zero and at most 1"),
        ({"minimum_rounds": 1.5}, "`convergence.minimum_rounds` is 1.5; give a whole number"),
        ({"force_mae": None}, "`convergence.force_mae` is None; give a number"),
    ],
)
def test_wrong_criteria(criteria: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ConvergenceCriteria.from_mapping(criteria)
