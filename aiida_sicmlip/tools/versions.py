"""With which versions, on which machine and with how many threads something ran, and what would run now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiida
from aiida import orm

import aiida_sicmlip
from aiida_sicmlip.common.process_types import (
    COLLECTIVE_VARIABLES,
    COMPILATION,
    DESCRIPTORS,
    EVALUATION,
    REFERENCE_LABEL,
    TRAINING_CALCULATION,
)
from aiida_sicmlip.tools.codes import program_versions
from aiida_sicmlip.tools.nodes import input_of, output_of

PACKAGE = "aiida-sicmlip"
_REPORTS = ("results", "output_parameters")
"""Outputs in which a program's versions stand."""
_SPEAKING = (
    *(TRAINING_CALCULATION, COMPILATION, EVALUATION),
    *(REFERENCE_LABEL, COLLECTIVE_VARIABLES, DESCRIPTORS),
)
"""Calculations whose program, `sicmlip`, says its versions when it is asked; another might do something."""
_MACHINE = ("device", "threads", "gpu_architecture")


def recorded_versions(process: orm.ProcessNode) -> dict[str, str]:
    """Return the versions that a process was made with, as far as its nodes say them."""
    versions = {}
    stored = process.base.attributes.get("version", {}) or {}
    if "core" in stored:
        versions["aiida-core"] = stored["core"]
    if "plugin" in stored and _is_own(process):
        versions[PACKAGE] = stored["plugin"]
    report = _report(process)
    versions |= {name: value for name, value in (report.get("versions") or {}).items() if value is not None}
    if report.get("creator_name") and report.get("creator_version"):
        versions[str(report["creator_name"])] = str(report["creator_version"])
    return versions


def present_versions(process: orm.ProcessNode, code: orm.AbstractCode | None = None) -> dict[str, str]:
    """Return the versions that ``process`` would be made with now, as far as they can be known before it runs.

    :param code: what would run it; the code of ``process`` where none is given. A program on another machine is not
        asked.
    """
    versions = {"aiida-core": aiida.__version__}
    if _is_own(process):
        versions[PACKAGE] = aiida_sicmlip.__version__
    code = code or input_of(process, "code")
    of_program = program_versions(code) if code is not None and process.process_type in _SPEAKING else None
    return versions | {name: value for name, value in (of_program or {}).items() if value is not None}


def surroundings(process: orm.ProcessNode) -> dict[str, str]:
    """Return where a process ran: computer, program, processes, device and threads, as far as its nodes say it."""
    where: dict[str, str] = {}
    code = input_of(process, "code")
    if code is not None:
        where["code"] = code.full_label
    if process.computer is not None:
        where["computer"] = f"{process.computer.label} ({process.computer.hostname})"
    options = process.get_options() if isinstance(process, orm.CalcJobNode) else {}
    if options.get("resources"):
        where["resources"] = ", ".join(f"{name} {value}" for name, value in sorted(options["resources"].items()))
    report = _report(process)
    return where | {name: str(report[name]) for name in _MACHINE if report.get(name) is not None}


def changes(then: Mapping[str, str], now: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return ``(name, then, now)`` for each entry that stands in both mappings with another value."""
    return [(name, then[name], now[name]) for name in sorted(set(then) & set(now)) if then[name] != now[name]]


def _is_own(process: orm.ProcessNode) -> bool:
    """Whether a calculation, function or work chain is one of this package."""
    kind = process.process_type or ""
    return ":sicmlip." in kind or kind.startswith("aiida_sicmlip.")


def _report(process: orm.ProcessNode) -> dict[str, Any]:
    """Return what the program of a calculation said about itself; empty where it said nothing."""
    reports = (output_of(process, name) for name in _REPORTS)
    return next((report.get_dict() for report in reports if isinstance(report, orm.Dict)), {})
