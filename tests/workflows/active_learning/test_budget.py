"""How the loop keeps to its budgets; what it has cost is made up."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_sicmlip.common.costs import Costs
from aiida_sicmlip.common.labels import frame_label
from aiida_sicmlip.workflows.active_learning import budget as active_learning_budget
from aiida_sicmlip.workflows.active_learning.launch import checked_builder, read_settings
from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain

STATUS = {"labels": 702, "dft_core_hours": 703, "gpu_hours": 704, "wall_hours": 705}
CHECKS = ("check_budget_of_exploration", "fit_labelling_to_budget", "check_budget_of_training")


@pytest.fixture
def loop_with(chain, write_settings, monkeypatch):
    """Makes a run that is in round 1, with a budget and what it has cost: each a mapping."""

    def make(budget, **costs):
        given = checked_builder(read_settings(write_settings({"budget": budget})))._inputs(prune=True)
        loop = chain(ActiveLearningWorkChain, given)
        loop.setup()
        loop.ctx.round = 1
        loop.ctx.datasets = {"training": object(), "validation": object(), "fixed_validation": None}
        looked = []
        monkeypatch.setattr(active_learning_budget, "costs_of_run", lambda node: looked.append(node) or Costs(**costs))
        pick(loop, 0, 0)
        loop.looked = looked
        return loop

    return make


def pick(loop, n_training, n_validation):
    """Let the loop have picked so many frames, whose order is not that of their names."""
    training = [(0, 30 - index) for index in range(n_training)]
    validation = [(1, 50 - index) for index in range(n_validation)]
    picks = orm.ArrayData()
    places = np.array([*training, *validation], dtype=int).reshape(-1, 2)
    picks.set_array("role", np.array([0] * n_training + [1] * n_validation, dtype=int))
    picks.set_array("segment", places[:, 0])
    picks.set_array("frame", places[:, 1])
    loop.ctx.picks = {"round_01": picks}
    names = {"training": sorted(frame_label(*place) for place in training)}
    names["validation"] = sorted(frame_label(*place) for place in validation)
    loop.ctx.picked = {name: {label: f"structure of {label}" for label in labels} for name, labels in names.items()}
    loop.ctx.picked["fixed_validation"] = {}


def test_without_a_budget_nothing_is_looked_up(loop_with):
    loop = loop_with({})
    pick(loop, 3, 2)
    before = dict(loop.ctx.picked)
    assert [getattr(loop, check)() for check in CHECKS] == [None, None, None]
    assert loop.looked == [] and loop.ctx.picked == before


@pytest.mark.parametrize("name", STATUS)
def test_round_is_not_begun_on_a_budget_that_is_used_up(loop_with, portable_potential, name):
    """The run ends with the last complete model and a status that names the budget and what is used of it."""
    loop = loop_with({name: 10}, **{name: 12})
    loop.ctx.finished = {"potential": portable_potential}
    code = loop.check_budget_of_exploration()
    assert code.status == STATUS[name]
    assert f"`budget.{name}`" in code.message and "of 10 " in code.message and "12 are used up" in code.message
    assert "exploration of round 1" in code.message and "The last potential is usable" in code.message
    assert loop.outputs["potential"].pk == portable_potential.pk


def test_run_without_a_potential_says_so(loop_with):
    code = loop_with({"wall_hours": 1.0}, wall_hours=2.0).check_budget_of_training()
    assert code.status == 705 and "No potential was trained yet" in code.message
    assert "training of round 1" in code.message


@pytest.mark.parametrize(("name", "ends"), [("labels", False), ("dft_core_hours", False), ("gpu_hours", True)])
def test_done_labels_are_trained_on(loop_with, name, ends):
    """A training needs no further labels: it runs although these are used up."""
    code = loop_with({name: 10}, **{name: 12}).check_budget_of_training()
    assert (code is not None) is ends


def test_labelling_is_shortened_to_what_the_budget_holds(loop_with, caplog):
    """Of six and three picks the budget holds six: the four first training and the two first validation picks."""
    loop = loop_with({"labels": 20}, labels=14)
    pick(loop, 6, 3)
    assert loop.fit_labelling_to_budget() is None
    assert sorted(loop.ctx.picked["training"]) == [frame_label(0, frame) for frame in (27, 28, 29, 30)]
    assert sorted(loop.ctx.picked["validation"]) == [frame_label(1, frame) for frame in (49, 50)]
    assert loop.ctx.picked["training"][frame_label(0, 30)] == f"structure of {frame_label(0, 30)}"
    assert "`budget.labels` holds 6 more labels; labelling 6 of 9 picks" in caplog.text


def test_core_hours_hold_as_many_labels_as_those_before_tell(loop_with):
    """Ten labels took five core hours; two more fit into six."""
    loop = loop_with({"dft_core_hours": 6.0}, labels=10, computed_labels=10, dft_core_hours=5.0)
    pick(loop, 4, 2)
    assert loop.fit_labelling_to_budget() is None
    assert {name: len(picked) for name, picked in loop.ctx.picked.items()} == {
        "training": 1,
        "validation": 1,
        "fixed_validation": 0,
    }


def test_labelling_of_too_few_is_not_begun(loop_with):
    """A first round needs a validation set, which one label does not give."""
    loop = loop_with({"labels": 20}, labels=19)
    pick(loop, 4, 2)
    loop.ctx.datasets["validation"] = None
    code = loop.fit_labelling_to_budget()
    assert code.status == 702 and "labelling of round 1" in code.message
    # Nor is the exploration before it.
    assert loop.check_budget_of_exploration().status == 702


def test_checks_stand_before_what_they_check():
    """In the outline, each check comes right before its step."""
    (described,) = ActiveLearningWorkChain.spec().get_outline().get_description()[1].values()
    steps = [step.partition("(")[0] for step in described]
    for check, step in zip(CHECKS, ("run_exploration", "run_labelling", "run_training"), strict=True):
        assert steps[steps.index(check) + 1] == step


def test_exit_codes_name_all_budgets():
    codes = ActiveLearningWorkChain.spec().exit_codes
    found = {code.status: code.message for code in codes.values() if 702 <= code.status < 710}
    assert {status: f"`budget.{name}`" in found[status] for name, status in STATUS.items()} == dict.fromkeys(
        found, True
    )


def test_costs_of_this_run_are_asked_for(loop_with):
    loop = loop_with({"labels": 20}, labels=1)
    loop.check_budget_of_exploration()
    assert [node.pk for node in loop.looked] == [loop.node.pk]
