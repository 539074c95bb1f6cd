"""Runs as pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.new_files import new_file
from aiida_sicmlip.plots.rounds import COLOURS, plot_force_errors
from aiida_sicmlip.tools.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(size: tuple[float, float]) -> Figure:
    """Return an empty figure of a size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


def require_format(path: Path) -> None:
    """Raise :class:`InputError` where the ending of ``path`` names no format of pictures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if path.suffix.lstrip(".") not in FigureCanvasAgg.get_supported_filetypes():
        raise InputError(f"`{path}` has an ending that names no picture format; use .png, .svg or .pdf.")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure into ``path``.

    :raises InputError: if the ending names no format.
    """
    require_format(path)
    with new_file(path) as handle:
        figure.savefig(handle, format=path.suffix.lstrip("."), dpi=150)


def draw_errors(run: Run, path: Path) -> None:
    """Draw the force errors by round into ``path``; its ending decides the format.

    :raises InputError: if no round is complete, or the ending names no format.
    """
    save_figure(figure_of_errors(run), path)


def figure_of_errors(run: Run) -> Figure:
    """Return a picture of the force errors by round, and of every further criterion with its threshold.

    :raises InputError: if no round is complete.
    """
    assessments = {entry.index: entry.assessment for entry in run.rounds if entry.assessment is not None}
    if not assessments:
        raise InputError("no round is complete yet, so that there are no errors to draw.")
    figure = new_figure((6, 4))
    plot_force_errors(figure.subplots(), list(assessments), force_errors_of(assessments), threshold_of(run))
    return figure


def force_errors_of(assessments: Mapping[int, Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return the force MAE (eV/A) of each round on each set, as :func:`plot_force_errors` takes them."""
    # A run has the same sets in all rounds.
    return {
        name: [assessment[name]["force_mae"] for assessment in assessments.values()]
        for name in COLOURS
        if all(name in assessment for assessment in assessments.values())
    }


def threshold_of(run: Run) -> float | None:
    """Return the force MAE in eV/A below which a run is converged; None before its first round is complete."""
    assessments = (entry.assessment for entry in run.rounds if entry.assessment is not None)
    return next(
        (float(assessment["criteria"][0]["threshold"]) for assessment in assessments if assessment.get("criteria")),
        None,
    )


def draw_all(pictures: Mapping[str, Callable[[Path], None]], folder: Path, ending: str) -> tuple[list[Path], list[str]]:
    """Draw pictures into files of a folder, which is made; a picture that cannot be drawn does not stop the others.

    :param pictures: what draws each, by the name of its file without the ending.
    :return: the files, and a message for each picture that could not be drawn.
    :raises InputError: if the ending names no format, or the folder cannot be made.
    """
    make_folder(folder)
    # An ending that names no format would otherwise be said once for each picture.
    require_format(folder / f"picture.{ending}")
    drawn, missing = [], []
    for name, draw in pictures.items():
        path = folder / f"{name}.{ending}"
        try:
            draw(path)
        except InputError as error:
            missing.append(f"{path.name}: {error}")
        else:
            drawn.append(path)
    return drawn, missing


def make_folder(folder: Path) -> None:
    """Make a folder for pictures unless it is there.

    :raises InputError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder `{folder}` cannot be made: {error.strerror}.") from error
