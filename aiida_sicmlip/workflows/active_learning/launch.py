"""Prepare and submit a run: from a protocol or a settings file to validated inputs, and to the daemon."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aiida.engine import ProcessBuilder
from aiida.engine import submit as submit_process
from aiida.engine.daemon.client import get_daemon_client

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
from aiida_sicmlip.science.protocol_files import read_overrides, with_assignments
from aiida_sicmlip.tools.nodes import load
from aiida_sicmlip.workflows.active_learning.continuation import continue_from
from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain
from aiida_sicmlip.workflows.protocols.loop import load_protocol, protocol_descriptions


def read_settings(what: str | Path, assignments: Iterable[str] = ()) -> dict[str, Any]:
    """Return the complete settings of a protocol or a YAML file, with assignments on top.

    :param what: name of a protocol, or path of a file.
    :param assignments: such as ``exploration.parameters.temperature=1200``; later ones override earlier ones.
    :raises InputError: if the file cannot be read, an assignment has no ``=``, or a key is unknown.
    """
    overrides: dict[str, Any] = {}
    protocol: str | None = str(what)
    path = Path(what)
    if path.is_file():
        protocol, overrides = read_overrides(path)
    elif path.suffix in (".yaml", ".yml"):
        raise InputError(f"the file `{what}` does not exist. Protocols are: {', '.join(protocol_descriptions())}.")
    return load_protocol(protocol, with_assignments(overrides, assignments))


def checked_builder(settings: Mapping[str, Any], store: bool = True) -> ProcessBuilder:
    """Return the builder of a run with validated inputs.

    :param settings: complete, as :func:`read_settings` returns them.
    :param store: whether to store the start structures once all inputs are validated.
    :raises InputError: if an input is invalid; nothing is stored then.
    """
    return checked_continuation(settings, None, store)[0]


def checked_continuation(
    settings: Mapping[str, Any], parent: str | int | None, store: bool = True
) -> tuple[ProcessBuilder, list[str]]:
    """Return the validated builder of a run that continues another one, and a description of what it takes over.

    :param settings: as in :func:`checked_builder`.
    :param parent: PK or UUID of the run to continue; None for a new run.
    :param store: as in :func:`checked_builder`.
    :raises InputError: as in :func:`checked_builder`.
    :return: the builder, and one line for each item that is taken over.
    """
    run = load(parent, [ACTIVE_LEARNING], "continue") if parent is not None else None
    if run is not None and any(node is not None for node in settings["initial"].values()):
        raise InputError(
            f"`initial` is set, but the continued run <{run.pk}> provides the data sets: remove one of the two."
        )

    def build(store: bool) -> tuple[ProcessBuilder, list[str]]:
        builder = ActiveLearningWorkChain.get_builder_from_settings(settings, store=store)
        return builder, [] if run is None else continue_from(builder, run)

    try:
        builder, lines = build(store=False)
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        # The prefix that AiiDA puts before the message of a validator does not help the user.
        raise InputError(str(error).removeprefix("invalid attribute value ")) from error
    problem = ActiveLearningWorkChain.spec().inputs.validate(builder._inputs(prune=True))
    if problem is not None:
        where = problem.port.replace("inputs", "", 1).strip(".")
        raise InputError(f"{where + ': ' if where else ''}{problem.message}")
    return build(store=True) if store else (builder, lines)


def submit(builder: ProcessBuilder) -> int:
    """Submit a run to the daemon and return its PK.

    :raises InputError: if the daemon is not running.
    """
    client = get_daemon_client()
    if not client.is_daemon_running:
        raise InputError(
            f"The daemon is not running; start it with `verdi -p {client.profile.name} daemon start 2` (2 is the "
            "number of workers) and submit again."
        )
    return submit_process(builder).pk
