"""`aiida-sicmlip status` and `results`: what they say, and that Ctrl-C does no harm."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.engine import ProcessState
from click.testing import CliRunner

from aiida_sicmlip.cli import main
from aiida_sicmlip.cli.cmd_status import follow
from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
from tests.graphs.processes import process


@pytest.fixture
def run(aiida_profile_clean):
    """A run that has called nothing yet."""
    return process(orm.WorkChainNode, ACTIVE_LEARNING, state=ProcessState.WAITING, max_rounds=orm.Int(2))


def test_status_without_a_terminal_prints_once(run):
    """Where the output goes to a file, the state is printed and the command ends."""
    result = CliRunner().invoke(main, ["status", str(run.pk)])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[0].startswith(f"ActiveLearningWorkChain <{run.pk}>: running")


def test_results_before_the_first_round(run):
    """Nothing to show is said in words."""
    result = CliRunner().invoke(main, ["results", str(run.pk)])
    assert result.exit_code == 0, result.output
    assert "No round has started yet." in result.output


@pytest.mark.parametrize("command", ["status", "results"])
def test_unknown_run_is_one_message(aiida_profile, command):
    """No traceback for a PK that does not exist."""
    result = CliRunner().invoke(main, [command, "987654"])
    assert result.exit_code == 1
    assert "is 987654, and no node is called that" in result.output
    assert "Traceback" not in result.output


def test_interrupt_leaves_the_run_alone(run):
    """Ctrl-C ends the display, and the run is as it was."""

    def interrupt(_):
        raise KeyboardInterrupt

    assert follow(run.pk, interrupt, interval=0.01) is False
    assert orm.load_node(run.pk).process_state is ProcessState.WAITING


def test_follow_ends_with_the_run(run):
    """Each look is shown, the last one after the end."""
    states = []

    def show(found):
        states.append(found.state)
        run.set_process_state(ProcessState.FINISHED)
        run.set_exit_status(0)

    assert follow(run.pk, show, interval=0.01) is True
    assert states == ["waiting", "finished"]
