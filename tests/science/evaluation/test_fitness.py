"""What a potential can be used for: for made-up errors, in words."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria
from aiida_sicmlip.science.evaluation.fitness import fitness, fitness_sentence


def errors(mean: float, n_atoms: int = 12, migrating: float = 0.2, around: float = 0.1, score: float = 0.6) -> Any:
    """Return the errors of a set as an assessment keeps them."""
    known = n_atoms > 0
    return {
        "force_mae": mean,
        "migrating": {
            "n_atoms": n_atoms,
            "force_mae": migrating if known else None,
            "score": score if known else None,
        },
        "surroundings": {"n_atoms": 4 * n_atoms, "force_mae": around if known else None},
    }


def rated(validation: Any, fixed: Any = None, **criteria: Any) -> dict[str, Any]:
    sets = {"training": {"force_mae": 9.0}, "validation": validation, "exploring": {"force_mae": 9.0}}
    return fitness(ConvergenceCriteria(**criteria), sets if fixed is None else {**sets, "fixed_validation": fixed})


def test_above_twice_the_threshold_it_is_not_fit_for_dynamics() -> None:
    found = rated(errors(0.38))
    assert (found["crystal"], found["hops"]) == (False, False)
    assert found["message"] == (
        "not fit for dynamics: force MAE 0.38 eV/A on the validation set is above twice the threshold of 0.1"
    )
    assert rated(errors(0.2))["crystal"] is True and rated(errors(0.2001))["crystal"] is False
    assert rated(errors(0.38), force_mae=0.19)["crystal"] is True


def test_worst_set_counts_and_training_and_exploring_do_not() -> None:
    assert rated(errors(0.05), errors(0.3))["crystal"] is False
    assert "on the fixed validation set" in rated(errors(0.05), errors(0.3))["message"]
    assert "on the validation set" in rated(errors(0.3), errors(0.05))["message"]


def test_crystal_without_hops() -> None:
    found = rated(errors(0.05), errors(0.076, 11, 0.755, 0.385, 0.35))
    assert (found["crystal"], found["hops"]) == (True, False)
    assert found["message"] == (
        "usable for dynamics of the crystal (force MAE 0.076 eV/A on the fixed validation set), not for hops: "
        "0.76 eV/A on migrating atoms, 0.39 eV/A around them, score 0.35 (11 atoms)"
    )


def test_hops_are_assessed_on_the_fixed_set() -> None:
    assert rated(errors(0.05, migrating=2.0), errors(0.05))["hops"] is True
    assert rated(errors(0.05), errors(0.05, migrating=2.0))["hops"] is False
    assert ") and for hops: 0.2 eV/A on migrating atoms" in rated(errors(0.05))["message"]


@pytest.mark.parametrize("bad", [{"migrating": 0.25}, {"around": 0.2}, {"score": 0.49}])
def test_every_criterion_on_hops_counts(bad: dict[str, float]) -> None:
    assert rated(errors(0.05))["hops"] is True
    assert rated(errors(0.05, **bad))["hops"] is False


@pytest.mark.parametrize(
    ("given", "criteria", "reason"),
    [
        ({"n_atoms": 0}, {}, "not known for hops: there are no migrating atoms"),
        ({"n_atoms": 9}, {}, "(9 atoms), too few to tell"),
        ({"n_atoms": 1}, {}, "(1 atom), too few to tell"),
        (
            {},
            dict.fromkeys(("migrating_force_mae", "surroundings_force_mae", "rare_event_score")),
            "(12 atoms); no criterion asks for them",
        ),
    ],
)
def test_unknown_hops(given: dict[str, Any], criteria: dict[str, Any], reason: str) -> None:
    found = rated(errors(0.05, **given), **criteria)
    assert found["crystal"] is True and found["hops"] is None
    assert found["message"].endswith(reason)


def test_between_one_and_two_thresholds_it_says_so() -> None:
    assert (
        "(force MAE 0.15 eV/A on the validation set, not below the threshold of 0.1)" in rated(errors(0.15))["message"]
    )
    assert "not below" not in rated(errors(0.09))["message"]


def test_nothing_known() -> None:
    assert rated({})["message"] == "of unknown errors"
    assert rated(errors(float("nan")))["crystal"] is False
    assert fitness_sentence(None) == fitness_sentence({"criteria": []}) == "The last potential is of unknown errors."
    assert fitness_sentence({"fitness": {"message": "fine"}}, potential="The potential") == "The potential is fine."


def test_final_run_is_told_with_it() -> None:
    assessment = {"fitness": {"message": "usable for dynamics of the crystal"}}
    passed = {"met": True, "fit": True, "message": "its force MAE stayed below 0.1 eV/A"}
    assert fitness_sentence(assessment, passed) == (
        "The last potential is usable for dynamics of the crystal. In its final run "
        "its force MAE stayed below 0.1 eV/A."
    )
    early = {"met": False, "fit": False, "message": "a free run from `vv` ended after 5 of 10 ps"}
    assert fitness_sentence(assessment, early) == (
        "The last potential is not fit for dynamics: a free run from `vv` ended after 5 of 10 ps."
    )
