"""What the loop does before and after a final run, whose results are made up."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from aiida import orm
from plumpy.utils import AttributesFrozendict

from aiida_sicmlip.common.costs import Costs
from aiida_sicmlip.workflows.active_learning import steps as steps_module
from aiida_sicmlip.workflows.active_learning.final_run import FinalRunWorkChain
from aiida_sicmlip.workflows.active_learning.launch import checked_builder, read_settings
from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain
from tests.graphs.processes import ended

FINAL_RUN = {"production": 0.5, "n_labels": 4, "walkers": 2, "force_mae": 0.2}


@pytest.fixture
def loop_with(chain, write_settings):
    """Makes a run whose round 1 has met the criteria, with settings on top."""

    def make(**settings):
        given = checked_builder(read_settings(write_settings({"final_run": FINAL_RUN, **settings})))._inputs(prune=True)
        loop = chain(ActiveLearningWorkChain, given)
        loop.setup()
        loop.ctx.round, loop.ctx.converged, loop.ctx.n_segments = 1, True, 7
        loop.ctx.seeds = {"exploration": orm.Int(5), "next_round": orm.Int(6)}
        loop.ctx.assessment = orm.Dict({"fitness": {"message": "usable for dynamics of the crystal"}})
        return loop

    return make


def test_free_runs_are_those_of_the_settings(loop_with, monkeypatch, generate_compiled_potential):
    """Unbiased and unrestrained, at the temperature of the exploration, with the new potential."""
    submitted = {}
    monkeypatch.setattr(
        steps_module,
        "submit_once",
        lambda _, process, label, **inputs: submitted.update(inputs, label=label) or ended(),
    )
    loop = loop_with(exploration={"parameters": {"restrained_shell": 1, "temperature": 650.0}})
    loop.ctx.exploring_potential = generate_compiled_potential()
    assert loop.should_run_final_run()
    loop.run_final_run()
    assert submitted["label"] == "round_01_final_run" and submitted["first_segment"].value == 7
    assert submitted["potential"] is loop.ctx.exploring_potential
    assert "bias" not in submitted["walker"]["exploration"]
    parameters = submitted["walker_parameters"]["divacancy"]["condition_00"].get_dict()
    assert (parameters["production"], parameters["temperature"], parameters["restrained_shell"]) == (0.5, 650.0, None)
    assert set(submitted) - {"label"} <= set(FinalRunWorkChain.spec().inputs)


@pytest.mark.parametrize(("labels", "status"), [(20, None), (17, 702)])
def test_final_run_needs_a_budget_for_its_labels(loop_with, monkeypatch, portable_potential, labels, status):
    """Two runs with four labels each, after ten labels."""
    monkeypatch.setattr(steps_module, "costs_of_run", lambda node: Costs(labels=10))
    monkeypatch.setattr(steps_module, "submit_once", lambda *_, **__: ended())
    loop = loop_with(budget={"labels": labels})
    loop.ctx.finished = {"potential": portable_potential}
    found = loop.run_final_run()
    assert getattr(found, "status", None) == status
    if status is not None:
        assert "does not suffice for the final run of round 1" in found.message
        assert "The last potential is usable for dynamics of the crystal. Increase the budget" in found.message
        assert loop.outputs["potential"].pk == portable_potential.pk


def results(met, **changes):
    """Return the results of a final run."""
    values = {"met": met, "fit": True, "message": "the force MAE did not stay below 0.2 eV/A", **changes}
    return orm.Dict(values).store()


def test_labels_of_a_failed_final_run_join_the_training_set(loop_with, generate_dataset):
    """Another round follows; segments of the free runs have numbers of their own."""
    loop = loop_with(max_rounds=3)
    earlier, labelled = generate_dataset(3, seed=1), generate_dataset(2, seed=2)
    loop.ctx.datasets = {"training": earlier, "validation": earlier, "fixed_validation": None}
    trajectories = {"divacancy": {"s07": None, "s08": None}}
    outputs = AttributesFrozendict(results=results(False), labelled_set=labelled, trajectories=trajectories)
    loop.ctx.final_run = SimpleNamespace(is_finished_ok=True, outputs=outputs)
    assert loop.inspect_final_run() is None
    merged = loop.ctx.datasets["training"]
    assert merged.n_frames == 5 and loop.ctx.datasets["validation"].pk == earlier.pk
    assert merged.creator.process_label == "merge_datasets" and loop.ctx.n_segments == 9
    loop.next_round()
    assert not loop.ctx.converged and loop.should_run_round()
    loop.ctx.round = 3
    message = loop.results().message
    assert (
        "after 3 rounds. The last potential is usable for dynamics of the crystal. In its final run the force"
        in message
    )


def test_passed_final_run_ends_the_loop(loop_with, generate_dataset):
    loop = loop_with()
    loop.ctx.datasets = {"training": (training := generate_dataset(3))}
    outputs = AttributesFrozendict(results=results(True), labelled_set=generate_dataset(2, seed=2))
    loop.ctx.final_run = SimpleNamespace(is_finished_ok=True, outputs=outputs)
    loop.inspect_final_run()
    loop.next_round()
    assert loop.ctx.datasets["training"] is training
    assert not loop.should_run_round() and loop.results() is None


def test_broken_final_run_ends_the_run(loop_with, portable_potential):
    loop = loop_with()
    loop.ctx.finished = {"potential": portable_potential}
    loop.ctx.final_run = ended(402, "no label", orm.WorkChainNode)
    code = loop.inspect_final_run()
    assert code.status == 406 and "The final run of round 1" in code.message and "no label" in code.message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_labels": 60}, "`final_run.n_labels` is 60, but a run of 0.5 ps keeps a frame each 0.01 ps"),
        ({"production": 0.0005}, "for `final_run` from `structures.divacancy`: "),
        ({"n_labels": 1}, "`final_run.n_labels` is 1; give a whole number of at least 2"),
        ({"lenght": 1}, "`final_run.lenght` is not a known setting"),
    ],
)
def test_wrong_settings_are_refused_at_submission(write_settings, settings, message):
    from aiida_sicmlip.common.exceptions import InputError

    with pytest.raises(InputError, match=message):
        checked_builder(read_settings(write_settings({"final_run": {**FINAL_RUN, **settings}})), store=False)
