"""How a command ends that has failed: one message, and the traceback of an internal error in a file."""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import sys
import tempfile
import traceback
from pathlib import Path

from aiida_sicmlip import __version__
from aiida_sicmlip.common.exceptions import SicmlipError

REPORT_PREFIX = "sicmlip-error-"
"""Start of the names of files that hold the traceback of an internal error."""


def known_message(error: BaseException) -> str | None:
    """Return what to tell the user of an error that has a cause outside of the package; None for an internal error."""
    if isinstance(error, SicmlipError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"The memory of this machine does not suffice{f': {error}' if str(error) else ''}."
    if isinstance(error, OSError) and error.strerror:
        # Of a rename, both files matter.
        files = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
        return f"{error.strerror}{': ' if files else ''}{' and '.join(f'`{name}`' for name in files)}."
    return None


def internal_error_message(error: BaseException, program: str) -> str:
    """Write the traceback of an internal error into a new file, and return a message that names it.

    The file is in the current folder, which is that of the job where it is one, or among the temporary ones where that
    folder cannot be written.
    """
    what = " ".join(f"{type(error).__name__}: {error}".split())
    text = "\n".join(
        [
            f"aiida-sicmlip {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"command: {shlex.join([program, *sys.argv[1:]])}",
            "",
            *traceback.format_exception(error),
        ]
    )
    file = _write(text)
    where = "Its traceback could not be written." if file is None else f"Its traceback is in `{file}`."
    return (
        f"internal error, {what[:500]}\nThis is a fault of the program, not of what was given to it. {where} Please "
        "send it, with what was run, to those who maintain aiida-sicmlip."
    )


def end_quietly() -> None:
    """Let the output go nowhere, once its reader has closed it, as `head` does; else Python complains at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _write(text: str) -> Path | None:
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        with contextlib.suppress(OSError):
            descriptor, name = tempfile.mkstemp(prefix=REPORT_PREFIX, suffix=".txt", dir=folder)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as handle:
                handle.write(text)
            return Path(name)
    return None
