"""What would run in a shell if a process from somebody else's archive were run again.

Job scripts hold text of whoever submitted them: lines before and after the program, variables of the environment,
options of the scheduler and of MPI. An import brings them into the profile with the graph. They were never run here,
and are not unless the user says so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sicmlip.common.exceptions import InputError

SHELL_KEYS = (
    "append_text",
    "cmdline",
    "custom_scheduler_commands",
    "environment_variables",
    "extra_params",
    "job_environment",
    "mpirun_extra_params",
    "mpirun_command",
    "prepend_text",
    "prologue",
    "epilogue",
)
"""Keys of options and settings, at any depth, whose values become part of a job script."""


@dataclass(frozen=True)
class ShellText:
    """Text that becomes part of a job script: where it stands in the inputs, and what it says."""

    where: str
    text: str

    def __str__(self) -> str:
        # Control characters of a terminal could hide what follows them.
        shown = self.text if self.text.isprintable() else repr(self.text)
        return f"{self.where}: {shown}"


def imported(nodes: Iterable[orm.Node]) -> set[int]:
    """Return the PKs of those nodes that came with an archive, by this package or by `verdi archive import`."""
    pks = [node.pk for node in nodes]
    if not pks:
        return set()
    builder = orm.QueryBuilder().append(orm.ImportGroup, tag="group")
    builder.append(orm.Node, with_group="group", filters={"id": {"in": pks}}, project="id")
    return set(builder.all(flat=True))


def metadata_of(process: orm.ProcessNode) -> dict[str, Any]:
    """Return the metadata with which a process is run again: what was given of them, over options that are complete."""
    metadata: dict[str, Any] = {}
    if isinstance(process, orm.CalcJobNode):
        # What is not installed here has no options, and cannot be run.
        with contextlib.suppress(ValueError):
            metadata = {"metadata": {"options": process.get_options()}}
    process.recursive_merge(metadata, process.get_metadata_inputs() or {})
    return metadata


def foreign_shell(process: orm.ProcessNode, code: orm.AbstractCode | None = None) -> list[ShellText]:
    """Return the shell text of a process that was imported, if it is run again; nothing for one's own processes.

    :param code: what runs it instead of its own code.
    """
    links = process.base.links.get_incoming(link_type=(LinkType.INPUT_CALC, LinkType.INPUT_WORK)).all()
    inputs = {link.link_label: link.node for link in links}
    if code is not None and "code" in inputs:
        inputs["code"] = code
    codes = {label: node for label, node in inputs.items() if isinstance(node, orm.AbstractCode)}
    foreign = imported([process, *codes.values()])
    found = []
    if process.pk in foreign:
        found += _texts(metadata_of(process), "")
        for label, node in inputs.items():
            if isinstance(node, orm.Dict):
                found += _texts(node.get_dict(), label.replace("__", "."))
    for label, node in codes.items():
        if node.pk in foreign:
            found.append(ShellText(f"{label} <{node.pk}>", f"the program {node.get_executable()} of the archive"))
            found += _texts(node.base.attributes.all, f"{label} <{node.pk}>")
    return found


def require_trust(process: orm.ProcessNode, code: orm.AbstractCode | None = None) -> None:
    """Refuse to run a process again that would run what somebody else has written into it.

    :raises InputError: with what that is.
    """
    found = foreign_shell(process, code)
    if found:
        raise InputError(
            f"{process.process_label} <{process.pk}> was imported, and its job scripts hold text of its author. Read "
            "it, and give `--trust-shell` to run it here:\n" + "\n".join(f"  {text}" for text in found)
        )


def _texts(values: Any, where: str) -> list[ShellText]:
    """Return what the keys of a nested mapping or list hold that become part of job scripts."""
    found = []
    for key, value in values.items() if isinstance(values, Mapping) else enumerate(values):
        path = f"{where}.{key}" if where else str(key)
        if key in SHELL_KEYS and value:
            found.append(ShellText(path, value if isinstance(value, str) else str(value)))
        elif isinstance(value, (Mapping, list, tuple)):
            found += _texts(value, path)
    return found
