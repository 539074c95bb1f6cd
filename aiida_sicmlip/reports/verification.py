"""The checks of a graph as text and as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiida import orm

from aiida_sicmlip.tools.verification import Check

_MOST_PROBLEMS = 20
"""Largest number of problems of a check that are listed, after which only their number is given."""


def verification_lines(node: orm.Node, checks: Sequence[Check]) -> list[str]:
    """Return one line a check, with the problems below it, and a verdict."""
    name = getattr(node, "process_label", None) or type(node).__name__
    lines = [f"{name} <{node.pk}>"]
    for check in checks:
        mark = "ok   " if check.passed else "WRONG"
        lines.append(f"  {mark}  {check.name} ({check.examined} looked at)")
        lines += [f"           {problem}" for problem in check.problems[:_MOST_PROBLEMS]]
        if len(check.problems) > _MOST_PROBLEMS:
            lines.append(f"           and {len(check.problems) - _MOST_PROBLEMS} more")
    wrong = sum(len(check.problems) for check in checks)
    return [*lines, f"{wrong} problems" if wrong else "everything is in order"]


def verification_report(node: orm.Node, checks: Sequence[Check]) -> dict[str, Any]:
    """Return the checks as plain values for JSON."""
    return {
        "pk": node.pk,
        "uuid": node.uuid,
        "passed": all(check.passed for check in checks),
        "checks": [{"name": check.name, "examined": check.examined, "problems": check.problems} for check in checks],
    }
