"""Processes made by hand, as the engine leaves them: inputs, caller, state and outputs."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState


def process(
    kind: type,
    process_type: str = "",
    caller: Any = None,
    label: str = "",
    *,
    state: ProcessState = ProcessState.FINISHED,
    status: int | None = 0,
    version: dict[str, str] | None = None,
    **inputs: Any,
) -> Any:
    """Return a stored process, called by ``caller`` under ``label``, with inputs by link label.

    :param status: where it has finished.
    :param version: of AiiDA and the package that ran it.
    """
    is_work = kind is orm.WorkChainNode
    node = kind(process_type=process_type)
    for name, given in inputs.items():
        node.base.links.add_incoming(stored(given), LinkType.INPUT_WORK if is_work else LinkType.INPUT_CALC, name)
    if caller is not None:
        node.base.links.add_incoming(caller, LinkType.CALL_WORK if is_work else LinkType.CALL_CALC, label)
    if process_type:
        node.set_process_label(process_type.rsplit(":", maxsplit=1)[-1])
    if version is not None:
        node.base.attributes.set("version", version)
    node.store()
    node.set_process_state(state)
    if state is ProcessState.FINISHED:
        node.set_exit_status(status)
    return node


def ended(status: int = 0, message: str | None = None, kind: type = orm.CalcJobNode, **outputs: Any) -> Any:
    """Return a process that has ended with ``status`` and made ``outputs``."""
    node = process(kind)
    for label, data in outputs.items():
        output(node, label, data)
    end(node, status, message)
    return node


def output(node: Any, label: str, data: Any) -> Any:
    """Store what a process made, or a work chain handed out, and return it."""
    is_work = isinstance(node, orm.WorkChainNode)
    # What is handed out was made elsewhere, and is there already.
    data = stored(data) if is_work else data
    data.base.links.add_incoming(node, LinkType.RETURN if is_work else LinkType.CREATE, label)
    return data.store()


def end(node: Any, status: int, message: str | None = None) -> None:
    """Let a process end with a status."""
    node.set_process_state(ProcessState.FINISHED)
    node.set_exit_status(status)
    if message is not None:
        node.set_exit_message(message)


def stored(data: Any) -> Any:
    """Return data, stored where they were not."""
    return data if data.is_stored else data.store()
