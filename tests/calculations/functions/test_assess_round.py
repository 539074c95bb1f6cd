"""The verdict on a round."""

from __future__ import annotations

from typing import Any

import pytest
from aiida import orm

from aiida_sicmlip.calculations.functions.assess_round import assess_round
from aiida_sicmlip.common.exceptions import InputError


def errors(force_mae: float) -> orm.Dict:
    """Errors as an evaluation reports them, with more than an assessment keeps."""
    energies = {"energy_mae": 0.01, "energy_rmse": 0.02}
    return orm.Dict({"force_mae": force_mae, "force_rmse": 2 * force_mae, **energies, "n_frames": 4, "seconds": 1.5})


FORCES_ALONE = dict.fromkeys(
    ("exploring_force_mae", "migrating_force_mae", "surroundings_force_mae", "rare_event_score", "minimum_rounds")
)
"""The paper's criteria."""


def verdict(training: float, validation: float, **criteria: Any) -> dict[str, Any]:
    selection = orm.Dict({"n_training": 8})
    result = assess_round(
        orm.Dict({**FORCES_ALONE, **criteria}), exploring=errors(0.5), training=errors(training),
        validation=errors(validation), selection=selection,
    )  # fmt: skip
    assert result.creator.process_label == "assess_round"
    return result.get_dict()


@pytest.mark.parametrize(
    ("training", "validation", "met"),
    [
        (0.05, 0.09, [True, True]),
        (0.05, 0.11, [True, False]),
        (0.11, 0.05, [False, True]),
        (0.5, 0.7, [False, False]),
        # At the threshold is not below it.
        (0.1, 0.05, [False, True]),
    ],
)
def test_both_sets_must_be_below(training: float, validation: float, met: list[bool]) -> None:
    assessment = verdict(training, validation)
    assert [entry["met"] for entry in assessment["criteria"]] == met
    assert [entry["value"] for entry in assessment["criteria"]] == [training, validation]
    assert [entry["threshold"] for entry in assessment["criteria"]] == [0.1, 0.1]
    assert assessment["converged"] is all(met)


def test_threshold_of_the_user() -> None:
    assert verdict(0.05, 0.05)["converged"] is True
    assert verdict(0.05, 0.05, force_mae=0.04)["converged"] is False


@pytest.mark.parametrize("broken", ["training", "validation"])
def test_not_a_number_is_never_convergence(broken: str) -> None:
    from aiida_sicmlip.science.evaluation.assessment import assess
    from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria

    # A Dict cannot hold such a number, so that a calcfunction would not get this far.
    given = {name: {"force_mae": 0.01} for name in ("exploring", "training", "validation")}
    given[broken] = {"force_mae": float("nan")}
    assert assess(ConvergenceCriteria(), **given, selection={})["converged"] is False


def test_errors_of_the_exploring_potential_are_kept_where_no_criterion_asks_for_them() -> None:
    assessment = verdict(0.05, 0.05)
    assert assessment["exploring"]["force_mae"] == 0.5
    assert assessment["exploring"]["n_frames"] == 4
    assert "seconds" not in assessment["exploring"]
    assert assessment["selection"] == {"n_training": 8}
    assert assessment["converged"] is True


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        ({"force_maee": 0.1}, "`convergence.force_maee` is not a known setting. Did you mean `force_mae`"),
        ({"force_mae": 0}, "`convergence.force_mae` is 0; give a number above zero"),
        ({"force_mae": "small"}, "`convergence.force_mae` is 'small'; give a number"),
    ],
)
def test_wrong_criteria(criteria: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        verdict(0.05, 0.05, **criteria)


def test_errors_on_migrating_atoms_are_kept_where_no_criterion_asks_for_them() -> None:
    bad = {"n_atoms": 3, "score": 0.0, "force_mae": 2.0}
    evaluated = orm.Dict({**errors(0.05).get_dict(), "rare_events": {"migrating": bad, "all": {"n_atoms": 56}}})
    result = assess_round(
        orm.Dict(FORCES_ALONE), exploring=errors(0.5), training=errors(0.05), validation=evaluated,
        selection=orm.Dict({}),
    ).get_dict()  # fmt: skip
    assert result["validation"]["migrating"] == {"n_atoms": 3, "force_mae": 2.0, "score": 0.0}
    assert "migrating" not in result["exploring"]
    assert result["converged"] is True
