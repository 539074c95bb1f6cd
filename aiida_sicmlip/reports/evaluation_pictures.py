"""Pictures of an evaluation: parity, errors by distance from a defect, on rare events, of a committee."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.reports.pictures import draw_all, new_figure, save_figure
from aiida_sicmlip.science.defects.migrating_atoms import REGIONS
from aiida_sicmlip.science.evaluation.binned_quantiles import quantiles_by_bin
from aiida_sicmlip.science.evaluation.rare_events import ErrorDistribution
from aiida_sicmlip.tools.evaluations import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BIN = 0.5
"""Width in A of the bins of the distance from a defect."""


def draw_evaluation(
    evaluation: Evaluation,
    folder: Path,
    *,
    ending: str = "png",
    others: Sequence[Evaluation] = (),
    name: str = "",
    threshold: float | None = None,
) -> tuple[list[Path], list[str]]:
    """Draw what an evaluation has into files of a folder, which is made.

    :param others: further evaluations, whose rare events are drawn beside.
    :param name: that of the data set, which the names of the files end with.
    :param threshold: of the force error in eV/A.
    :return: the files, and a message for each picture that could not be drawn.
    :raises InputError: if the ending names no format, or the folder cannot be made.
    """
    models = {f"evaluation <{one.pk}>": one for one in (evaluation, *others)}
    end = f"_{name}" if name else ""
    pictures: dict[str, Callable[[Path], None]] = {
        f"parity{end}": lambda path: draw_parity(evaluation, path),
        f"distance_to_defect{end}": lambda path: draw_distance(evaluation, path, threshold),
        f"rare_events{end}": lambda path: draw_rare_events(models, path),
    }
    if evaluation.force_disagreement is not None:
        pictures[f"committee{end}"] = lambda path: draw_committee(evaluation, path)
    return draw_all(pictures, folder, ending)


def draw_parity(evaluation: Evaluation, path: Path) -> None:
    """Draw predicted against reference energies and force components, and below them what is left.

    :raises InputError: if the ending names no format.
    """
    save_figure(figure_of_parity(evaluation), path)


def figure_of_parity(evaluation: Evaluation) -> Figure:
    """Return the picture of :func:`draw_parity`."""
    from aiida_sicmlip.plots.parity import plot_parity, plot_residuals

    figure = new_figure((9, 6.6))
    (energies, forces), (energies_left, forces_left) = figure.subplots(2, 2, height_ratios=[2.2, 1])
    reference, predicted = (
        evaluation.reference_energies / evaluation.n_atoms,
        evaluation.predicted_energies / evaluation.n_atoms,
    )
    plot_parity(
        energies,
        reference,
        predicted,
        quantity="energy",
        unit="eV/atom",
        error_unit=("meV/atom", 1000.0),
        count="frames",
    )
    plot_residuals(energies_left, 1000 * reference, 1000 * predicted, quantity="energy", unit="meV/atom")
    energies_left.set_ylabel("frames")
    plot_parity(forces, evaluation.reference_forces, evaluation.predicted_forces)
    plot_residuals(forces_left, evaluation.reference_forces, evaluation.predicted_forces)
    forces_left.set_ylabel("components")
    return figure


def draw_distance(evaluation: Evaluation, path: Path, threshold: float | None = None) -> None:
    """Draw the force errors of the atoms by their distance from the nearest defect.

    The error of an atom is the mean of the absolute errors of its three components, whose mean is the force MAE.

    :raises InputError: if no distance is known, or the ending names no format.
    """
    from aiida_sicmlip.plots.errors import plot_error_by_distance

    _require_regions(evaluation)
    distance = evaluation.distance_to_defect
    greatest = float(np.nanmax(distance, initial=0.0))
    edges = np.arange(0.0, greatest + BIN, BIN) if greatest else np.array([0.0, BIN])
    error = np.abs(evaluation.predicted_forces - evaluation.reference_forces).mean(axis=1)
    figure = new_figure((6, 5))
    plot_error_by_distance(
        figure.subplots(2, 1, height_ratios=[3, 1]),
        quantiles_by_bin(distance, error, edges),
        boundaries=evaluation.near_defect_distances,
        threshold=threshold,
    )
    save_figure(figure, path)


def draw_rare_events(models: Mapping[str, Evaluation], path: Path) -> None:
    """Draw the cumulative distributions of the errors of forces in length and direction, by region.

    Of several models the migrating atoms alone are drawn, which is where they differ.

    :param models: evaluations by the name of what is evaluated.
    :raises InputError: if the regions of one are not known, no region has atoms, or the ending names no format.
    """
    from aiida_sicmlip.plots.rare_events import plot_cumulative

    for evaluation in models.values():
        _require_regions(evaluation)
    # All atoms together are told from those elsewhere by nothing.
    shown = REGIONS[:1] if len(models) > 1 else REGIONS
    figure = new_figure((9.6, 4.8))
    for axes, key, quantity, unit in zip(
        figure.subplots(1, 2),
        ("delta_f", "delta_theta"),
        ("error of the force's length, δF", "error of the force's direction, δθ"),
        ("eV/Å", "degrees"),
        strict=True,
    ):
        distributions = {
            name: {region: ErrorDistribution(**evaluation.results["rare_events"][region][key]) for region in shown}
            for name, evaluation in models.items()
        }
        plot_cumulative(axes, distributions, quantity=quantity, unit=unit)
    save_figure(figure, path)


def _require_regions(evaluation: Evaluation) -> None:
    """Raise :class:`InputError` where an evaluation does not tell where atoms stand."""
    if "rare_events" not in evaluation.results:
        raise InputError(f"evaluation <{evaluation.pk}> was made by a version that told no regions; evaluate again.")


def draw_committee(evaluation: Evaluation, path: Path) -> None:
    """Draw the force errors of the atoms, the lengths of the differences, against the disagreement of the committee.

    :raises InputError: if there was no committee, or the ending names no format.
    """
    from aiida_sicmlip.plots.errors import plot_disagreement

    if evaluation.force_disagreement is None:
        raise InputError("the potential was evaluated without the other members of a committee.")
    error = np.linalg.norm(evaluation.predicted_forces - evaluation.reference_forces, axis=1)
    correlation = evaluation.results["committee"]["forces"]["rank_correlation"]
    figure = new_figure((5.6, 4.4))
    plot_disagreement(figure.subplots(), evaluation.force_disagreement, error, correlation=correlation)
    save_figure(figure, path)
