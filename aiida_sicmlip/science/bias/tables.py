"""Table files of PLUMED (COLVAR, KERNELS, STATE): `#! FIELDS`, `#! SET` and rows of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from aiida_sicmlip.common.exceptions import InputError

#: Format of PLUMED for numbers that it reads again.
FULL_PRECISION = "%23.16g"
#: Maximum number of backups of a file, as in PLUMED.
MAX_BACKUPS = 100


@dataclass(frozen=True)
class Table:
    """Content of a table file.

    columns: by name, (L,) each.
    constants: values of `#! SET`, as text.
    headers: numbers of the lines `#! FIELDS`, from 1.
    complete: whether the last line has its line break.
    """

    columns: dict[str, np.ndarray]
    constants: dict[str, str]
    headers: tuple[int, ...]
    complete: bool


def read_table(path: Path) -> Table:
    """Read a table.

    If parts were appended with their own headers, the constants are those of the last one. A last row that was
    truncated when the run was killed is ignored.

    :raises InputError: if there is no header, the columns of a part differ from those of the first, or a row is
        invalid.
    """
    names: list[str] = []
    constants: dict[str, str] = {}
    rows: list[list[float]] = []
    headers = []
    # Comments may be in any encoding.
    lines = path.read_bytes().decode("utf-8", "replace").split("\n")
    complete = len(lines) - 1
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if words[:2] == ["#!", "FIELDS"]:
            if names and words[2:] != names:
                raise InputError(f"The columns of `{path}` change in line {number}; it cannot be read as one table.")
            names = words[2:]
            headers.append(number)
        elif words[:2] == ["#!", "SET"] and len(words) == 4:
            constants[words[2]] = words[3]
        elif words and not words[0].startswith("#"):
            try:
                row = [float(word) for word in words]
            except ValueError:
                row = []
            if number > complete:
                continue
            if not names:
                break
            if len(row) != len(names):
                raise InputError(f"Line {number} of `{path}` is not a row of {len(names)} numbers.")
            rows.append(row)
    if not names:
        raise InputError(f"`{path}` has no line `#! FIELDS` before its rows; it is not a table of PLUMED.")
    array = np.array(rows).reshape(-1, len(names))
    columns = {name: array[:, index] for index, name in enumerate(names)}
    return Table(columns, constants, tuple(headers), not lines[-1])


def header(names: Sequence[str], constants: Mapping[str, str | int | float], fmt: str = FULL_PRECISION) -> str:
    """Return the header of a table with these columns and constants, including the last line break."""
    lines = ["#! FIELDS " + " ".join(names)]
    for name, value in constants.items():
        if isinstance(value, str):
            text = value
        elif isinstance(value, int):
            text = f" {value}"
        else:
            text = fmt % value
        lines.append(f"#! SET {name} {text}")
    return "\n".join(lines) + "\n"


def back_up(path: Path) -> None:
    """Rename an existing file to `bck.N.NAME`, as PLUMED does.

    :raises InputError: if there are too many backups.
    """
    if not path.exists():
        return
    for number in range(MAX_BACKUPS + 1):
        backup = path.with_name(f"bck.{number}.{path.name}")
        if not backup.exists():
            path.rename(backup)
            return
    raise InputError(f"`{path}` exists and has {MAX_BACKUPS + 1} backups `bck.N.{path.name}`; remove some of them.")


class TableWriter:
    """Writer of a table. The header is written before the first row; the file is flushed after each row."""

    def __init__(self, path: Path, *, append: bool):
        self._path = path
        self._append = append
        self._file: TextIO | None = None
        self._has_header = False

    def open(self) -> None:
        """Open the file; an existing one is appended to or backed up.

        :raises InputError: if the file cannot be written.
        """
        try:
            if not self._append:
                back_up(self._path)
            self._file = self._path.open(
                "a" if self._append else "w", buffering=1, encoding="utf-8", errors="surrogateescape"
            )
        except OSError as error:
            raise InputError(f"The file `{self._path}` of plumed.dat cannot be written: {error.strerror}.") from error

    def write(self, row: str, names: Sequence[str], constants: Mapping[str, str | int | float] | None = None) -> None:
        """Write a row, given without its line break, and the header before the first one."""
        if self._file is None:
            self.open()
        assert self._file is not None
        if not self._has_header:
            self._file.write(header(names, constants or {}))
            self._has_header = True
        self._file.write(row + "\n")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
