"""Runs that begin with labels that exist, or go on from another run; the other run is made by hand."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.workflows.active_learning.launch import checked_builder, checked_continuation, read_settings
from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain
from tests.graphs.explorations import Explored
from tests.graphs.interrupted_run import labels_at_level_of, made_parent


@pytest.fixture
def labels(labelled_frames, write_settings):
    """Makes data sets at the level of theory of the protocol `demo`: number of configurations, seed."""
    builder = checked_builder(read_settings(write_settings({})), store=False)
    return labels_at_level_of(builder, labelled_frames)


@pytest.fixture
def explored(divacancy, variables):
    return Explored(divacancy, variables)


@pytest.fixture
def parent(explored, edip, labels, generate_compiled_potential, portable_potential):
    """A run whose second training failed."""
    return made_parent(explored, edip, labels, (portable_potential, generate_compiled_potential()))


def test_run_begins_with_labels_that_exist(chain, write_settings, labels):
    """A training set alone is enough: the first round adds to it and picks its own validation set."""
    given = labels(5)
    path = write_settings({"initial": {"training_set": given.uuid}, "selection": {"parameters": {"n_validation": 2}}})
    loop = chain(ActiveLearningWorkChain, checked_builder(read_settings(path))._inputs(prune=True))
    loop.setup()
    assert loop.ctx.datasets["training"].pk == given.pk
    assert loop.ctx.datasets["validation"] is None and loop.ctx.datasets["fixed_validation"] is None
    assert (loop.ctx.round, loop.ctx.n_segments, loop.ctx.trajectories, loop.ctx.candidates) == (0, 0, {}, {})
    assert loop.should_run_round()


def test_fixed_set_that_is_given_is_not_picked(chain, write_settings, labels):
    sets = {"training_set": labels(3, 1).pk, "fixed_validation_set": labels(2, 2).pk}
    selection = {"parameters": {"n_fixed_validation": 2}}
    loops = []
    for initial in ({}, sets):
        path = write_settings({"initial": initial, "selection": selection})
        loop = chain(ActiveLearningWorkChain, checked_builder(read_settings(path))._inputs(prune=True))
        loop.setup()
        loops.append(loop._picks_fixed_set)
    assert loops == [True, False]


@pytest.mark.parametrize(
    ("initial", "words"),
    [
        ({"trainingset": 1}, "`initial.trainingset` is not a known setting. Did you mean `training_set`"),
        ({"training_set": 999999}, "`initial.training_set` is 999999, and no node is called that"),
        ({"validation_set": "labels"}, "`initial.validation_set` is given without `initial.training_set`"),
        (
            {"training_set": "labels", "validation_set": "labels"},
            "are in an earlier data set, exactly: 0 (which is 0 of",
        ),
        (
            {"training_set": "other level"},
            "Here `functional` is 'B86BPBE' for 2 configurations of `initial.training_set` ",
        ),
    ],
)
def test_labels_that_cannot_be_used(write_settings, labels, labelled_frames, initial, words):
    """Found before anything is spent: labels of another level would be refused after the first labelling only."""
    made = {"labels": lambda: labels(2).pk}
    made["other level"] = lambda: (
        LabelledDataSetData.from_frames(
            labelled_frames(2), [{**labels(1).levels_of_theory[0], "functional": "B86BPBE"}]
        )
        .store()
        .pk
    )
    given = {name: made[value]() if value in made else value for name, value in initial.items()}
    with pytest.raises(InputError) as caught:
        checked_builder(read_settings(write_settings({"initial": given})), store=False)
    assert words in str(caught.value)


def test_run_goes_on_where_another_ended(chain, write_settings, parent):
    """Labels, potential, trajectories, candidates, picks, assessment, numbers and seed are those that it left."""
    path = write_settings({"max_rounds": 1})
    builder, lines = checked_continuation(read_settings(path), str(parent.run.pk))
    assert f"Continues run <{parent.run.pk}>: next round 2" in lines
    assert "Labels taken over: 3 for training, 3 for validation" in lines
    loop = chain(ActiveLearningWorkChain, builder._inputs(prune=True))
    loop.setup()
    context = loop.ctx
    assert {name: node.pk for name, node in context.datasets.items() if node is not None} == {
        "training": parent.sets[1]["training_set"].pk,
        "validation": parent.sets[1]["validation_set"].pk,
    }
    assert context.exploring_potential.pk == parent.compiled_potential.pk
    # Its committee goes on to stop walkers.
    assert {name: node.pk for name, node in context.committee.items()} == {"member_01": parent.compiled_potential.pk}
    assert context.evaluation_of_committee.pk == parent.evaluation.pk
    assert any(line.endswith(f"<{parent.compiled_potential.pk}>, of a committee of 2") for line in lines)
    # A run that a budget ends before its first training has a potential among its outputs.
    assert context.finished["potential"].pk == parent.potential.pk
    assert [node.pk for node in context.trajectories["divacancy"].values()] == [node.pk for node in parent.segments[1]]
    filters = context.filters["divacancy"]
    assert {name: len(node.get_array("kept")) for name, node in filters.items()} == {"s00": 20, "s01": 21}
    assert sorted(context.candidates) == ["round_00", "round_01"]
    assert sorted(context.picks) == ["round_00", "round_00_replacements", "round_01"]
    assert (context.round, context.n_segments, context.seed.pk) == (2, 4, parent.seeds[1].pk)
    assert context.assessment.pk == parent.assessment.pk
    # `max_rounds` counts the rounds of this run.
    assert loop.should_run_round()
    context.round += 1
    assert not loop.should_run_round()


def test_other_descriptors_leave_candidates_out(write_settings, parent):
    """Distances between descriptors of two kinds mean nothing; labels and potential are taken over all the same."""
    path = write_settings({"selection": {"parameters": {"sigma": 0.4}}})
    builder, lines = checked_continuation(read_settings(path), str(parent.run.pk), store=False)
    assert (
        "Candidates of earlier rounds are left out: `sigma` of `selection.parameters` differ from those of that run"
        in lines
    )
    assert not builder.initial.get("candidates") and not builder.initial.get("picks")
    assert builder.initial["training_set"].pk == parent.sets[1]["training_set"].pk


@pytest.mark.parametrize(
    ("what", "words"),
    [("number", "an Int; give the PK or UUID of an ActiveLearningWorkChain"), ("nothing", "has no labels")],
)
def test_what_cannot_be_continued(write_settings, edip, what, words):
    """It is said before anything is built."""
    node = orm.Int(1).store()
    if what == "nothing":
        node = orm.WorkChainNode(process_type=ACTIVE_LEARNING)
        node.base.links.add_incoming(edip, LinkType.INPUT_WORK, "bootstrap_potential")
        node.base.links.add_incoming(orm.Int(1).store(), LinkType.INPUT_WORK, "seed")
        node.store()
        node.set_process_state(ProcessState.EXCEPTED)
    with pytest.raises(InputError, match=words):
        checked_continuation(read_settings(write_settings({})), node.pk)


def test_data_sets_come_from_one_place(write_settings, parent, labels):
    path = write_settings({"initial": {"training_set": labels(2).pk}})
    with pytest.raises(InputError, match=r"`initial` is set, but the continued run <\d+> provides the data"):
        checked_continuation(read_settings(path), str(parent.run.pk))
