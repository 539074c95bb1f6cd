"""Diagram of the history of a model, with a row of boxes for each round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes

COLUMNS = ("driven by", "frames of", "labelled with", "training set", "model")
"""Headings of the columns, from left to right."""
COLOURS = ("#f6ecd8", "#dbe9f6", "#dbe9f6", "#efe3f3", "#e4f1df")
EDGES = ("#b8862f", "#4a7fb5", "#4a7fb5", "#8a5a9e", "#5b9a48")
WIDTH, HEIGHT = 0.86, 0.62
"""Size of a box, in units of the distance of columns and rows."""


@dataclass(frozen=True)
class LineageRow:
    """A row of the diagram.

    title: text before the row.
    boxes: text of the box in each column, with newlines between lines; None for no box.
    drives: index of a later row whose exploration the model of this row drove; None if there is none.
    """

    title: str
    boxes: tuple[str | None, ...]
    drives: int | None = None


def plot_lineage(axes: Axes, rows: Sequence[LineageRow], notes: Sequence[str] = ()) -> Axes:
    """Draw rows of boxes, with arrows along each row and from a model to the explorations that it drove.

    :param notes: lines of text below the rows.
    """
    for column, name in enumerate(COLUMNS):
        axes.text(column, 0.62, name, ha="center", va="bottom", fontsize="small", color="#5b6470")
    for number, row in enumerate(rows):
        axes.text(-0.62, -number, row.title, ha="right", va="center", fontsize="small", color="#16202b")
        filled = [column for column, text in enumerate(row.boxes) if text is not None]
        for column in filled:
            _draw_box(axes, column, -number, row.boxes[column] or "")
        for left, right in pairwise(filled):
            _draw_arrow(axes, [(left + WIDTH / 2, -number), (right - WIDTH / 2, -number)])
        if row.drives is not None:
            height, last = -number - 0.5, len(COLUMNS) - 1
            axes.plot([last, last, 0, 0], [-number - HEIGHT / 2, height, height, height], color="#7d8590", linewidth=1)
            _draw_arrow(axes, [(0, height), (0, -row.drives + HEIGHT / 2)])
    for index, line in enumerate(notes):
        axes.text(-0.45, -len(rows) + 0.2 - 0.28 * index, line, ha="left", va="center", fontsize="small")
    axes.set_xlim(-1.5, len(COLUMNS) - 0.5)
    axes.set_ylim(-len(rows) + 0.1 - 0.28 * len(notes), 0.9)
    axes.set_axis_off()
    return axes


def _draw_box(axes: Axes, column: int, height: float, text: str) -> None:
    """Draw a box with centred text."""
    from matplotlib.patches import FancyBboxPatch

    corner = (column - WIDTH / 2, height - HEIGHT / 2)
    style = "round,pad=0,rounding_size=0.06"
    axes.add_patch(
        FancyBboxPatch(corner, WIDTH, HEIGHT, boxstyle=style, facecolor=COLOURS[column], edgecolor=EDGES[column])
    )
    axes.text(column, height, text, ha="center", va="center", fontsize="small", color="#16202b", linespacing=1.3)


def _draw_arrow(axes: Axes, ends: Sequence[tuple[float, float]]) -> None:
    """Draw an arrow from one point to another."""
    axes.annotate(
        "", xy=ends[1], xytext=ends[0], arrowprops={"arrowstyle": "-|>", "color": "#7d8590", "shrinkA": 0, "shrinkB": 0}
    )
