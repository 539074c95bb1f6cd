"""Ctrl-C in a command: one message, exit status 130, and nothing half done."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from aiida_sicmlip.cli import cmd_run, main
from aiida_sicmlip.cli.interrupts import EXIT_STATUS, RUNS_GO_ON, uninterrupted
from aiida_sicmlip.workflows.active_learning import launch


def press() -> None:
    """Do what Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)


def test_what_belongs_together_is_done_before():
    """The interrupt comes after the block, and the handler before it is back."""
    before = signal.getsignal(signal.SIGINT)
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        press()
        done.append("stored and queued")
    assert done == ["stored and queued"]
    assert signal.getsignal(signal.SIGINT) is before


def test_second_interrupt_does_not_wait():
    """A broker that does not answer holds nobody."""
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        press()
        press()
        done.append("never")
    assert done == []


def test_any_command_ends_with_a_message(monkeypatch):
    monkeypatch.setattr("aiida_sicmlip.cli.cmd_results.load_profile", lambda _: press())
    result = CliRunner().invoke(main, ["results", "1"])
    assert result.exit_code == EXIT_STATUS
    assert RUNS_GO_ON in result.output and "Traceback" not in result.output


@pytest.mark.parametrize(
    ("when", "said"),
    [("before", "Interrupted: nothing was submitted."), ("while", "Interrupted: the run <12> continues.")],
)
def test_run_says_whether_it_was_submitted(monkeypatch, when, said):
    """An interrupt while it submits comes after the run is in the queue."""

    def submit(_):
        press()
        return 12

    monkeypatch.setattr(cmd_run, "load_profile", lambda _: press() if when == "before" else None)
    monkeypatch.setattr(
        launch,
        "checked_continuation",
        lambda *_, **__: (SimpleNamespace(_inputs=lambda **_: {}, bootstrap_potential=None), []),
    )
    monkeypatch.setattr(launch, "submit", submit)
    result = CliRunner().invoke(main, ["run", "demo"])
    assert result.exit_code == EXIT_STATUS
    assert said in result.output and "Traceback" not in result.output
    assert ("Submitted ActiveLearningWorkChain <12>" in result.output) is (when == "while")
