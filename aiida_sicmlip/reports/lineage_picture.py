"""The lineage of a model as a picture, collapsed by round."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aiida import orm

from aiida_sicmlip.plots.lineage import LineageRow, plot_lineage
from aiida_sicmlip.reports.lineage import counted
from aiida_sicmlip.reports.pictures import new_figure, save_figure
from aiida_sicmlip.tools.lineage import Configuration, Lineage, Model, by_round, sizes_of_datasets

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIRST, LAST = 3, 5
"""Numbers of rounds at the beginning and at the end that are drawn of a long history."""


def draw_lineage(lineage: Lineage, path: Path) -> None:
    """Draw the lineage of a model into ``path``; its ending decides the format.

    :raises InputError: if the ending names no format, or the file cannot be written.
    """
    save_figure(figure_of_lineage(lineage), path)


def figure_of_lineage(lineage: Lineage) -> Figure:
    """Return the picture of :func:`draw_lineage`."""
    rows, notes = lineage_rows(lineage)
    figure = new_figure((9.0, 0.7 + 0.85 * len(rows) + 0.24 * len(notes)))
    plot_lineage(figure.subplots(), rows, notes)
    return figure


def lineage_rows(lineage: Lineage) -> tuple[list[LineageRow], list[str]]:
    """Return a row for each round of the training set and of the models before, and lines on all else.

    Of a long history, rounds in the middle are left out, and a row says how many.
    """
    model = lineage.model
    trained = {one.round: one for one in (*lineage.earlier, model) if one.round is not None}
    taken = by_round(lineage.sets["training"])
    rounds = sorted({*trained, *(where for where in taken if where is not None)})
    entries: list[_Entry] = [
        (f"round {where.index}\nof run <{where.run}>", taken.get(where, []), trained.get(where)) for where in rounds
    ]
    if None in taken:
        entries.insert(0, ("outside of\na run", taken[None], None))
    if model.round is None and len(entries) == 1:
        entries[0] = (*entries[0][:2], model)
    elif model.round is None:
        entries.append(("training", [], model))
    sets = {one.training_set for _, _, one in entries if one is not None and one.training_set is not None}
    return _rows(entries, sizes_of_datasets(sets)), _notes(lineage)


_Entry = tuple[str, list[Configuration], Model | None]


def _rows(entries: Sequence[_Entry], sizes: dict[int, int]) -> list[LineageRow]:
    """Return the rows of a picture."""
    shown = [*range(len(entries))]
    if len(shown) > FIRST + LAST + 1:
        shown = [*shown[:FIRST], *shown[-LAST:]]
    rows: list[LineageRow] = []
    row_of_model: dict[int, int] = {}
    drives: dict[int, int] = {}
    for row, number in enumerate(shown):
        if row and shown[row - 1] != number - 1:
            rows.append(LineageRow(f"{len(entries) - len(shown)} more\nrounds", (None,) * 5))
        title, taken, model = entries[number]
        for driver in {configuration.model for configuration in taken} & set(row_of_model):
            drives.setdefault(row_of_model[driver], len(rows))
        if model is not None:
            row_of_model[model.potential] = len(rows)
        rows.append(LineageRow(title, _boxes(taken, model, sizes)))
    return [LineageRow(row.title, row.boxes, drives.get(number)) for number, row in enumerate(rows)]


def _boxes(
    taken: Sequence[Configuration], model: Model | None, sizes: dict[int, int]
) -> tuple[str | None, str | None, str | None, str | None, str | None]:
    """Return the text of the boxes of a row."""
    drivers = list(
        dict.fromkeys(configuration.potential for configuration in taken if configuration.potential is not None)
    )
    trajectories = {configuration.trajectory for configuration in taken if configuration.trajectory is not None}
    variables = {
        configuration.collective_variables for configuration in taken if configuration.collective_variables is not None
    }
    codes = list(dict.fromkeys(configuration.code for configuration in taken if configuration.code is not None))
    files = {configuration.file for configuration in taken if configuration.file is not None}
    frames = None
    if trajectories:
        biased = f"\n{_some(sorted(variables), 'sets of variables', 'variables')}" if variables else "\nwithout bias"
        frames = _some(sorted(trajectories), "trajectories", "trajectory") + biased
    elif files:
        frames = _some(sorted(files), "files", "file")
    labels = counted(len(taken), "label") if taken else None
    if codes:
        labels = f"{', '.join(orm.load_node(code).label for code in codes)}\n{labels}"
    return (
        _drivers(drivers) if drivers else None,
        frames,
        labels,
        f"<{model.training_set}>\n{sizes.get(model.training_set or 0)} in all" if model is not None else None,
        f"<{model.potential}>" if model is not None else None,
    )


def _drivers(pks: Sequence[int]) -> str:
    """Return what drove the trajectories of a round."""
    if len(pks) > 1:
        return f"{len(pks)} potentials"
    node = orm.load_node(pks[0])
    style = node.base.attributes.get("pair_style", None)
    return f"{style or 'compiled model'}\n<{pks[0]}>"


def _some(pks: Sequence[int], several: str, one: str) -> str:
    """Return one node by its PK, more by their number."""
    return f"{one} <{pks[0]}>" if len(pks) == 1 else f"{len(pks)} {several}"


def _notes(lineage: Lineage) -> list[str]:
    """Return lines on what else the last training took."""
    model = lineage.model
    lines = [
        f"{name.replace('_', ' ')} set <{model.sets[name]}>: {counted(len(configurations), 'configuration')}"
        for name, configurations in lineage.sets.items()
        if name != "training"
    ]
    if model.prior is not None:
        lines.append(f"prior <{model.prior}>")
    if model.initial_potential is not None:
        lines.append(f"started from the weights of model <{model.initial_potential}>")
    return [f"Model <{model.potential}>: " + "; ".join(lines)] if lines else []
