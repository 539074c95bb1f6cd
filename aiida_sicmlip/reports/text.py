"""Times and tables as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cells:
    """A table before it is written as text or HTML.

    header: of each column; a newline parts the heading of a group of columns, which its first one has, from its own.
    rows: of cells, as many as the header has.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def text(self) -> str:
        """The table as text."""
        return table(self.header, self.rows)


def duration(seconds: float) -> str:
    """Return a time as people say it: ``48 s``, ``3 min 05 s``, ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def text_of(cells: Cells | None) -> str | None:
    """Return a table as text, or None where there is none."""
    return None if cells is None else cells.text


def or_dash(value: object) -> str:
    """Return a value as text, or a dash where it is not known."""
    return "-" if value is None else str(value)


def number(value: float | None, digits: int = 4, scale: float = 1.0) -> str:
    """Return a number, times a scale, with ``digits`` digits after the point, or a dash where it is not known."""
    return "-" if value is None else f"{scale * value:.{digits}f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with aligned columns; the first to the left, numbers to the right."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(len(line) for cell in column for line in cell.split("\n")) for column in columns]

    def line(cells: Sequence[str]) -> str:
        parts = [cells[0].ljust(widths[0])]
        parts += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "  ".join(parts).rstrip()

    heads = [cell.split("\n") for cell in header]
    height = max(len(head) for head in heads)
    padded = [[""] * (height - len(head)) + head for head in heads]
    lines = [line([head[row] for head in padded]) for row in range(height)]
    return "\n".join([*lines, "  ".join("-" * width for width in widths), *(line(row) for row in rows)])
