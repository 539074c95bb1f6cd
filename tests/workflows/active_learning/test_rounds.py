"""What a round hands from step to step; nodes are made by hand, and where only names count they are text."""

from __future__ import annotations

from typing import Any

import pytest
from aiida import orm

from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.tools.continuation import evaluation_of_committee
from aiida_sicmlip.workflows.active_learning.rounds import (
    committee_inputs,
    extension,
    message_on_counts,
    message_on_window,
    outputs_of_round,
    predicting_potentials,
    renumber_segments,
    selection_inputs,
    sets_to_extend,
    training_inputs,
)
from tests.graphs.processes import ended

GIVEN = {
    "training": {"parameters": "p", "prior": "walls"},
    "prior_settings": "s",
    "evaluation": {"code": "c"},
    "committee_size": 2,
}
"""Inputs that all rounds are given for their trainings."""


def test_segments_count_on_from_round_to_round():
    found = renumber_segments({"a": {"s01": "second", "s00": "first"}, "b": {}}, 12)
    assert found == {"a": {"s12": "first", "s13": "second"}, "b": {}}


def test_labels_stand_behind_those_of_the_set_before(generate_dataset):
    labels = {"frame_s00_000001": "one", "frame_s00_000002": "two", "frame_s00_000003": "failed elsewhere"}
    frames = ["frame_s00_000001", "frame_s00_000002"]
    assert extension(None, labels, frames) == {"label_000000": "one", "label_000001": "two"}
    previous = generate_dataset(3)
    assert extension(previous, labels, frames) == {"previous": previous, "label_000003": "one", "label_000004": "two"}


def test_validation_labels_that_no_new_ones_replace_stay(generate_dataset):
    """Nor do they become training labels: no configuration is ever in both sets."""
    sets = {
        "training": generate_dataset(2, seed=1),
        "validation": generate_dataset(1, seed=2),
        "fixed_validation": None,
    }
    new = {"training": ["frame_s03_000001"], "validation": [], "fixed_validation": []}
    assert sets_to_extend(SelectionSettings(), sets, new) == (sets, {})
    new["validation"] = ["frame_s03_000002"]
    replaced = {**sets, "validation": None}
    merged = {"dataset_00": sets["training"], "dataset_01": sets["validation"]}
    assert sets_to_extend(SelectionSettings(), sets, new) == (replaced, merged)
    assert sets_to_extend(SelectionSettings(replaced_validation="drop"), sets, new) == (replaced, {})
    assert sets_to_extend(SelectionSettings(validation_update="extend"), sets, new) == (sets, {})
    nothing = dict.fromkeys(sets)
    assert sets_to_extend(SelectionSettings(), nothing, new) == (nothing, {})


def test_training_from_scratch_takes_what_is_given():
    inputs = training_inputs(
        GIVEN, seed=orm.Int(3), start=None, fixed_validation_set=None, hosts={"a": "crystal"}, hours_left=2.5
    )
    assert inputs.pop("prolongation_hours").value == 2.5
    assert inputs["training"] == {"parameters": "p", "prior": "walls", "seed": orm.Int(3)}
    assert inputs["evaluation"] == {"code": "c", "hosts": {"a": "crystal"}}
    assert (inputs["prior_settings"], inputs["committee_size"]) == ("s", 2)
    assert "further_sets" not in inputs


def test_training_from_an_earlier_model_fits_no_prior(generate_dataset, portable_potential):
    """The model has its prior in it; what all rounds are given is left as it was."""
    fixed = generate_dataset(1)
    inputs = training_inputs(
        GIVEN, seed=orm.Int(3), start=portable_potential, fixed_validation_set=fixed, hosts={}, hours_left=None
    )
    assert inputs["training"]["initial_potential"] is portable_potential
    assert "prior" not in inputs["training"] and "prior_settings" not in inputs
    assert inputs["further_sets"] == {"fixed_validation": fixed}
    assert GIVEN["training"] == {"parameters": "p", "prior": "walls"} and "prior_settings" in GIVEN


@pytest.mark.parametrize("machines", [{}, {"further_compilations": {"gpu": "for the gpu"}}])
def test_outputs_are_of_a_complete_round(generate_dataset, machines):
    sets = {"training": generate_dataset(1), "validation": generate_dataset(2), "fixed_validation": None}
    training = {"potential": "model", "compiled_potential": "compiled", "evaluations": {}, **machines}
    assert outputs_of_round(training, sets) == {
        "potential": "model",
        "compiled_potential": "compiled",
        "training_set": sets["training"],
        "validation_set": sets["validation"],
        **machines,
    }


def test_counts_say_what_was_asked_for():
    summary = {"n_training": 7, "n_training_asked": 8, "n_validation": 4, "n_validation_asked": 4}
    message = message_on_counts(summary, {"n_frames": 122, "n_overlapping": 1, "n_filtered": 2})
    assert message.startswith("picked 7 of 8 training and 4 of 4 validation configurations from 122 frames")
    assert "window" not in message


def test_committee_of_the_potential_goes_to_the_exploration() -> None:
    """With new labels, if the potential that explored them had a committee, else with the validation set."""
    members: Any = {"member_01": "compiled"}
    alone, on_new, on_validation = (
        orm.Dict(results) for results in ({"force_mae": 1.0}, {"committee": {"n": 1}}, {"committee": {"n": 2}})
    )
    assert evaluation_of_committee(alone, on_validation) is on_validation
    assert evaluation_of_committee(on_new, on_validation) is on_new
    assert evaluation_of_committee(alone, alone) is None
    assert committee_inputs({}, on_new) == {}
    assert committee_inputs(members, None) == {"committee": members}
    assert committee_inputs(members, on_new) == {"committee": members, "evaluation": on_new}


def test_calibration_of_the_exploration_bounds_the_selection() -> None:
    """From the round on in which there is one."""
    parameters, calibration = orm.Dict({"n_training": 8}), orm.Dict({"max_disagreement": 1.2}).store()
    calibrated = ended(0, None, orm.WorkChainNode, calibration=calibration)
    found = selection_inputs(parameters, calibrated)
    assert found["parameters"] is parameters and found["thresholds"].uuid == calibration.uuid
    assert selection_inputs(parameters, ended(0, None, orm.WorkChainNode)) == {"parameters": parameters}


def test_what_the_window_left_out_is_said():
    window = {"max_disagreement": 1.5, "max_force": 30.0, "min_disagreement": None}
    counts = {"n_above_disagreement": 4, "n_above_force": 2, "n_below_disagreement": 0, "n_outside": 5, "n_unknown": 0}
    message = message_on_window({"window": {**window, **counts}}, {"n_outside_window": 7})
    assert message == (
        "; outside the window were 12 frames: of the candidates 4 for `max_disagreement` 1.5 eV/A, "
        "2 for `max_force` 30 eV/A"
    )
    assert message_on_window({"window": {**dict.fromkeys(window), **counts}}, {}) == ""
    assert "is not applied, since it is for a GPU" in message_on_window({}, {"not_predicted": "it is for a GPU"})


def test_candidates_are_predicted_where_something_depends_on_it(generate_compiled_potential, edip):
    potential, other = generate_compiled_potential(), {"member_01": generate_compiled_potential()}
    bounded = SelectionSettings(max_force=30.0)
    assert predicting_potentials(bounded, potential, {}) == {"potential": potential}
    assert predicting_potentials(bounded, potential, other) == {"potential": potential, "committee": other}
    assert predicting_potentials(SelectionSettings(), potential, other) == {"potential": potential, "committee": other}
    assert predicting_potentials(SelectionSettings(), potential, {}) == {}
    # A classical potential explores the first round, and everything there may be picked.
    assert predicting_potentials(bounded, edip, {}) == {}
