"""Repetition of processes with their original inputs and without caching."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from aiida import orm
from aiida.common.exceptions import NotExistent
from aiida.common.links import LinkType
from aiida.engine import run_get_node, submit
from aiida.engine.daemon.client import get_daemon_client
from aiida.manage.caching import get_use_cache

from aiida_sicmlip.calculations.functions.count_training_in_steps import count_training_in_steps
from aiida_sicmlip.calculations.validation import Validator, program_of, validate_code
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.process_types import ACTIVE_LEARNING, PW, TRAINING_CALCULATION
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.tools.foreign_shell import metadata_of, require_trust
from aiida_sicmlip.tools.nodes import input_of

CHECKPOINT = "checkpoint"
"""Input and output with which a training continues after its walltime."""
MAX_ATTEMPTS = 50
"""Maximum number of calculations of one training."""


def process_behind(node: orm.Node) -> orm.ProcessNode:
    """Return what has to run for ``node`` to be made again: the process itself, or the creator of data.

    :raises InputError: if nothing made the node, or it did not finish well.
    """
    process = node if isinstance(node, orm.ProcessNode) else node.creator
    if process is None:
        raise InputError(
            f"node <{node.pk}> ({type(node).__name__}) was not created by a process; there is nothing to repeat."
        )
    if isinstance(process, orm.WorkChainNode) and process.process_type != ACTIVE_LEARNING:
        raise InputError(
            f"node <{process.pk}> is a {process.process_label}; give what it made or called (a model, a label, a "
            "trajectory, a selection, a calculation), or an ActiveLearningWorkChain."
        )
    if not process.is_finished:
        raise InputError(f"process <{process.pk}> has not finished, so that there is nothing to compare with.")
    return process


def attempts_of(process: orm.ProcessNode) -> list[orm.ProcessNode]:
    """Return the calculations that led to a process by checkpoints, in order, the process itself last."""
    attempts = [process]
    while (checkpoint := input_of(attempts[0], CHECKPOINT)) is not None and checkpoint.creator is not None:
        attempts.insert(0, checkpoint.creator)
    return attempts


def usable_code(original: orm.AbstractCode, wanted: str | None = None) -> orm.AbstractCode:
    """Return the code to run something again with: the original one where its computer is configured.

    Elsewhere, in a profile into which the graph was imported, the only code here that fits the same program.

    :param wanted: name of another code, which is taken instead.
    :raises InputError: if that does not exist, or no code, or more than one, is in question.
    """
    if wanted is not None:
        try:
            return orm.load_code(wanted)
        except (NotExistent, ValueError) as error:
            raise InputError(f"`code` is {wanted}, and no code is called that: {error}") from error
    user = orm.User.collection.get_default()
    if not isinstance(original, orm.InstalledCode) or original.computer.is_user_configured(user):
        return original
    program = program_of(original)
    fits = _same_file(original) if program is None else validate_code(program)
    here = [
        code
        for code in orm.QueryBuilder().append(orm.InstalledCode).all(flat=True)
        if code.computer.is_user_configured(user) and not code.is_hidden and fits(code, None) is None
    ]
    if len(here) == 1:
        return here[0]
    found = ", ".join(code.full_label for code in here) or "there is none; `aiida-sicmlip setup` makes it"
    name = original.filepath_executable.name if program is None else program.name
    raise InputError(
        f"the code {original.full_label} <{original.pk}> cannot be used in this profile, as its computer is not "
        f"configured here; name another `code` for {name} ({found})."
    )


def _same_file(original: orm.InstalledCode) -> Validator:
    """Return a validator of codes whose file has the name of that of ``original``."""
    return lambda code, _: None if code.filepath_executable.name == original.filepath_executable.name else "another"


def run_again(
    process: orm.ProcessNode,
    code: orm.AbstractCode | None = None,
    replaced: Mapping[str, orm.Data] | None = None,
    *,
    trusted: bool = False,
) -> orm.ProcessNode:
    """Start a process with the inputs of an earlier one, by the daemon if it runs, else here and to the end.

    :param code: what runs it instead of the code of ``process``.
    :param replaced: inputs to take instead of the earlier ones, by name.
    :param trusted: whether shell text that came with an imported process may run.
    :raises InputError: if its class cannot be loaded, the inputs are no longer taken, or it holds such text.
    """
    changed = dict(replaced or {})
    if isinstance(process, orm.CalcFunctionNode):
        inputs = process.base.links.get_incoming(link_type=LinkType.INPUT_CALC).nested()
        _, node = _class_of(process).run_get_node(
            **{**inputs, **changed}, metadata={"disable_cache": True, "label": _label(process)}
        )
        return node
    if process.process_type == TRAINING_CALCULATION:
        settings = settings_in_steps(process, process.inputs.training_set)
        changed |= {} if settings is None else {"parameters": settings}
    builder = restart_builder(process, changed, code=code, trusted=trusted)
    if code is not None:
        builder.code = code
    builder.metadata.disable_cache = True
    builder.metadata.label = _label(process)
    builder.metadata.pop("call_link_label", None)
    return start(builder)


def restart_builder(
    process: orm.ProcessNode,
    replaced: Mapping[str, Any],
    *,
    code: orm.AbstractCode | None = None,
    trusted: bool = False,
) -> Any:
    """Return a builder with the inputs of a process.

    Unlike AiiDA's ``get_builder_restart`` it replaces inputs before their validation, which those of before may fail.

    :param replaced: other inputs by name; those of a namespace are nested.
    :param code: as that of :func:`run_again`; and ``trusted``.
    :raises InputError: if it was imported with shell text that is not trusted.
    """
    if not trusted:
        require_trust(process, code)
    builder = _class_of(process).get_builder()
    inputs = process.base.links.get_incoming(link_type=(LinkType.INPUT_CALC, LinkType.INPUT_WORK)).nested()
    for further in (metadata_of(process), dict(replaced)):
        process.recursive_merge(inputs, further)
    builder._update(inputs)
    return builder


def settings_in_steps(training: orm.ProcessNode, training_set: LabelledDataSetData) -> orm.Dict | None:
    """Return settings in optimiser steps of a training whose stored settings count passes; None for other settings.

    :param training: the calculation.
    :param training_set: the set that it is run again with.
    """
    results = training.outputs.results.get_dict() if "results" in training.outputs else {}
    stored = training.inputs.parameters
    if not any("maximum_epochs" in known for known in (stored.get_dict(), results.get("settings", {}))):
        return None
    packaged = orm.Bool("initial_potential" in training.inputs)
    return count_training_in_steps(stored, training_set, packaged)


def start(builder: Any) -> orm.ProcessNode:
    """Submit to the daemon if it runs; else run here and return when all is done.

    :raises InputError: if an input is not taken.
    """
    try:
        return submit(builder) if daemon_runs() else run_get_node(builder).node
    except (ValueError, TypeError) as error:
        raise InputError(f"it cannot be run again with its inputs: {error}") from error


def daemon_runs() -> bool:
    """Return whether the daemon of the profile runs."""
    return bool(get_daemon_client().is_daemon_running)


def wait(process: orm.ProcessNode, show: Callable[[str], None], interval: float = 1.0) -> orm.ProcessNode:
    """Wait until a process has ended, and show its state whenever that changes; return it."""
    shown = ""
    while True:
        state = state_of(process)
        if state != shown:
            show(f"{process.process_label} <{process.pk}>: {state}")
            shown = state
        if process.is_terminated:
            return process
        time.sleep(interval)


def complete(process: orm.ProcessNode, show: Callable[[str], None]) -> orm.ProcessNode:
    """Wait for a process, continue a training that its walltime ended from its checkpoint, and return the last part."""
    for _ in range(MAX_ATTEMPTS):
        process = wait(process, show)
        outputs = process.outputs
        if not isinstance(process, orm.CalcJobNode) or "potential" in outputs or CHECKPOINT not in outputs:
            break
        process = run_again(process, replaced={CHECKPOINT: outputs[CHECKPOINT]})
    return process


def state_of(process: orm.ProcessNode) -> str:
    """Return the state of a process in words, with what its job or its latest child does."""
    state = process.process_state.value if process.process_state is not None else "created"
    if process.is_terminated:
        return state if not process.exit_status else f"{state} with status {process.exit_status}"
    if isinstance(process, orm.CalcJobNode) and (job := process.get_scheduler_state()) is not None:
        return f"{state}, job {job.value}"
    links = process.base.links.get_outgoing(link_type=(LinkType.CALL_CALC, LinkType.CALL_WORK)).all()
    if links:
        latest = max(links, key=lambda link: link.node.pk)
        return f"{latest.link_label.replace('_', ' ')} <{latest.node.pk}>"
    return state


def require_no_cache() -> None:
    """Check that the profile does not take results out of the cache by itself, which a whole run could not prevent.

    :raises InputError: if it does.
    """
    kinds = (TRAINING_CALCULATION, PW)
    if any(get_use_cache(identifier=kind) for kind in kinds):
        raise InputError(
            "caching is enabled in this profile, so that a run would copy its steps and reproduce nothing; switch it "
            "off with `verdi config set caching.default_enabled false` (and `caching.enabled_for`), and restart the "
            "daemon."
        )


def _class_of(process: orm.ProcessNode) -> Any:
    """Return the class or function of a process.

    :raises InputError: if it is not installed.
    """
    try:
        return process.process_class
    except ValueError as error:
        raise InputError(
            f"the program text of {process.process_label} <{process.pk}> is not installed here: {error}"
        ) from error


def _label(process: orm.ProcessNode) -> str:
    """Return the label of a process that runs another one again."""
    return f"{process.process_label} <{process.pk}> again"
