"""Request and result of a set-up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class State(Enum):
    """State of an item of the set-up."""

    FOUND = "found"
    MADE = "made"
    MISSING = "missing"
    DIFFERS = "differs"
    WARNING = "warning"

    @property
    def is_good(self) -> bool:
        """Whether a run can use the item as it is."""
        return self not in (State.MISSING, State.DIFFERS)


@dataclass(frozen=True)
class SetupItem:
    """A line of the table.

    name: of the item.
    state: of the item.
    detail: description of the item, or what to do.
    """

    name: str
    state: State
    detail: str


@dataclass(frozen=True)
class SetupRequest:
    """Options given by the user; ``None`` if an option was not given.

    Fields are named as the options of `aiida-sicmlip setup`, which describes them.

    check: whether to check only.
    replace: whether to create a new code or group if an existing one with this label differs from the request; the
        old one is kept with another label.
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
