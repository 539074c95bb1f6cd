"""Action PRINT: selected values as a table, at a stride."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias.directives import Keywords
from aiida_sicmlip.science.bias.tables import TableWriter

_FORMAT = re.compile(r"%[-+ #0]{0,5}\d{0,2}(\.\d{1,2})?l?[eEfFgG]")
"""Widths and precisions have at most two digits: a row is made in memory."""


def number_format(text: str, where: str) -> str:
    """Return the Python equivalent of a C format of one number.

    :raises InputError: if it is not a format of one number.
    """
    if not _FORMAT.fullmatch(text):
        raise InputError(
            f"{where}: `{text}` is not a format of one number of at most 99 characters; give one such as `%.9f`."
        )
    return text.replace("l", "")


class Print:
    """Writer of selected values every STRIDE steps."""

    def __init__(
        self, keywords: Keywords, indices: Sequence[int], names: Sequence[str], folder: Path, *, restart: bool
    ):
        """Read the keywords.

        :param indices: of the values in the array of values.
        :param names: of the values.
        :raises InputError: for invalid keywords.
        """
        self._indices = np.array(indices, dtype=np.intp)
        self._names = ["time", *names]
        path = folder / keywords.text("FILE")
        self._stride = keywords.integer("STRIDE", 1)
        fmt = " " + number_format(keywords.text("FMT", "%f"), keywords.where)
        keywords.finish()
        if self._stride < 1:
            raise InputError(f"{keywords.where}: `STRIDE=` must be positive.")
        self._row = " %f" + fmt * len(indices)
        self._table = TableWriter(path, append=restart)

    def open(self) -> None:
        """Open the file; an existing file is appended to in a restart, and backed up otherwise."""
        self._table.open()

    def update(self, step: int, time: float, values: np.ndarray) -> None:
        """Write a row at the stride: time in the units of plumed.dat, and the selected ones of ``values``."""
        if step % self._stride == 0:
            self._table.write(self._row % (time, *values[self._indices]), self._names)

    def close(self) -> None:
        """Close the file."""
        self._table.close()
