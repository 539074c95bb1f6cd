"""What the program behind a code says about itself."""

from __future__ import annotations

import json
import subprocess

from aiida import orm

PATIENCE = 30
"""Seconds that a program is given to name its versions."""


def program_versions(code: orm.AbstractCode) -> dict[str, str | None] | None:
    """Return the versions that the program behind ``code`` uses, by package.

    :return: ``None`` where the code is on another machine, or its program does not say.
    """
    if not isinstance(code, orm.InstalledCode) or code.computer.transport_type != "core.local":
        return None
    try:
        answer = subprocess.run(
            [str(code.filepath_executable), "versions"], capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        versions = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, json.JSONDecodeError):
        return None
    return versions if isinstance(versions, dict) else None


def torch_version(code: orm.AbstractCode) -> str | None:
    """Return the version of torch that ``sicmlip`` behind ``code`` uses.

    :return: ``None`` where the code is on another machine, or its program does not say.
    """
    return (program_versions(code) or {}).get("torch")
