"""Children of a work chain that are called once, however often the step that calls them runs.

The engine saves a work chain after each step. A daemon that is killed inside a step runs that step again when it comes
back; what the step had called by then is found again here by the label of its call link, and not called a second time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.brokers import Broker
from aiida.common.links import LinkType
from aiida.engine import Process, ProcessState, WorkChain
from aiida.manage.manager import get_manager

CALLS = (LinkType.CALL_CALC, LinkType.CALL_WORK)
INTERRUPTED = "The daemon was stopped before this could finish; the step that called it has called it again."


def called(node: orm.WorkChainNode, label: str) -> list[orm.ProcessNode]:
    """Return the processes that ``node`` called under ``label``, oldest first."""
    links = node.base.links.get_outgoing(link_type=CALLS, link_label_filter=label).all()
    return sorted((link.node for link in links), key=lambda child: child.pk)


def submit_once(workchain: WorkChain, process: type[Process] | Any, label: str, **inputs: Any) -> orm.ProcessNode:
    """Submit ``process`` under the call label ``label``, or return the child that was submitted under it before.

    :return: the node of the child, to be handed to ``ToContext``; it may have terminated already.
    """
    for child in reversed(called(workchain.node, label)):
        if child.is_terminated:
            if child.process_status != INTERRUPTED:
                return child
        elif _revive(child):
            workchain.report(f"found `{label}` <{child.pk}> again")
            return child
    metadata = {**inputs.pop("metadata", {}), "call_link_label": label}
    metadata["label"] = metadata.get("label") or label.replace("_", " ")
    child = workchain.submit(process, metadata=metadata, **inputs)
    workchain.report(f"submitted `{label}` <{child.pk}>")
    return child


def run_once(workchain: WorkChain, function: Callable[..., Any], label: str, **inputs: Any) -> Any:
    """Run a calcfunction under the call label ``label``, or return the outputs of the call that finished before.

    :return: what the calcfunction returns: a node, or a mapping of nodes (nested for output namespaces).
    """
    for child in reversed(called(workchain.node, label)):
        if child.is_finished_ok:
            outputs = child.base.links.get_outgoing(link_type=LinkType.CREATE).nested()
            return outputs["result"] if set(outputs) == {"result"} else outputs
        if not child.is_terminated:
            # A function lives in the process that runs it; that one is gone, as its caller runs here and now.
            _close(child)
    return function(**inputs, metadata={"call_link_label": label, "label": label.replace("_", " ")})


def _revive(child: orm.ProcessNode) -> bool:
    """Make sure that a child which has not terminated will run; return whether it can.

    A daemon killed while it submits leaves a child in one of three states: no checkpoint yet (it can never run), a
    checkpoint but no task in the queue (the task is sent now), or both (nothing to do). The node is stored before it is
    told its first state, so that a child without a state is one that was being created too.

    RabbitMQ tells which tasks wait, not which a worker holds, and a worker takes all it has slots for at once. A task
    sent for a child that another worker holds already would make it run twice. There a child that has not begun is
    closed, for another to take its place; the daemon drops the task of a process that has ended.
    """
    if child.process_state not in (None, ProcessState.CREATED):
        return True
    if child.checkpoint is None:
        _close(child)
        return False
    manager = get_manager()
    broker = manager.get_broker()
    if broker is None:
        return True
    queued = queued_processes(broker)
    if queued is None:
        _close(child)
        return False
    if child.pk not in queued:
        manager.get_process_controller().continue_process(child.pk, nowait=False, no_reply=True)
    return True


def _close(child: orm.ProcessNode) -> None:
    """Mark a process that can never go on as killed."""
    child.set_process_status(INTERRUPTED)
    child.set_process_state(ProcessState.KILLED)
    child.seal()


def queued_processes(broker: Broker) -> set[int] | None:
    """Return the pks of the processes for which the broker holds a task, waiting or in work.

    :return: ``None`` for a broker that does not tell those in work.
    """
    storage = getattr(broker, "_storage_path", None)
    if storage is None:
        return None
    # The broker's own iterator moves the tasks that are in work back to the waiting ones, which is meant for a
    # broker that is not running; here it is, so that its files are only read. A task can move between the two folders
    # while they are listed, in either direction.
    folders = [Path(storage) / "tasks" / name for name in ("pending", "processing", "pending")]
    found = set()
    for folder in folders:
        for path in folder.glob("*.json"):
            try:
                body = json.loads(path.read_text()).get("body") or {}
            except (FileNotFoundError, json.JSONDecodeError):
                continue
            pk = body.get("args", {}).get("pid") if isinstance(body, dict) else None
            if pk is not None:
                found.add(pk)
    return found
