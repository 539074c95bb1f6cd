"""Children are called once, whatever the daemon was doing when it was killed."""

from __future__ import annotations

from types import SimpleNamespace

import plumpy
import pytest
from aiida import orm
from aiida.brokers.zeromq.queue import PersistentQueue
from aiida.engine import ProcessState, WorkChain, calcfunction
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_sicmlip.workflows.base.reattach import INTERRUPTED, called, queued_processes, run_once, submit_once


class Child(WorkChain):
    """Does nothing."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.outline(cls.rest)

    def rest(self):
        """Do nothing."""


class Caller(WorkChain):
    """Has its step called by the tests."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.outline(cls.call)

    def call(self):
        """Be called by hand."""


CALLS = []


@calcfunction
def double(number):
    """Return twice the number, and count the calls."""
    CALLS.append(number.value)
    return orm.Int(2 * number.value)


@calcfunction
def halves(number):
    """Return a namespace and a node."""
    return {
        "parts": {"first": orm.Int(number.value // 2), "second": orm.Int(number.value // 2)},
        "whole": number.clone(),
    }


@pytest.fixture
def caller(aiida_profile):
    """A work chain inside one of its steps."""
    process = instantiate_process(get_manager().get_runner(), Caller)
    with process._process_scope():
        yield process


def test_finished_child_is_found_again(caller):
    """A child that has ended by the time the step runs again is not submitted a second time."""
    child = submit_once(caller, Child, "round_00_child")
    child.set_process_state(ProcessState.FINISHED)
    assert submit_once(caller, Child, "round_00_child").pk == child.pk
    assert len(called(caller.node, "round_00_child")) == 1


@pytest.mark.parametrize("state", [ProcessState.RUNNING, ProcessState.WAITING])
def test_active_child_is_found_again(caller, state):
    """A running child is awaited, not submitted a second time."""
    child = submit_once(caller, Child, "child")
    child.set_process_state(state)
    assert submit_once(caller, Child, "child").pk == child.pk


def test_child_with_a_checkpoint_is_found_again(caller):
    """A child that was submitted but had not begun is awaited."""
    child = submit_once(caller, Child, "child")
    child.set_checkpoint("saved")
    assert submit_once(caller, Child, "child").pk == child.pk


@pytest.mark.parametrize("has_state", [True, False], ids=["state", "no state"])
def test_child_that_can_never_run_is_replaced(caller, has_state):
    """Killed between the storing of the child and its checkpoint: it is closed, and another one takes its place."""
    child = submit_once(caller, Child, "child")
    child.delete_checkpoint()
    if not has_state:
        child.base.attributes.delete(child.PROCESS_STATE_KEY)
    second = submit_once(caller, Child, "child")
    assert second.pk != child.pk
    assert child.is_killed and child.is_sealed and child.process_status == INTERRUPTED


def test_failed_child_is_found_again(caller):
    """A failure is an answer: who called decides what to do about it."""
    child = submit_once(caller, Child, "child")
    child.set_process_state(ProcessState.EXCEPTED)
    assert submit_once(caller, Child, "child").pk == child.pk


def test_labels_tell_children_apart(caller):
    """Two labels are two children, and the label becomes the node's too."""
    first, second = (submit_once(caller, Child, label) for label in ("round_00_a", "round_01_a"))
    assert first.pk != second.pk
    assert first.label == "round 00 a"


def test_calcfunction_runs_once(caller):
    """The outputs of a call that finished are taken."""
    CALLS.clear()
    first = run_once(caller, double, "doubled", number=orm.Int(4))
    second = run_once(caller, double, "doubled", number=orm.Int(4))
    assert CALLS == [4]
    assert first.pk == second.pk and second.value == 8


def test_namespaces_of_outputs_come_back_as_they_were(caller):
    """Nested outputs are nested again, whether computed or found."""
    first = run_once(caller, halves, "halves", number=orm.Int(6))
    second = run_once(caller, halves, "halves", number=orm.Int(6))
    assert set(first) == set(second) == {"parts", "whole"}
    assert {name: node.pk for name, node in first["parts"].items()} == {
        name: node.pk for name, node in second["parts"].items()
    }


def test_interrupted_calcfunction_runs_again(caller):
    """A function that was running in the killed process is closed and called again."""
    CALLS.clear()
    run_once(caller, double, "doubled", number=orm.Int(4))
    (call,) = called(caller.node, "doubled")
    interrupted = orm.CalcFunctionNode()
    interrupted.base.links.add_incoming(caller.node, link_type=_call_calc(), link_label="later")
    interrupted.store()
    interrupted.set_process_state(ProcessState.RUNNING)
    assert run_once(caller, double, "later", number=orm.Int(5)).value == 10
    assert CALLS == [4, 5]
    assert interrupted.is_killed and interrupted.is_sealed
    assert call.is_finished_ok


def _call_calc():
    from aiida.common.links import LinkType

    return LinkType.CALL_CALC


def test_queue_of_a_running_broker_is_only_read(tmp_path):
    """Tasks that wait and tasks in work are both seen, and stay where they are."""
    queue = PersistentQueue(tmp_path / "tasks")
    for pk in (11, 12):
        queue.push(f"task{pk}", {"body": plumpy.process_comms.create_continue_body(pid=pk)})
    queue.pop()
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.json"))
    assert queued_processes(SimpleNamespace(_storage_path=tmp_path)) == {11, 12}
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.json")) == before
    assert {path.parent.name for path in before} == {"pending", "processing"}
