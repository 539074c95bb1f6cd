"""Pictures of a potential: its training, its evaluations, and the rounds of the run that it is of."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.plots.rounds import NAMES
from aiida_sicmlip.reports.evaluation_pictures import draw_evaluation, draw_rare_events
from aiida_sicmlip.reports.pictures import draw_all, new_figure, save_figure, threshold_of
from aiida_sicmlip.reports.potential import attempts, kept_step, training_curve
from aiida_sicmlip.tools.evaluations import Evaluation, read_evaluation
from aiida_sicmlip.tools.potentials import TrainedPotential, evaluations_of_rounds
from aiida_sicmlip.tools.runs import read_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENERGY_THRESHOLD = 5.0
"""meV/atom, as in Figure 3 of the paper; no criterion of convergence."""


def draw_boxes(sets: Mapping[str, Mapping[int, Evaluation]], path: Path, *, threshold: float | None = None) -> None:
    """Draw the errors of the configurations by round, as in Figure 3 of the paper: forces, energies, and the energies.

    :param sets: evaluations by round, of each of ``training``, ``validation`` and ``exploring``.
    :param threshold: of the force MAE in eV/A.
    :raises InputError: if there is no evaluation, or the ending names no format.
    """
    shown = _with_evaluations(sets)
    figure = new_figure((4 * len(shown), 9))
    panels = figure.subplots(3, len(shown), squeeze=False)
    _fill_boxes(panels[:2], shown, threshold)
    _fill_energies(panels[2], shown)
    save_figure(figure, path)


def figure_of_boxes(sets: Mapping[str, Mapping[int, Evaluation]], threshold: float | None = None) -> Figure:
    """Return a picture of the errors of the configurations by round, forces above energies; see :func:`draw_boxes`.

    :raises InputError: if there is no evaluation.
    """
    shown = _with_evaluations(sets)
    figure = new_figure((4 * len(shown), 6))
    _fill_boxes(figure.subplots(2, len(shown), squeeze=False), shown, threshold)
    return figure


def figure_of_energies(sets: Mapping[str, Mapping[int, Evaluation]]) -> Figure:
    """Return a picture of the energies of the configurations that each round added; see :func:`draw_boxes`.

    :raises InputError: if there is no evaluation.
    """
    shown = _with_evaluations(sets)
    figure = new_figure((4 * len(shown), 3.2))
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    _fill_energies(panels, shown)
    for axes, name in zip(panels, shown, strict=True):
        axes.set_title(NAMES[name].rsplit(", ", 1)[-1], fontsize="medium")
    return figure


def _with_evaluations(sets: Mapping[str, Mapping[int, Evaluation]]) -> dict[str, Mapping[int, Evaluation]]:
    """Return the sets that were evaluated in any round.

    :raises InputError: if there is none.
    """
    shown = {name: rounds for name, rounds in sets.items() if rounds}
    if not shown:
        raise InputError("no round has an evaluation yet, so that there are no errors to draw.")
    return shown


def _fill_boxes(panels: np.ndarray, shown: Mapping[str, Mapping[int, Evaluation]], threshold: float | None) -> None:
    """Draw the errors of forces and energies into two rows of panels, a column for each set."""
    from aiida_sicmlip.plots.rounds import plot_error_boxes
    from aiida_sicmlip.plots.style import add_shared_legend

    everywhere = {index for rounds in shown.values() for index in rounds}
    for column, (name, rounds) in enumerate(shown.items()):
        forces = {index: evaluation.force_mae_per_frame for index, evaluation in rounds.items()}
        energies = {index: 1000 * np.abs(evaluation.energy_errors) for index, evaluation in rounds.items()}
        plot_error_boxes(panels[0, column], forces, threshold=threshold)
        plot_error_boxes(
            panels[1, column],
            energies,
            quantity="energy error (meV/atom)",
            threshold=ENERGY_THRESHOLD,
        )
        panels[0, column].set_title(NAMES[name], fontsize="medium")
        for axes in panels[:, column]:
            # Rounds stand below each other in all columns, whether or not each has all of them.
            axes.set_xlim(min(everywhere) - 0.6, max(everywhere) + 0.6)
    add_shared_legend(panels.ravel().tolist())


def _fill_energies(panels: Sequence[Axes], shown: Mapping[str, Mapping[int, Evaluation]]) -> None:
    """Draw the energies of what each round added, a panel for each set."""
    from aiida_sicmlip.plots.rounds import plot_energy_distributions

    for axes, rounds in zip(panels, shown.values(), strict=True):
        plot_energy_distributions(
            axes, {index: _added_energies(evaluation, index) for index, evaluation in rounds.items()}
        )


def _added_energies(evaluation: Evaluation, index: int) -> np.ndarray:
    """Return the reference energies (K,) in eV/atom of the configurations that a round has added.

    All of them where no round is known, as in a validation set, which each round replaces.
    """
    energies = evaluation.reference_energies / evaluation.n_atoms
    added = np.array([number == index for number in evaluation.rounds])
    return np.asarray(energies[added] if added.any() else energies)


def draw_training_curve(
    curve: Mapping[str, np.ndarray],
    path: Path,
    *,
    kept: float | None = None,
    attempts: Sequence[float] = (),
    threshold: float | None = None,
) -> None:
    """Draw loss, errors and learning rate of a training by step.

    :raises InputError: if there is no validation, or the ending names no format.
    """
    from aiida_sicmlip.plots.training import plot_training

    figure = new_figure((9, 6))
    plot_training(figure.subplots(2, 2).ravel().tolist(), curve, kept=kept, attempts=attempts, threshold=threshold)
    save_figure(figure, path)


def draw_potential(
    trained: TrainedPotential,
    folder: Path,
    *,
    ending: str = "png",
    run: orm.WorkChainNode | None = None,
) -> tuple[list[Path], list[str]]:
    """Draw the training of a potential and its evaluations into files of a folder, which is made.

    :param run: the active-learning run that it is of, whose rounds and threshold are drawn too.
    :return: the files, and a message for each picture that could not be drawn.
    :raises InputError: if the ending names no format, or the folder cannot be made.
    """
    pictures: dict[str, Callable[[Path], None]] = {}
    threshold = None if run is None else threshold_of(read_run(run))
    curve = training_curve(trained)
    if curve is not None:
        pictures["training_curve"] = lambda path: draw_training_curve(
            curve, path, kept=kept_step(trained), attempts=attempts(trained), threshold=threshold
        )
    if run is not None:
        rounds = evaluations_of_rounds(run)
        read = {name: {index: read_evaluation(node) for index, node in sets.items()} for name, sets in rounds.items()}
        pictures["errors_by_round"] = lambda path: draw_boxes(read, path, threshold=threshold)
        models = {f"round {index}": evaluation for index, evaluation in read["validation"].items()}
        if len(models) > 1:
            pictures["rare_events_by_round"] = lambda path: draw_rare_events(models, path)
    drawn, missing = draw_all(pictures, folder, ending)
    for name, node in trained.evaluations.items():
        files, reasons = draw_evaluation(
            read_evaluation(node), folder, ending=ending, name=file_name(name), threshold=threshold
        )
        drawn, missing = drawn + files, missing + reasons
    return drawn, missing


def file_name(name: str) -> str:
    """Return the name of an evaluation as part of the name of a file: ``data_set_12`` for ``data set <12>``."""
    return re.sub(r"\W+", "_", name).strip("_")
