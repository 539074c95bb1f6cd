"""The action PRINT: chosen values as a table, every so many steps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias.directives import Keywords
from aiida_sicmlip.science.bias.tables import TableWriter

_FORMAT = re.compile(r"%[-+ #0]*\d*(\.\d+)?l?[eEfFgG]")


def number_format(text: str, where: str) -> str:
    """Return a format of C for one number as Python takes it.

    :raises InputError: when it does not give one number.
    """
    if not _FORMAT.fullmatch(text):
        raise InputError(f"{where}: `{text}` is no format of one number, such as `%.9f`.")
    return text.replace("l", "")


class Print:
    """Writes the values at ``places``, named ``names``, every ``STRIDE`` steps."""

    def __init__(self, keywords: Keywords, places: Sequence[int], names: Sequence[str], folder: Path, *, restart: bool):
        """Read the keywords.

        :raises InputError: for wrong ones.
        """
        self._places = np.array(places, dtype=np.intp)
        self._names = ["time", *names]
        path = folder / keywords.text("FILE")
        self._stride = keywords.integer("STRIDE", 1)
        fmt = " " + number_format(keywords.text("FMT", "%f"), keywords.where)
        keywords.finish()
        if self._stride < 1:
            raise InputError(f"{keywords.where}: `STRIDE=` must be positive.")
        self._row = " %f" + fmt * len(places)
        self._table = TableWriter(path, append=restart)

    def open(self) -> None:
        """Open the file; one that is there is appended to in a restart, else backed up."""
        self._table.open()

    def update(self, step: int, time: float, values: np.ndarray) -> None:
        """Write a row when it is due: time in the units of plumed.dat, then the chosen ones of ``values``."""
        if step % self._stride == 0:
            self._table.write(self._row % (time, *values[self._places]), self._names)

    def close(self) -> None:
        """Close the file."""
        self._table.close()
