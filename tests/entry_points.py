"""Entry points that an installation older than its sources does not know, announced for the tests alone."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def announce_entry_points(folder: Path) -> None:
    """Announce what ``pyproject.toml`` declares and the installation lacks, here and in processes started from here.

    An editable installation follows its sources in all but this. Nothing is done where it is up to date.
    """
    if sys.version_info < (3, 11):
        return
    import tomllib

    declared = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["entry-points"]
    try:
        known = {(entry.group, entry.name) for entry in distribution("aiida-sicmlip").entry_points}
    except PackageNotFoundError:
        return
    missing = {
        group: {name: value for name, value in entries.items() if (group, name) not in known}
        for group, entries in declared.items()
    }
    lines = [
        line
        for group, entries in missing.items()
        if entries
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    if not lines:
        return
    described = folder / "sicmlip_of_tests-0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: sicmlip-of-tests\nVersion: 0\n")
    (described / "entry_points.txt").write_text("\n".join(lines) + "\n")
    sys.path.append(str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(folder)])
