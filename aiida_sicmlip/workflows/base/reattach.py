"""Child processes that are called only once, even if the step that calls them is repeated.

The engine saves a work chain after each step. If the daemon is killed during a step, the step is repeated after the
restart; the child processes that it had called before are then identified by their call link labels and not called
again.
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
INTERRUPTED = "The daemon was stopped before this process had finished; its caller has called it again."


def called(node: orm.WorkChainNode, label: str) -> list[orm.ProcessNode]:
    """Return the processes that ``node`` called under ``label``, oldest first."""
    links = node.base.links.get_outgoing(link_type=CALLS, link_label_filter=label).all()
    return sorted((link.node for link in links), key=lambda child: child.pk)


def submit_once(workchain: WorkChain, process: type[Process] | Any, label: str, /, **inputs: Any) -> orm.ProcessNode:
    """Submit ``process`` with the call link label ``label``, or return the child that was submitted with it before.

    :return: the node of the child, for ``ToContext``; it may have terminated already.
    """
    for child in reversed(called(workchain.node, label)):
        if child.is_terminated:
            if child.process_status != INTERRUPTED:
                return child
        elif _revive(child):
            workchain.report(f"reattached to `{label}` <{child.pk}>")
            return child
    metadata = {**inputs.pop("metadata", {}), "call_link_label": label}
    metadata["label"] = metadata.get("label") or label.replace("_", " ")
    child = workchain.submit(process, metadata=metadata, **inputs)
    workchain.report(f"submitted `{label}` <{child.pk}>")
    return child


def run_once(workchain: WorkChain, function: Callable[..., Any], label: str, /, **inputs: Any) -> Any:
    """Run a calcfunction with the call link label ``label``, or return the outputs of the earlier call.

    :return: result of the calcfunction: a node, or a mapping of nodes (nested for output namespaces).
    """
    for child in reversed(called(workchain.node, label)):
        if child.is_finished_ok:
            outputs = child.base.links.get_outgoing(link_type=LinkType.CREATE).nested()
            return outputs["result"] if set(outputs) == {"result"} else outputs
        if not child.is_terminated:
            # A calcfunction runs in the Python process of its caller, which no longer exists.
            _close(child)
    return function(**inputs, metadata={"call_link_label": label, "label": label.replace("_", " ")})


def _revive(child: orm.ProcessNode) -> bool:
    """Ensure that a child which has not terminated will run, and return whether it can.

    If the daemon is killed during a submission, the child has no checkpoint (it can never run), a checkpoint but no
    task in the queue (the task is sent now), or both (nothing to do). The node is stored before its first state is set,
    so that a child without a state was being created as well.

    RabbitMQ lists the tasks that are waiting, but not those that a worker has taken, and a worker takes tasks for all
    of its slots at once. Sending a task for a child that another worker has already taken would run it twice. With
    RabbitMQ, a child that has not started is therefore closed and replaced; the daemon discards the task of a
    terminated process.
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
    """Mark a process that can no longer run as killed."""
    child.set_process_status(INTERRUPTED)
    child.set_process_state(ProcessState.KILLED)
    child.seal()


def queued_processes(broker: Broker) -> set[int] | None:
    """Return the PKs of the processes for which the broker has a task, waiting or taken by a worker.

    :return: PKs; ``None`` for a broker that does not list tasks that are taken.
    """
    storage = getattr(broker, "_storage_path", None)
    if storage is None:
        return None
    # The iterator of the broker moves taken tasks back to the waiting ones, which must not happen while it is running;
    # its files are therefore only read. Tasks can move between the two folders, in either direction, while they are
    # listed.
    folders = [Path(storage) / "tasks" / name for name in ("pending", "processing", "pending")]
    pks = set()
    for folder in folders:
        for path in folder.glob("*.json"):
            try:
                body = json.loads(path.read_text()).get("body") or {}
            except (FileNotFoundError, json.JSONDecodeError):
                continue
            pk = body.get("args", {}).get("pid") if isinstance(body, dict) else None
            if pk is not None:
                pks.add(pk)
    return pks
