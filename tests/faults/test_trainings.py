"""Trainings that diverge, fill the disk or lose their program; a compiler that fails."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.engine import run_get_node
from potential_helpers import TINY, labelled_carbide

from aiida_sicmlip.workflows.training.base import TrainingBaseWorkChain
from aiida_sicmlip.workflows.training.training import TrainingWorkChain

pytestmark = pytest.mark.program


@pytest.fixture
def sets(generate_dataset, generate_checkpoint):
    """Two small data sets."""
    generate_checkpoint()
    return {
        "training_set": generate_dataset([labelled_carbide(seed) for seed in range(2)]),
        "validation_set": generate_dataset([labelled_carbide(10)]),
    }


@pytest.fixture
def trained(sets):
    """Runs a small training to its end: program, changed settings."""

    def make(program: Any, **changed: Any) -> Any:
        parameters = {**TINY, "maximum_steps": 4, **changed}
        training = {"code": program.code, **sets, "parameters": parameters, "seed": 1}
        return run_get_node(TrainingBaseWorkChain, training=training)[1]

    return make


def test_loss_that_is_no_number_ends_after_two_tries(program, trained):
    """Repeated with a tenth of the learning rate, and only once."""
    potential = program("sicmlip.training")
    node = trained(potential, optimiser={"learning_rate": 1e40})
    assert (node.exit_status, potential.starts) == (406, 2)
    assert node.exit_message.startswith(
        f"The training diverged again in attempt 2 <{max(child.pk for child in node.called)}>, with a tenth of the "
        "learning rate: check the data set for wrong labels. The loss became not-a-number"
    )


def test_diverged_training_is_restarted(program, trained):
    """Losses that grow to 1e11 and beyond: a tenth of the learning rate gives a potential."""
    potential = program("sicmlip.training")
    node = trained(potential, optimiser={"learning_rate": 3.0})
    assert node.is_finished_ok, node.exit_message
    assert potential.starts == 2
    assert node.outputs.training_curve.get_array("validation_loss").min() < 2.0
    first = min((child for child in node.called if child.process_label == "TrainingCalcJob"), key=lambda node: node.pk)
    assert first.exit_status == 500
    assert first.outputs.training_curve.get_array("validation_loss").min() > 1e6


def test_full_disk_ends_the_training(program, trained):
    """The curve so far is kept, and the error is the system's own."""
    potential = program("sicmlip.training", prepend="trap '' XFSZ\nulimit -f 30")
    node = trained(potential)
    assert (node.exit_status, potential.starts) == (404, 1)
    assert node.exit_message.endswith("failed: The training stopped with an error: [Errno 27] File too large")
    assert "training_curve" in node.outputs


def test_program_that_is_gone(program, trained):
    """What the shell says of it reaches the user."""
    potential = program("sicmlip.training")
    potential.script.unlink()
    node = trained(potential)
    assert node.exit_status == 404
    assert "The training left no report: " in node.exit_message
    assert f"{potential.script}: No such file or directory" in node.exit_message


def test_compiler_that_fails_is_tried_twice(program, sets):
    """The potential is an output nevertheless: it was trained, and can be compiled elsewhere."""
    potential = program("sicmlip.training", 'if [ "$1" = compile ]; then echo "c++: internal error" >&2; exit 1; fi')
    code = {"code": potential.code}
    training = {**code, "parameters": {**TINY, "maximum_steps": 4}, "seed": 1}
    node = run_get_node(TrainingWorkChain, training=training, compilation=code, evaluation=code, **sets)[1]
    again = node.base.links.get_outgoing(link_label_filter="compilation_again").one().node
    assert (node.exit_status, potential.starts) == (402, 3)
    assert node.exit_message == (
        f"The compilation <{again.pk}> failed: The compilation stopped with an error: c++: internal error"
    )
    assert node.outputs.potential.species == ["C", "Si"]
