"""What a set-up is asked for, and how each thing of it stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class State(Enum):
    """How one thing of the set-up stands."""

    FOUND = "found"
    MADE = "made"
    MISSING = "missing"
    DIFFERS = "differs"
    WARNING = "warning"

    @property
    def is_good(self) -> bool:
        """Whether a run can go on with the thing as it is."""
        return self not in (State.MISSING, State.DIFFERS)


@dataclass(frozen=True)
class SetupItem:
    """One line of the table: the thing's name, how it stands, and what to know or to do about it."""

    name: str
    state: State
    detail: str


@dataclass(frozen=True)
class SetupRequest:
    """What the user asked for; ``None`` stands for what was left open.

    ``check`` only looks. ``replace`` makes a new node or group where one with the same label differs from what was
    asked for, and keeps the old one under another label.
    """

    profile_name: str | None = None
    database: str | None = None
    broker: str | None = None
    work_folder: Path | None = None
    pw: Path | None = None
    pw_mpi: bool | None = None
    lmp: Path | None = None
    sicmlip: Path | None = None
    species: tuple[str, ...] = ("Si", "C")
    pseudo_label: str = "sicmlip"
    pseudo_folder: Path | None = None
    pseudo_files: tuple[Path, ...] = ()
    pseudo_family: str | None = None
    pseudo_install: str | None = None
    start_daemon: bool = False
    workers: int | None = None
    replace: bool = False
    check: bool = False
