"""What selections of a run there are, read from graphs that are made by hand."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_sicmlip.calculations.functions.select_frames import select_frames
from aiida_sicmlip.common.process_types import DESCRIPTORS, EVALUATION
from aiida_sicmlip.science.selection.picks import Picks
from aiida_sicmlip.tools.selections import round_selections
from tests.graphs.explorations import Explored

PICKS = [(0, 4), (0, 20), (1, 2), (1, 9), (1, 28)]


@pytest.fixture
def explored(aiida_profile_clean, divacancy, variables) -> Explored:
    return Explored(divacancy, variables)


def select(explored: Explored, run, index: int):
    segments = [explored.segment(biased=False) for _ in range(2)]
    return explored.selection(run, index, segments, PICKS)


def test_rounds(explored):
    run = explored.run()
    for index in range(2):
        select(explored, run, index)
    # The third round still describes its frames.
    described = explored.process(orm.CalcJobNode, DESCRIPTORS, run, "round_02_descriptors")
    first, second, third = round_selections(run)
    assert [entry.index for entry in (first, second, third)] == [0, 1, 2]
    assert (third.description.pk, third.selection, third.picks, third.candidates) == (described.pk, None, None, None)
    assert (third.described, third.summary, third.force_errors()) == ({}, {}, {})
    assert set(second.picks.get_arraynames()) == set(Picks.names())
    assert second.candidates.pk == second.selection.inputs.candidates.pk
    # Segments are numbered through all rounds.
    assert set(second.picks.get_array("segment")) == {2, 3}
    assert first.summary["n_training"] + first.summary["n_validation"] == len(PICKS)
    assert first.described["n_filtered"] == 60 - len(PICKS)


def test_step_that_was_called_again_counts_once(explored):
    run = explored.run()
    explored.process(orm.CalcJobNode, DESCRIPTORS, run, "round_00_descriptors")
    explored.process(orm.CalcFunctionNode, "", run, "round_00_selection")
    selection = select(explored, run, 0)
    (only,) = round_selections(run)
    assert only.selection.pk == selection.pk
    assert only.description.pk == selection.inputs.candidates.creator.pk


def test_force_errors_are_those_of_the_frames(explored):
    run = explored.run()
    selection = select(explored, run, 0)
    errors = {frame: 0.1 * (place + 1) for place, frame in enumerate(reversed(PICKS))}
    node = explored.evaluation_of_labels(run, 0, selection, errors)
    (found,) = round_selections(run)
    assert found.force_errors() == pytest.approx(errors)
    # As a mean over all frames it is the error that the evaluation has.
    assert node.outputs.results["force_mae"] == pytest.approx(0.3)


def test_failed_evaluation_has_no_errors(explored):
    run = explored.run()
    select(explored, run, 0)
    failed = explored.process(orm.CalcJobNode, EVALUATION, run, "round_00_evaluation_of_exploring_potential")
    failed.set_exit_status(420)
    (found,) = round_selections(run)
    assert found.evaluation.pk == failed.pk
    assert found.force_errors() == {}


def test_graph_made_by_hand_is_like_the_real_one(explored):
    """The same candidates through the calcfunction give outputs of the same names, and the same picks."""
    run = explored.run()
    parameters = {"n_training": 8, "n_validation": 3, "n_fixed_validation": 2, "separation": 0.5}
    made = [explored.selection(run, index, [explored.segment(biased=False)], **parameters) for index in range(2)]
    for index, (selection, entry) in enumerate(zip(made, round_selections(run), strict=True)):
        earlier = {"round_00": made[0].inputs.candidates} if index else {}
        _, real = select_frames.run_get_node(
            orm.Dict({**parameters, "n_candidates": 60}), orm.Int(5), selection.inputs.candidates, **earlier
        )
        outputs = [{link.link_label for link in node.base.links.get_outgoing().all()} for node in (selection, real)]
        assert outputs[0] == outputs[1]
        assert {"picks", "summary"} < outputs[0]
        assert real.outputs.summary.get_dict() == entry.summary
