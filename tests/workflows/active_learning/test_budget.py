"""How the loop keeps to its budgets; what it has cost is made up."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_sicmlip.common.costs import Costs
from aiida_sicmlip.common.labels import frame_label
from aiida_sicmlip.science.costs.budgets import Budget
from aiida_sicmlip.workflows.active_learning import steps as steps_module
from aiida_sicmlip.workflows.active_learning.budget import (
    Limit,
    hours_left,
    limit_before_exploration,
    limit_before_training,
    message_values,
    trim_to_budget,
)
from aiida_sicmlip.workflows.active_learning.launch import checked_builder, read_settings
from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain

STATUS = {"labels": 702, "dft_core_hours": 703, "gpu_hours": 704, "wall_hours": 705}
CHECKS = ("check_budget_of_exploration", "fit_labelling_to_budget", "check_budget_of_training")


NEEDED = {"training": 1, "validation": 0}
"""Labels of a round that is not the first."""


def frames(n_training, n_validation):
    """Return so many picked frames of each role as (segment, frame), whose order is not that of their names."""
    return [(0, 30 - index) for index in range(n_training)], [(1, 50 - index) for index in range(n_validation)]


def picks_of(n_training, n_validation):
    """Return the picks of a round in their order."""
    training, validation = frames(n_training, n_validation)
    picks = orm.ArrayData()
    places = np.array([*training, *validation], dtype=int).reshape(-1, 2)
    picks.set_array("role", np.array([0] * n_training + [1] * n_validation, dtype=int))
    picks.set_array("segment", places[:, 0])
    picks.set_array("frame", places[:, 1])
    return picks


def picked_of(n_training, n_validation):
    """Return the structures of these picks, by role and by name."""
    roles = dict(zip(("training", "validation"), frames(n_training, n_validation), strict=True))
    names = {role: sorted(frame_label(*place) for place in places) for role, places in roles.items()}
    picked = {role: {name: f"structure of {name}" for name in found} for role, found in names.items()}
    return {**picked, "fixed_validation": {}}


@pytest.mark.parametrize("name", STATUS)
def test_budget_that_is_used_up_holds_no_round(name):
    limit = limit_before_exploration(NEEDED, Budget(**{name: 10}), Costs(**{name: 12}))
    assert limit == Limit(name, 10, 12)
    assert limit_before_exploration(NEEDED, Budget(**{name: 10}), Costs(**{name: 9})) is None


def test_round_needs_labels_for_each_set_that_is_not_there():
    """The one label that is left would not give a training and a validation set."""
    budget, costs = Budget(labels=20), Costs(labels=19)
    assert limit_before_exploration({"training": 1, "validation": 1}, budget, costs) == Limit("labels", 20, 19)
    assert limit_before_exploration({"training": 1, "validation": 0}, budget, costs) is None


@pytest.mark.parametrize(("name", "ends"), [("labels", False), ("dft_core_hours", False), ("gpu_hours", True)])
def test_done_labels_are_trained_on(name, ends):
    """A training needs no further labels: it runs although these are used up."""
    assert (limit_before_training(Budget(**{name: 10}), Costs(**{name: 12})) is not None) is ends


def test_labelling_is_trimmed_to_what_the_budget_holds():
    """Of six and three picks the budget holds six: the four first training and the two first validation picks."""
    picked = picked_of(6, 3)
    trimmed = trim_to_budget(picked, NEEDED, Budget(labels=20), Costs(labels=14), picks_of(6, 3))
    assert sorted(trimmed.picked["training"]) == [frame_label(0, frame) for frame in (27, 28, 29, 30)]
    assert sorted(trimmed.picked["validation"]) == [frame_label(1, frame) for frame in (49, 50)]
    assert trimmed.picked["training"][frame_label(0, 30)] == f"structure of {frame_label(0, 30)}"
    assert trimmed.message.startswith("`budget.labels` allows 6 more labels; labelling 6 of 9 picks")
    assert trimmed.limit is None and picked == picked_of(6, 3)


def test_core_hours_hold_as_many_labels_as_those_before_tell():
    """Ten labels took five core hours; two more fit into six."""
    costs = Costs(labels=10, computed_labels=10, dft_core_hours=5.0)
    trimmed = trim_to_budget(picked_of(4, 2), NEEDED, Budget(dft_core_hours=6.0), costs, picks_of(4, 2))
    counts = {name: len(picked) for name, picked in trimmed.picked.items()}
    assert counts == {"training": 1, "validation": 1, "fixed_validation": 0}


@pytest.mark.parametrize("budget", [{}, {"labels": 20}])
def test_picks_that_the_budget_holds_are_left_alone(budget):
    picked = picked_of(3, 2)
    trimmed = trim_to_budget(picked, NEEDED, Budget(**budget), Costs(labels=15), picks_of(3, 2))
    assert (trimmed.picked, trimmed.message, trimmed.limit) == (picked, None, None)


def test_too_few_labels_end_the_run():
    """A first round needs a validation set, which one label does not give."""
    needed = {"training": 1, "validation": 1}
    trimmed = trim_to_budget(picked_of(4, 2), needed, Budget(labels=20), Costs(labels=19), picks_of(4, 2))
    assert trimmed.limit == Limit("labels", 20, 19)


def test_advice_knows_whether_there_is_a_potential():
    limit = Limit("labels", 20, 19)
    assert message_values(limit, "It is of no use.")["advice"].startswith("It is of no use. Increase")
    assert message_values(limit, None)["advice"].startswith("No potential has been trained yet")


@pytest.fixture
def loop_with(chain, write_settings, monkeypatch):
    """Makes a run that is in round 1, with a budget and what it has cost: each a mapping."""

    def make(budget, **costs):
        given = checked_builder(read_settings(write_settings({"budget": budget})))._inputs(prune=True)
        loop = chain(ActiveLearningWorkChain, given)
        loop.setup()
        loop.ctx.round = 1
        loop.ctx.datasets = {"training": object(), "validation": object(), "fixed_validation": None}
        loop.ctx.picks, loop.ctx.picked = {"round_01": picks_of(3, 2)}, picked_of(3, 2)
        loop.looked = []
        monkeypatch.setattr(steps_module, "costs_of_run", lambda node: loop.looked.append(node.pk) or Costs(**costs))
        return loop

    return make


def test_without_a_budget_nothing_is_looked_up(loop_with):
    loop = loop_with({})
    assert [getattr(loop, check)() for check in CHECKS] == [None, None, None]
    assert loop.looked == [] and loop.ctx.picked == picked_of(3, 2)


@pytest.mark.parametrize("name", STATUS)
def test_round_is_not_begun_on_a_budget_that_is_used_up(loop_with, portable_potential, name):
    """The run ends with the last complete model and a status that names the budget and what is used of it."""
    loop = loop_with({name: 10}, **{name: 12})
    loop.ctx.finished = {"potential": portable_potential}
    code = loop.check_budget_of_exploration()
    assert code.status == STATUS[name]
    assert f"`budget.{name}`" in code.message and "of 10 " in code.message and "12 are used up" in code.message
    assert "exploration of round 1" in code.message and "The last potential is" in code.message
    assert loop.outputs["potential"].pk == portable_potential.pk
    assert loop.looked == [loop.node.pk]


def test_run_without_a_potential_says_so(loop_with):
    code = loop_with({"wall_hours": 1.0}, wall_hours=2.0).check_budget_of_training()
    assert code.status == 705 and "No potential has been trained yet" in code.message
    assert "training of round 1" in code.message


def test_shortened_labelling_is_reported(loop_with, caplog):
    loop = loop_with({"labels": 20}, labels=17)
    assert loop.fit_labelling_to_budget() is None
    assert [len(loop.ctx.picked[role]) for role in ("training", "validation")] == [2, 1]
    assert "round 1: `budget.labels` allows 3 more labels; labelling 3 of 5 picks" in caplog.text


def test_labelling_of_too_few_is_not_begun(loop_with):
    loop = loop_with({"labels": 20}, labels=19)
    loop.ctx.datasets["validation"] = None
    code = loop.fit_labelling_to_budget()
    assert code.status == 702 and "labelling of round 1" in code.message
    # Nor is the exploration before it.
    assert loop.check_budget_of_exploration().status == 702


def test_checks_stand_before_what_they_check():
    """In the outline, each check comes right before its step."""
    (described,) = ActiveLearningWorkChain.spec().get_outline().get_description()[1].values()
    steps = [step.partition("(")[0] for step in described if isinstance(step, str)]
    for check, step in zip(CHECKS, ("run_exploration", "run_labelling", "run_training"), strict=True):
        assert steps[steps.index(check) + 1] == step


def test_exit_codes_name_all_budgets():
    codes = ActiveLearningWorkChain.spec().exit_codes
    found = {code.status: code.message for code in codes.values() if 702 <= code.status < 710}
    assert {status: f"`budget.{name}`" in found[status] for name, status in STATUS.items()} == dict.fromkeys(
        found, True
    )


@pytest.mark.parametrize(
    ("allowed", "left"),
    [({}, None), ({"labels": 3}, None), ({"wall_hours": 5.0}, 3.0), ({"wall_hours": 5.0, "gpu_hours": 1.0}, 0.5)],
)
def test_hours_that_trainings_may_take(allowed, left):
    assert hours_left(Budget(**allowed), Costs(labels=3, gpu_hours=0.5, wall_hours=2.0)) == left
    assert hours_left(Budget(wall_hours=1.0), Costs(wall_hours=2.0)) == 0.0
