"""Which frames collective variables are learned from: those that the filter lets pass, of earlier or unbiased runs."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_sicmlip.workflows.exploration import exploration as exploration_module
from aiida_sicmlip.workflows.exploration import walkers as walkers_module
from aiida_sicmlip.workflows.exploration.exploration import ExplorationWorkChain
from tests.workflows.exploration.test_failures import walker


@pytest.fixture
def given(inputs):
    """Inputs of the exploration of a round of the protocol `demo`."""
    shared = {key: inputs[key] for key in ("structures", "hosts")}
    return {**inputs["exploration"], **shared, "potential": inputs["bootstrap_potential"], "seed": orm.Int(1)}


@pytest.fixture
def submitted(monkeypatch):
    """What is submitted, by call label."""
    calls = {}

    def submit(workchain, process, label, **inputs):
        calls[label] = inputs
        return orm.WorkChainNode().store()

    for module in (exploration_module, walkers_module):
        monkeypatch.setattr(module, "submit_once", submit)
    return calls


def kept(*numbers):
    node = orm.ArrayData()
    node.set_array("kept", np.array(numbers, dtype=np.int64))
    return node.store()


def test_filters_of_earlier_runs_go_with_their_segments(chain, given, submitted, generate_segment):
    """Segments are numbered anew for each structure, and their filters with them."""
    segments = {"s04": generate_segment(0), "s06": generate_segment(1)}
    passing = kept(0, 5, 7)
    earlier = {"earlier": {"divacancy": segments}, "earlier_filters": {"divacancy": {"s06": passing}}}
    instance = chain(ExplorationWorkChain, {**given, **earlier})
    instance.setup()
    assert not instance.should_run_unbiased()
    instance.prepare_variables()
    instance.ctx.window_size = 1
    instance.run_variables()
    inputs = submitted["variables_divacancy"]
    assert {name: node.uuid for name, node in inputs["trajectories"].items()} == {
        "s00": segments["s04"].uuid,
        "s01": segments["s06"].uuid,
    }
    assert {name: node.uuid for name, node in inputs["filters"].items()} == {"s01": passing.uuid}


def test_a_failed_round_leads_to_unbiased_runs(chain, given, generate_segment):
    """Where no frame of the round before passes the filter, variables are learned from unbiased runs again."""
    earlier = {
        "earlier": {"divacancy": {"s00": generate_segment(0)}},
        "earlier_filters": {"divacancy": {"s00": kept()}},
    }
    instance = chain(ExplorationWorkChain, {**given, **earlier})
    instance.setup()
    assert instance.should_run_unbiased()
    del given["unbiased"]
    with pytest.raises(ValueError, match=r"trajectories \(`earlier.divacancy`\) with frames that pass their filters"):
        chain(ExplorationWorkChain, {**given, **earlier})


def test_unbiased_runs_are_filtered(chain, given, submitted, generate_segment):
    """A frame of an unbiased run in which atoms come too close is not learned from; without any left, there is none."""
    given["filter"] = orm.Dict({"min_distance": 1.2})
    segment = generate_segment(0, n_frames=3)

    def run(*distances):
        rows = orm.ArrayData()
        for name, column in {
            "step": segment.steps(),
            "production": np.ones(3, dtype=bool),
            "potential_energy": np.zeros(3),
            "max_force": np.ones(3),
            "min_distance": np.array(distances),
        }.items():
            rows.set_array(name, column)
        instance = chain(ExplorationWorkChain, given)
        instance.setup()
        ended = walker(0, trajectories__s00=segment.clone(), thermodynamics__s00=rows)
        instance.ctx.pks, instance.ctx.start_of = {"unbiased_00": ended.pk}, {"unbiased_00": "divacancy"}
        return instance, instance.inspect_unbiased()

    instance, code = run(1.5, 0.9, 1.6)
    assert code is None
    assert instance.ctx.earlier_filters["divacancy"]["s00"].get_array("kept").tolist() == [0, 2]
    assert sorted(instance.outputs["unbiased_thermodynamics"]["divacancy"]) == ["s00"]
    _, code = run(1.0, 0.9, 1.1)
    assert code.status == 402 and "no frame passes `filter`" in code.message
