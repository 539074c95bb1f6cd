"""Reading of retrieved files, shared by the parsers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_sicmlip.common.killed_jobs import SCHEDULER_STDERR

COMPLETE = ExitCode(0)
"""What a parser returns where everything is there. ``None`` would keep the scheduler's exit code, which
reports a job that ended after its program had finished as out of walltime."""


def read_text(retrieved: orm.FolderData, name: str) -> str | None:
    """Return the text of a retrieved file, or ``None`` where there is none."""
    try:
        return retrieved.base.repository.get_object_content(name, mode="rb").decode("utf-8", errors="replace")
    except FileNotFoundError:
        return None


def scheduler_messages(node: orm.CalcJobNode, retrieved: orm.FolderData) -> str:
    """Return what scheduler and shell wrote to the job's standard error; empty where they wrote nothing."""
    return read_text(retrieved, node.get_option("scheduler_stderr") or SCHEDULER_STDERR) or ""


def read_report(retrieved: orm.FolderData, name: str) -> dict[str, Any] | None:
    """Return the content of a retrieved JSON file, or ``None`` where it is missing or unreadable."""
    text = read_text(retrieved, name)
    try:
        return None if text is None else json.loads(text)
    except json.JSONDecodeError:
        return None


def last_line(retrieved: orm.FolderData, name: str) -> str:
    """Return the last line that holds something of a retrieved file; what programs say when they give up."""
    lines = [line.strip() for line in (read_text(retrieved, name) or "").splitlines() if line.strip()]
    return lines[-1] if lines else "the program left no message"


def last_words(retrieved: orm.FolderData, name: str) -> str:
    """Return what a program that left nothing else said last, or the shell that could not start it."""
    files = (name, SCHEDULER_STDERR)
    lines = [line.strip() for file in files for line in (read_text(retrieved, file) or "").splitlines() if line.strip()]
    return lines[-1] if lines else "the program left no message"


def temporary_file(folder: str, name: str) -> Path | None:
    """Return the path of a temporarily retrieved file, or ``None`` where it is missing or empty."""
    path = Path(folder) / name
    return path if path.is_file() and path.stat().st_size else None
