"""Walkers that start from states which the walkers of the round before found."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from ase.geometry import find_mic

from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.science.defects.hops import find_defect_sites
from aiida_sicmlip.science.dynamics.lammps_input import rotation_to_lammps
from aiida_sicmlip.tools.lineage.rounds import origins_of_states
from aiida_sicmlip.workflows.exploration import walkers as walkers_module
from aiida_sicmlip.workflows.exploration.exploration import ExplorationWorkChain
from aiida_sicmlip.workflows.exploration.starts import last_walkers
from tests.engine.programs.test_cv import write_dcd


@pytest.fixture
def segment(divacancy, divacancy_host, tmp_path):
    """A trajectory of the 14-atom divacancy in which a C atom becomes an antisite after 10 of 40 frames."""
    vacant = next(site for site in find_defect_sites(divacancy, divacancy_host).sites if site["species"] == "Si")
    cell, rotation = rotation_to_lammps(divacancy.cell.array)
    distances = find_mic(divacancy.positions - vacant["position"], divacancy.cell)[1]
    jumping = min((atom for atom, symbol in enumerate(divacancy.symbols) if symbol == "C"), key=lambda a: distances[a])
    frames = []
    for number in range(40):
        frame = divacancy.copy()
        if number >= 10:
            frame.positions[jumping] = vacant["position"]
        frame.positions += np.random.default_rng(number).normal(0, 0.08, frame.positions.shape)
        frame.positions = frame.positions @ rotation
        frame.set_cell(cell)
        frames.append(frame)
    write_dcd(tmp_path / "walk.dcd", frames)
    return SegmentTrajectoryData(
        tmp_path / "walk.dcd",
        filename="trajectory.dcd",
        symbols=divacancy.get_chemical_symbols(),
        cell=divacancy.cell.array,
        n_frames=40,
        steps_between_frames=50,
    ).store()


@pytest.fixture
def walk(chain, inputs, segment, variables, monkeypatch):
    """Makes an exploration up to its walkers, and returns it with their inputs; inputs that differ."""

    def make(**changes):
        submitted = {}

        def submit(workchain, process, label, **run):
            submitted[label] = run["exploration"]
            return orm.WorkChainNode().store()

        monkeypatch.setattr(walkers_module, "submit_once", submit)
        given = {
            **inputs["exploration"],
            **{key: inputs[key] for key in ("structures", "hosts")},
            "potential": inputs["bootstrap_potential"],
            "seed": orm.Int(1),
            "collective_variables": {"divacancy": variables},
            "earlier": {"divacancy": {"s02": segment}},
            **changes,
        }
        instance = chain(ExplorationWorkChain, given)
        instance.setup()
        instance.out = lambda *_: None
        instance.prepare_walkers()
        instance.ctx.window_size = 100
        instance.run_walkers()
        return instance, submitted

    return make


def test_a_share_of_the_walkers_starts_from_a_state(walk, inputs, caplog):
    """Half of three walkers, rounded down; in all else they are walkers of the start structure."""
    start = inputs["structures"]["divacancy"]
    instance, submitted = walk(walkers=3, start_from_states=0.5)
    assert [submitted[f"walker_{number:02d}"]["structure"].uuid == start.uuid for number in range(3)] == [
        *(True, True, False)
    ]
    state = submitted["walker_02"]["structure"]
    assert "state 1, C_Si + 2 V_C, was visited for 1.5 ps" in caplog.text
    assert state.base.links.get_incoming().one().link_label == "state_01__frame_s02_000024"
    for name in ("host", "collective_variables", "bias"):
        assert submitted["walker_02"][name].uuid == submitted["walker_00"][name].uuid
    assert len({run["seed"].value for run in submitted.values()}) == 3
    assert instance.ctx.start_of["walker_02"] == "divacancy"
    assert origins_of_states([state.pk, start.pk]) == {state.pk: (start.pk, "_state_01")}


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"walkers": 1, "start_from_states": 0.9}, 0),
        ({"walkers": 2, "start_from_states": 0.0}, 0),
        ({"walkers": 2, "start_from_states": 1.0, "earlier": {}}, 0),
        # One state is found: both start from it.
        ({"walkers": 2, "start_from_states": 1.0}, 2),
    ],
)
def test_how_many_start_from_states(walk, inputs, changes, number):
    _, submitted = walk(**changes)
    start = inputs["structures"]["divacancy"].uuid
    assert sum(run["structure"].uuid != start for run in submitted.values()) == number


def test_a_state_that_the_filter_leaves_out_is_not_started_from(walk, inputs):
    kept = orm.ArrayData()
    kept.set_array("kept", np.arange(9))
    filters = {"divacancy": {"s02": kept.store()}}
    _, submitted = walk(walkers=2, start_from_states=1.0, earlier_filters=filters)
    assert {run["structure"].uuid for run in submitted.values()} == {inputs["structures"]["divacancy"].uuid}


def test_share_is_one(walk):
    with pytest.raises(ValueError, match=r"`start_from_states` is 1\.5; give a number of at least 0 and at most 1"):
        walk(start_from_states=1.5)


def test_states_are_visited_at_each_temperature():
    start_of = {f"walker_{number}": "a" if number < 4 else "b" for number in range(6)}
    condition_of = {f"walker_{number}": f"condition_{number // 2}" for number in range(6)}
    assert last_walkers("a", 1, start_of, condition_of) == ["walker_1", "walker_3"]
    assert last_walkers("a", 5, start_of, condition_of) == [f"walker_{number}" for number in range(4)]
    assert last_walkers("b", 0, start_of, condition_of) == last_walkers("c", 2, start_of, condition_of) == []
