"""One training over several walltimes: for real, and what happens where a attempt ends in another way."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from potential_helpers import TINY, labelled_carbide

import aiida_sicmlip
from aiida_sicmlip.science.training.settings import with_lower_learning_rate
from aiida_sicmlip.workflows.training.base import TrainingBaseWorkChain
from tests.graphs.processes import ended

CUT_ONCE = """
if [ ! -e {flag} ]; then
  touch {flag}
  sed -i -E 's/"wall_time_limit": [0-9.]+/"wall_time_limit": 0.001/' training.json
fi
"""
"""Lets the first job's time be over after its first validation."""


@pytest.fixture
def potential_code(aiida_localhost, tmp_path):
    """Makes codes of `sicmlip` that run these sources: label, further lines before the program."""
    aiida_localhost.set_minimum_job_poll_interval(0.5)
    sources = Path(aiida_sicmlip.__file__).parent.parent

    def make(label, lines=""):
        return orm.InstalledCode(
            aiida_localhost,
            str(Path(sys.executable).parent / "sicmlip"),
            label=label,
            default_calc_job_plugin="sicmlip.training",
            prepend_text=f"export OMP_NUM_THREADS=1 PYTHONPATH={sources}\n{lines}",
        ).store()

    return make


@pytest.mark.program
def test_a_training_that_the_walltime_cut_reaches_what_an_uninterrupted_one_does(
    potential_code, generate_dataset, generate_checkpoint, tmp_path
):
    """Bit for bit: the curve from its first validation on, the best model's errors, and the packaged weights."""
    from aiida_sicmlip.engine.packaged_model import PackagedModel

    generate_checkpoint()
    sets = {
        "training_set": generate_dataset([labelled_carbide(seed) for seed in range(4)]),
        "validation_set": generate_dataset([labelled_carbide(seed) for seed in (10, 11)]),
    }
    ended = {}
    for name, lines in (("whole", ""), ("cut", CUT_ONCE.format(flag=tmp_path / "cut"))):
        training = {
            **sets,
            "code": potential_code(name, lines),
            "parameters": {**TINY, "maximum_steps": 12},
            "seed": 1,
            "metadata": {"options": {"max_wallclock_seconds": 600}},
        }
        outputs, node = run_get_node(TrainingBaseWorkChain, training=training)
        assert node.is_finished_ok, node.exit_message
        ended[name] = outputs
        assert [child.exit_status for child in node.called] == ([0] if name == "whole" else [400, 0])
    whole, cut = ended["whole"], ended["cut"]
    assert "checkpoint" not in cut
    for column in whole["training_curve"].get_arraynames():
        np.testing.assert_array_equal(
            cut["training_curve"].get_array(column), whole["training_curve"].get_array(column)
        )
    assert cut["training_curve"].get_array("step").tolist() == list(range(2, 13, 2))
    for key in ("best", "final", "best_step", "starting_validation_loss"):
        assert cut["results"][key] == whole["results"][key]
    frame = labelled_carbide(77)
    computed = []
    for name, outputs in ended.items():
        path = tmp_path / f"{name}.nequip.zip"
        path.write_bytes(outputs["potential"].get_content(mode="rb"))
        computed.append(PackagedModel.load(path).compute(frame))
    assert computed[0][0] == computed[1][0]
    np.testing.assert_array_equal(computed[0][1], computed[1][1])


@pytest.fixture
def attempt(generate_checkpoint, portable_potential):
    """Makes calculations that have ended: status, steps of the checkpoint that is left, whether there is a model."""

    def make(status, steps=None, model=False):
        outputs = {}
        if steps is not None:
            outputs["checkpoint"] = generate_checkpoint(steps)
        if model:
            outputs["potential"] = portable_potential.clone()
        return ended(status, "what it said", **outputs)

    return make


@pytest.fixture
def training(chain, generate_code, generate_dataset):
    """Makes a training whose attempts have ended as the given calculations have; all but the last are inspected."""

    def make(*attempts, max_iterations=20):
        given = {
            "code": generate_code("sicmlip.training"),
            "training_set": generate_dataset(4, seed=1),
            "validation_set": generate_dataset(2, seed=2),
            "parameters": {"optimiser": {"learning_rate": 0.01}, "maximum_steps": 7},
            "seed": 3,
        }
        instance = chain(TrainingBaseWorkChain, {"training": given, "max_iterations": orm.Int(max_iterations)})
        instance.setup()
        for number, calculation in enumerate(attempts, start=1):
            instance.ctx.iteration = number
            instance.ctx.children.append(calculation)
            instance.add_list_of_handlers()
            if number < len(attempts):
                assert instance.inspect_process().status == 0
        return instance

    return make


@pytest.mark.parametrize("status", [400, 401, 120])
def test_a_leg_that_was_cut_off_is_continued(training, attempt, status):
    instance = training(attempt(400, 3, model=True), attempt(status, 5))
    assert instance.inspect_process().status == 0
    assert instance.should_run_process()
    assert instance.ctx.inputs.checkpoint.steps == 5


def test_a_walltime_without_a_validation_ends_the_training(training, attempt):
    """The same time would be spent again."""
    code = training(attempt(402)).inspect_process()
    assert code.status == 403 and "ended before a validation" in code.message
    instance = training(attempt(400, 3, model=True), attempt(400, 3, model=True))
    assert instance.inspect_process().status == 403
    assert {"potential", "checkpoint"} <= set(instance.outputs)


def test_a_failed_machine_is_tried_once_more(training, attempt):
    """Before the first validation, from the beginning; and not for ever."""
    instance = training(attempt(140))
    assert instance.inspect_process().status == 0
    assert "checkpoint" not in instance.ctx.inputs
    assert training(attempt(140), attempt(140)).inspect_process().status == 403
    # What was reached in between is no reason to give up.
    instance = training(attempt(140), attempt(401, 2), attempt(140))
    assert instance.inspect_process().status == 0
    assert instance.ctx.inputs.checkpoint.steps == 2


def test_legs_are_bounded(training, attempt):
    """The last attempt's model and state are outputs, so that the training can be continued."""
    instance = training(attempt(400, 3), attempt(400, 5, model=True), max_iterations=2)
    assert instance.inspect_process().status == 401
    assert instance.outputs["checkpoint"].steps == 5 and "potential" in instance.outputs


def test_a_loss_that_is_not_a_number_is_tried_once_with_a_tenth_of_the_rate(training, attempt, caplog):
    """From the beginning, by settings that a calcfunction made."""
    instance = training(attempt(400, 3), attempt(410))
    assert instance.inspect_process().status == 0
    parameters = instance.ctx.inputs.parameters
    assert parameters.get_dict() == {"optimiser": {"learning_rate": pytest.approx(0.001)}, "maximum_steps": 7}
    assert parameters.creator.process_label == "lower_learning_rate"
    assert "checkpoint" not in instance.ctx.inputs
    assert "learning rate of 0.001" in caplog.text
    code = training(attempt(410), attempt(410)).inspect_process()
    assert code.status == 406 and "what it said" in code.message


@pytest.mark.parametrize(("status", "expected"), [(411, 405), (412, 405), (110, 405), (420, 404), (500, 500)])
def test_other_ends_keep_what_there_is(training, attempt, status, expected):
    instance = training(attempt(status, model=True))
    code = instance.inspect_process()
    assert code.status == expected and "what it said" in code.message
    assert "potential" in instance.outputs


def test_the_least_learning_rate_is_not_above_the_lowered_one():
    settings = {"optimiser": {"learning_rate": 0.01}, "schedule": {"minimum_learning_rate": 0.005}}
    lowered = with_lower_learning_rate(settings, 0.1)
    assert lowered["optimiser"]["learning_rate"] == lowered["schedule"]["minimum_learning_rate"]
    assert settings["optimiser"]["learning_rate"] == 0.01
    # The default is lowered where none is given.
    assert with_lower_learning_rate({}, 0.1) == {"optimiser": {"learning_rate": pytest.approx(0.0015)}}
    with pytest.raises(ValueError, match="between 0 and 1"):
        with_lower_learning_rate({}, 1.0)
