"""How the loop replaces labels that have failed; which ones fail is made up, candidates and picks are real."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from plumpy.utils import AttributesFrozendict

from aiida_sicmlip.calculations.functions.select_frames import select_frames
from aiida_sicmlip.common.costs import Costs
from aiida_sicmlip.workflows.active_learning import steps as steps_module
from aiida_sicmlip.workflows.active_learning.launch import checked_builder, read_settings
from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain
from aiida_sicmlip.workflows.active_learning.rounds import failed_labels, labels_in_order, labels_of_round
from tests.graphs.processes import ended

SELECTION = {
    "n_training": 6,
    "n_validation": 3,
    "separation": 0.0,
    "cutoff": 4.0,
    "n_max": 2,
    "l_max": 1,
    "centres": "all",
}


@pytest.fixture
def failed_loop(chain, write_settings, describe, generate_segment, monkeypatch):
    """Makes a run in round 1 whose labels have failed but for those of some places in the order of the picks.

    What it submits is kept in `submitted`.
    """

    def make(*lost, **settings):
        given = {"selection": {"parameters": SELECTION}, **settings}
        loop = chain(ActiveLearningWorkChain, checked_builder(read_settings(write_settings(given)))._inputs(prune=True))
        loop.setup()
        loop.ctx.round = 1
        loop.ctx.exploration = ended(0, None, orm.WorkChainNode)
        parameters = orm.Dict(loop.inputs.selection.parameters.get_dict())
        candidates = describe({"divacancy": {"s00": generate_segment()}}, parameters=parameters, seed=orm.Int(1))
        picked = select_frames(parameters, orm.Int(1), candidates)
        loop.ctx.candidates = {"round_01": candidates}
        loop.ctx.picks = {"round_01": picked["picks"]}
        roles = ("training", "validation", "fixed_validation")
        loop.ctx.picked = {role: dict(picked.get(role, {})) for role in roles}
        order = labels_in_order(picked["picks"])
        loop.order = [*order["training"], *order["validation"]]
        labels = {label: f"label of {label}" for place, label in enumerate(loop.order) if place not in lost}
        loop.ctx.labelling = SimpleNamespace(outputs=AttributesFrozendict(labels=labels))
        loop.submitted = []

        def submit(chain, process, label, **inputs):
            loop.submitted.append((process.__name__, label, inputs))
            return SimpleNamespace(pk=1)

        monkeypatch.setattr(steps_module, "submit_once", submit)
        return loop

    return make


def labels_of(loop):
    """Return the labels of the present round."""
    return labels_of_round(loop.ctx.labelling, loop.ctx.replacement_labelling)


def test_failed_labels_come_in_the_order_of_the_picks():
    """Training before validation; what the budget left out has not failed."""
    picks = orm.ArrayData()
    for name, values in {"role": [1, 0, 0, 1], "segment": [0, 0, 0, 1], "frame": [4, 9, 2, 7]}.items():
        picks.set_array(name, np.array(values))
    first, second, third = "frame_s00_000009", "frame_s00_000002", "frame_s00_000004"
    picked = {"training": {second: None, first: None}, "validation": {third: None}, "fixed_validation": {}}
    assert failed_labels(picks, picked, {}) == [first, second, third]
    assert failed_labels(picks, picked, {first: "label"}) == [second, third]


def test_failed_labels_are_replaced_by_the_next_candidates(failed_loop, caplog):
    """One training and one validation label failed: two others are labelled, and join the picks of the round."""
    loop = failed_loop(2, 7)
    before = {role: dict(picked) for role, picked in loop.ctx.picked.items()}
    assert loop.run_replacements() is not None
    ((process, label, inputs),) = loop.submitted
    assert (process, label) == ("LabellingWorkChain", "round_01_replacement_labelling")
    assert len(inputs["structures"]) == 2 and not set(inputs["structures"]) & set(loop.order)
    assert "allowed_failed_fraction" in inputs and "pw" in inputs
    added = {role: set(loop.ctx.picked[role]) - set(before[role]) for role in before}
    assert {role: len(labels) for role, labels in added.items()} == {
        "training": 1,
        "validation": 1,
        "fixed_validation": 0,
    }
    assert sorted(loop.ctx.picks) == ["round_01", "round_01_replacements"]
    assert "2 labels failed; labelling 2 replacements" in caplog.text

    structure = next(iter(inputs["structures"].values()))
    maker = structure.creator
    assert maker.process_label == "select_replacements"
    assert maker.inputs.failed.get_list() == [loop.order[2], loop.order[7]]
    (link,) = structure.base.links.get_incoming(link_type=LinkType.CREATE).all()
    assert link.link_label.split("__")[1] in inputs["structures"]


def test_replacements_are_chosen_in_the_calibrated_window(failed_loop):
    loop = failed_loop(0)
    calibration = orm.Dict({"max_disagreement": 1.2, "slope": 4.0}).store()
    loop.ctx.exploration = ended(0, None, orm.WorkChainNode, calibration=calibration)
    loop.run_replacements()
    (structure,) = loop.submitted[0][2]["structures"].values()
    assert structure.creator.inputs.thresholds.uuid == calibration.uuid


def test_done_replacements_are_labels_of_the_round(failed_loop):
    loop = failed_loop(0)
    loop.run_replacements()
    (new,) = loop.submitted[0][2]["structures"]
    assert new not in labels_of(loop)
    loop.ctx.replacement_labelling = SimpleNamespace(outputs=AttributesFrozendict(labels={new: "its label"}))
    labels = labels_of(loop)
    assert labels[new] == "its label" and len(labels) == len(loop.order)


def test_failed_replacements_end_nothing(failed_loop, caplog):
    """They are reported, and the round goes on with what it has."""
    loop = failed_loop(0)
    loop.run_replacements()
    loop.ctx.replacement_labelling = SimpleNamespace(
        pk=5, is_finished_ok=False, exit_message="1 of 1 labels failed", outputs=AttributesFrozendict()
    )
    assert loop.inspect_replacements() is None
    assert "the labelling of replacements <5> failed: 1 of 1 labels failed" in caplog.text
    assert len(labels_of(loop)) == len(loop.order) - 1


@pytest.mark.parametrize(
    ("settings", "costs", "count"),
    [
        ({"labelling": {"max_replacements": 0}}, {}, 0),
        ({"labelling": {"max_replacements": 2}}, {}, 2),
        ({"budget": {"labels": 10}}, {"labels": 9}, 1),
        ({"budget": {"labels": 10}}, {"labels": 10}, 0),
    ],
)
def test_no_more_than_settings_and_budget_allow(failed_loop, monkeypatch, settings, costs, count):
    """The most novel of the failed come first."""
    monkeypatch.setattr(steps_module, "costs_of_run", lambda node: Costs(**costs))
    loop = failed_loop(0, 1, 8, **settings)
    loop.run_replacements()
    assert len(loop.submitted) == (1 if count else 0)
    if count:
        structures = loop.submitted[0][2]["structures"]
        assert len(structures) == count
        assert next(iter(structures.values())).creator.inputs.failed.get_list() == loop.order[:count]


def test_step_that_runs_again_finds_its_replacements(failed_loop, monkeypatch):
    """What it had begun before an interruption has used the budget up, and is not given up for that."""
    spent = {"labels": 9}
    monkeypatch.setattr(steps_module, "costs_of_run", lambda node: Costs(**spent))
    loop = failed_loop(0, budget={"labels": 10})
    before = (loop.ctx.picks, loop.ctx.picked)
    loop.run_replacements()
    spent["labels"] = 10
    loop.ctx.picks, loop.ctx.picked = before
    loop.run_replacements()
    first, second = (set(inputs["structures"]) for _, _, inputs in loop.submitted)
    assert first == second and len(first) == 1


def test_nothing_is_replaced_where_nothing_failed(failed_loop):
    loop = failed_loop()
    assert loop.run_replacements() is None
    assert loop.submitted == [] and list(loop.ctx.picks) == ["round_01"]


def test_second_round_begins_without_replacements(failed_loop):
    """Those of the round before are not taken for its own."""
    loop = failed_loop()
    loop.ctx.replacement_labelling = SimpleNamespace(outputs=AttributesFrozendict(labels={"old": "label"}))
    loop.run_replacements()
    assert "old" not in labels_of(loop)
