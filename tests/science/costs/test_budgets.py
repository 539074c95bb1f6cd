"""Budgets: what is left of them, and how labels are shared out when not all can be computed."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_sicmlip.common.costs import Costs
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.costs.budgets import UNITS, Budget, distribute_labels, exhausted_budget, remaining_labels

SPENT = Costs(labels=10, dft_core_hours=4.0, gpu_hours=2.0, wall_hours=5.0, computed_labels=8)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ({}, None),
        ({"labels": 11, "dft_core_hours": 4.1, "gpu_hours": 2.1, "wall_hours": 5.1}, None),
        ({"labels": 10}, "labels"),
        ({"labels": 9}, "labels"),
        ({"dft_core_hours": 4.0}, "dft_core_hours"),
        ({"gpu_hours": 1.0, "wall_hours": 1.0}, "gpu_hours"),
        ({"labels": 20, "wall_hours": 5.0}, "wall_hours"),
    ],
)
def test_first_budget_that_is_used_up(budget: dict[str, Any], expected: str | None) -> None:
    assert exhausted_budget(Budget(**budget), SPENT) == expected


def test_only_the_named_budgets_count() -> None:
    """Labels that are done can be trained on, whatever they have cost."""
    budget = Budget(labels=10, gpu_hours=3.0)
    assert exhausted_budget(budget, SPENT, "gpu_hours", "wall_hours") is None
    assert exhausted_budget(budget, SPENT) == "labels"


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ({}, None),
        ({"gpu_hours": 2.0}, None),
        ({"labels": 14}, (4, "labels")),
        ({"labels": 4}, (0, "labels")),
        # Eight labels cost half a core hour each; three more fit into 1.7.
        ({"dft_core_hours": 5.7}, (3, "dft_core_hours")),
        ({"dft_core_hours": 5.5}, (3, "dft_core_hours")),
        ({"dft_core_hours": 3.0}, (0, "dft_core_hours")),
        ({"dft_core_hours": 5.7, "labels": 12}, (2, "labels")),
    ],
)
def test_labels_that_the_budgets_hold(budget: dict[str, Any], expected: tuple[int, str] | None) -> None:
    assert remaining_labels(Budget(**budget), SPENT) == expected


def test_cost_of_the_first_labels_is_not_known() -> None:
    """Core hours say nothing of a number of labels before one is computed."""
    assert remaining_labels(Budget(dft_core_hours=1.0), Costs()) is None
    assert remaining_labels(Budget(dft_core_hours=1.0, labels=5), Costs()) == (5, "labels")


@pytest.mark.parametrize(
    ("asked", "total", "needed", "expected"),
    [
        ((50, 20, 0), 100, {}, (50, 20, 0)),
        ((50, 20, 0), 70, {}, (50, 20, 0)),
        ((50, 20, 0), 35, {}, (25, 10, 0)),
        ((50, 20, 0), 7, {}, (5, 2, 0)),
        ((50, 20, 10), 8, {}, (5, 2, 1)),
        # What is needed comes first, however little there is.
        ((50, 1, 0), 2, {"training": 1, "validation": 1}, (1, 1, 0)),
        ((50, 20, 0), 1, {"training": 1, "validation": 1}, None),
        ((50, 20, 0), 1, {"training": 1}, (1, 0, 0)),
        ((50, 20, 0), 0, {"training": 1}, None),
        ((0, 0, 0), 5, {}, None),
    ],
)
def test_labels_are_shared_out(asked: Any, total: int, needed: dict[str, int], expected: Any) -> None:
    names = ("training", "validation", "fixed_validation")
    parts = distribute_labels(dict(zip(names, asked, strict=True)), total, needed)
    assert parts == (None if expected is None else dict(zip(names, expected, strict=True)))


@pytest.mark.parametrize(("asked", "total"), [((7, 3), 4), ((1, 1), 1), ((13, 29), 17), ((5, 5), 9)])
def test_shares_add_up(asked: tuple[int, int], total: int) -> None:
    parts = distribute_labels({"training": asked[0], "validation": asked[1]}, total, {"training": 1})
    assert parts is not None
    assert sum(parts.values()) == total
    for part, count in zip(parts.values(), asked, strict=True):
        assert abs(part - count * total / sum(asked)) < 1


def test_every_budget_has_a_unit() -> None:
    assert list(UNITS) == Budget.names()


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"label": 5}, "`budget.label` is not a known setting. Did you mean `labels`"),
        ({"labels": 0}, "`budget.labels` is 0; give a whole number of at least 1"),
        ({"labels": 2.5}, "`budget.labels` is 2.5; give a whole number"),
        ({"gpu_hours": "ten"}, "`budget.gpu_hours` is 'ten'; give a number"),
    ],
)
def test_wrong_budget(budget: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Budget.from_mapping(budget)
