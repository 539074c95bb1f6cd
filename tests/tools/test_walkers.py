"""Which calculations are one biased run, read from graphs that are made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_sicmlip.common.process_types import EXPLORATION
from aiida_sicmlip.reports.exploration import brake_cells, walkers_cells
from aiida_sicmlip.science.dynamics.brake import Stop
from aiida_sicmlip.science.evaluation.calibration import CalibrationSettings, calibrate
from aiida_sicmlip.tools.walkers import biased_walkers, brakes_of_rounds, ends_of_walkers, selected_frames
from tests.graphs.explorations import Explored
from tests.graphs.processes import output, process


@pytest.fixture
def explored(aiida_profile_clean, divacancy, variables) -> Explored:
    return Explored(divacancy, variables)


def test_segments_are_joined_in_order(explored):
    exploration = explored.exploration()
    walkers = [explored.walker(exploration, number) for number in range(2)]
    first = [explored.segment(walker) for walker in walkers]
    second = [explored.segment(walkers[number], first[number]) for number in (1, 0)]
    found = biased_walkers(exploration)
    assert [[node.pk for node in walker.segments] for walker in found] == [
        [first[0].pk, second[1].pk],
        [first[1].pk, second[0].pk],
    ]
    assert {(walker.round, walker.structure, walker.variables.pk) for walker in found} == {
        (None, "vv", explored.variables.pk)
    }
    (alone,) = biased_walkers(walkers[1])
    assert [node.pk for node in alone.segments] == [first[1].pk, second[0].pk]
    (last,) = biased_walkers(second[0])
    assert [node.pk for node in last.segments] == [second[0].pk]
    assert last.structure == explored.structure.get_formula()


def test_unbiased_runs_and_free_walkers_are_left_out(explored):
    exploration = explored.exploration()
    explored.segment(explored.process(orm.WorkChainNode, "", exploration, "unbiased_00"), biased=False)
    explored.segment(explored.walker(exploration), biased=False)
    assert biased_walkers(exploration) == []


def test_rounds(explored):
    run = explored.run()
    explored.exploration(run, 0)
    for index in (0, 1):
        # That of round 0 was called again after an interruption.
        explored.segment(explored.walker(explored.exploration(run, index)))
    assert [walker.round for walker in biased_walkers(run)] == [0, 1]


def test_selected_frames(explored):
    run = explored.run()
    walker = explored.walker(explored.exploration(run, 0))
    first = explored.segment(walker)
    second = explored.segment(walker, first)
    explored.selection(run, 0, [first, second], [(0, 2), (1, 0), (1, 29)])
    assert selected_frames(run, 0) == {first.pk: [0.5], second.pk: [10.0, 17.25]}
    assert selected_frames(run, 1) == {}


def test_frames_in_the_places_of_failed_labels_are_selected_too(explored):
    run = explored.run()
    walker = explored.walker(explored.exploration(run, 0))
    segment = explored.segment(walker)
    explored.selection(run, 0, [segment], n_training=3, n_validation=1, separation=0.0)
    before = selected_frames(run, 0)[segment.pk]
    picks = explored.selections[run.pk][0].picks
    new = explored.replacements(run, 0, [(int(picks.segment[0]), int(picks.frame[0]))])
    assert len(new) == 1
    assert sorted(selected_frames(run, 0)[segment.pk]) == sorted([*before, 0.25 * new.frame[0]])


def test_ends_of_walkers(explored):
    """A walker that the brake stopped, one that is complete, and one that has failed."""
    run = explored.run()
    exploration = explored.exploration(run, 1)
    stop = Stop("disagreement", 1.625, 1.5, 7.25, in_production=True, at_once=False)
    walkers = [explored.walker(exploration, number) for number in range(3)]
    for number, walker in enumerate(walkers[:2]):
        segment = explored.segment(walker)
        segment.outputs.trajectory.base.links.add_incoming(walker, LinkType.RETURN, "trajectories__s00")
        results = orm.Dict({"stopped": stop.to_dict() if number == 0 else None}).store()
        results.base.links.add_incoming(walker, LinkType.RETURN, "results")
    walkers[2].set_exit_status(404)
    walkers[2].set_exit_message("LAMMPS stopped with an error")
    ((index, ends),) = ends_of_walkers(run).items()
    assert index == 1
    assert [(end.name, end.pk) for end in ends] == [(f"walker_{n:02d}", walkers[n].pk) for n in range(3)]
    assert [end.frames for end in ends] == [30, 30, 0]
    assert ends[0].time == ends[1].time == pytest.approx(29 * 0.25) and ends[2].time is None
    assert ends[0].stopped is not None and ends[0].stopped["value"] == 1.625
    assert ends[0].ending == "disagreement of the committee 1.625 eV/A, above 1.5 eV/A, after 7.25 ps of the production"
    assert ends[1].ending == "complete" and "LAMMPS stopped with an error" in ends[2].ending
    cells = walkers_cells({index: ends})
    assert cells is not None and [row[-1] for row in cells.rows] == [end.ending for end in ends]


def test_brakes_of_rounds(explored, edip, generate_compiled_potential):
    """EDIP has no doubts; then one potential alone, a committee with a calibration, and one of too few labels."""
    run = explored.run()
    explored.exploration(run, 0)
    few = calibrate([0.1, 0.2], [0.4, 0.8], CalibrationSettings())
    enough = calibrate(np.linspace(0.2, 1.2, 12), 4.0 * np.linspace(0.2, 1.2, 12), CalibrationSettings(max_error=8.0))
    parameters = orm.Dict({"max_disagreement": 1.7})
    for index, potential, members, calibration in (
        (0, edip, 0, None),
        (1, generate_compiled_potential(), 0, None),
        (2, generate_compiled_potential(), 1, enough),
        (3, generate_compiled_potential(), 2, few),
    ):
        committee = {f"committee__member_{number:02d}": generate_compiled_potential() for number in range(members)}
        given = {"potential": potential, "walker__exploration__parameters": parameters, **committee}
        node = process(orm.WorkChainNode, EXPLORATION, run, f"round_{index:02d}_exploration", **given)
        if calibration is not None:
            output(node, "calibration", orm.Dict(calibration))
    found = brakes_of_rounds(run)
    assert {index: (brake.members, brake.max_disagreement) for index, brake in found.items()} == {
        1: (1, None),
        2: (2, pytest.approx(2.0)),
        3: (3, 1.7),
    }
    cells = brake_cells(found)
    assert cells is not None and brake_cells({}) is None
    assert [row[2:] for row in cells.rows] == [
        ("-", "-", "temperature and distances alone"),
        ("12", "4 (4 to 4)", "2 eV/A"),
        ("2", "-", "1.7 eV/A (settings)"),
    ]
