"""What a run leaves for another one, read from a graph that is made by hand."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
from aiida_sicmlip.tools.continuation import continued_run, outputs_of_run
from tests.graphs.explorations import Explored
from tests.graphs.interrupted_run import made_parent


@pytest.fixture
def explored(aiida_profile_clean, divacancy, variables):
    return Explored(divacancy, variables)


@pytest.fixture
def make(explored, edip, generate_dataset, generate_compiled_potential, portable_potential):
    """Makes the run: its state."""

    def make(state=ProcessState.FINISHED):
        return made_parent(explored, edip, generate_dataset, (portable_potential, generate_compiled_potential()), state)

    return make


def pks(nodes):
    """Return the PKs of nodes by their names."""
    return {name: node.pk for name, node in nodes.items()}


def test_latest_data_and_last_potential(make):
    """Labels of the round whose training failed are there, and the potential of the round before."""
    parent = make()
    found = outputs_of_run(parent.run)
    assert pks(found.sets) == pks(parent.sets[1])
    assert found.potential.pk == parent.potential.pk
    assert found.compiled_potential.pk == parent.compiled_potential.pk
    assert found.assessment.pk == parent.assessment.pk


def test_rounds_segments_and_seeds_go_on(make):
    """Two rounds of two segments each: the next round is the third, its first segment the fifth."""
    parent = make()
    found = outputs_of_run(parent.run)
    assert (found.next_round, found.n_segments) == (2, 4)
    assert found.seed.pk == parent.seeds[1].pk
    assert {name: [node.pk for node in given.values()] for name, given in found.trajectories.items()} == {
        "divacancy": [node.pk for node in parent.segments[1]]
    }
    candidates = {f"round_{index:02d}": node.inputs.candidates.pk for index, node in enumerate(parent.selections)}
    assert pks(found.candidates) == candidates
    picks = {f"round_{index:02d}": node.outputs.picks.pk for index, node in enumerate(parent.selections)}
    assert pks(found.picks) == {**picks, "round_00_replacements": parent.replacement_picks.pk}


def test_picks_whose_labels_are_in_no_data_set_may_be_picked_again(make, explored):
    """A run that ended while it labelled: its candidates are there, as if nothing had been picked of them."""
    parent = make()
    seeds = explored.process(orm.CalcFunctionNode, "", parent.run, "round_02_seeds")
    explored.output(seeds, "next_round", orm.Int(102))
    explored.selection(parent.run, 2, [explored.segment(biased=False)], n_training=8, n_validation=3, separation=0.5)
    found = outputs_of_run(parent.run)
    assert sorted(found.candidates) == ["round_00", "round_01", "round_02"]
    assert sorted(found.picks) == ["round_00", "round_00_replacements", "round_01"]
    assert (found.next_round, found.n_segments, found.seed.value) == (3, 5, 102)


def test_run_that_continued_another_hands_on_what_it_was_given(make):
    """A run that ended before its first selection leaves what it began with."""
    parent = make()
    first = outputs_of_run(parent.run)
    second = orm.WorkChainNode(process_type=ACTIVE_LEARNING)
    given = {
        "bootstrap_potential": first.compiled_potential,
        "initial__potential": first.potential,
        "seed": first.seed,
        "initial__first_round": orm.Int(first.next_round).store(),
        "initial__n_segments": orm.Int(first.n_segments).store(),
        "initial__assessment": first.assessment,
        **{f"initial__{name}": node for name, node in first.sets.items()},
        **{f"initial__candidates__{name}": node for name, node in first.candidates.items()},
        **{f"initial__picks__{name}": node for name, node in first.picks.items()},
        **{f"initial__trajectories__divacancy__{name}": node for name, node in first.trajectories["divacancy"].items()},
    }
    for name, node in given.items():
        second.base.links.add_incoming(node, LinkType.INPUT_WORK, name)
    second.store()
    second.set_process_state(ProcessState.KILLED)
    again = outputs_of_run(second)
    for name in ("sets", "candidates", "picks"):
        assert pks(getattr(again, name)) == pks(getattr(first, name))
    assert (again.next_round, again.n_segments, again.seed.pk) == (2, 4, first.seed.pk)
    assert again.compiled_potential.pk == first.compiled_potential.pk
    assert again.potential.pk == first.potential.pk and again.assessment.pk == first.assessment.pk
    assert pks(again.trajectories["divacancy"]) == pks(first.trajectories["divacancy"])


def test_running_run_is_not_continued(make):
    parent = make(ProcessState.WAITING)
    with pytest.raises(InputError, match="is still running; wait until it has ended"):
        outputs_of_run(parent.run)


def test_the_run_that_another_one_continues(make, explored):
    """Told by what it took over; a run that was given the same labels alone continues none."""
    parent = make()
    given = {
        "max_rounds": orm.Int(2).store(),
        "seed": parent.seeds[1],
        "initial__training_set": parent.sets[1]["training_set"],
    }
    loop = ACTIVE_LEARNING
    child = explored.process(orm.WorkChainNode, loop, **given, initial__first_round=orm.Int(2).store())
    assert continued_run(child) == parent.run.pk
    assert continued_run(explored.process(orm.WorkChainNode, loop, **given)) is None
    assert continued_run(parent.run) is None
    # It has picked, but labelled nothing: the seed is its own, the labels are its parent's.
    seeds = explored.process(orm.CalcFunctionNode, "", child, "round_02_seeds")
    explored.output(seeds, "next_round", orm.Int(300))
    given["seed"] = seeds.outputs.next_round
    grandchild = explored.process(orm.WorkChainNode, loop, **given, initial__first_round=orm.Int(3).store())
    assert continued_run(grandchild) == child.pk
