"""Biased explorations as numbers and pictures: free energies, and where walkers were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.reports.pictures import new_figure, save_figure
from aiida_sicmlip.reports.text import Cells
from aiida_sicmlip.science.free_energy.reweighting import FreeEnergy, FreeEnergySettings, reweighted_free_energy
from aiida_sicmlip.tools.explorations import (
    Exploration,
    heating_of,
    read_explorations,
    selected_points,
    temperature_of,
)
from aiida_sicmlip.tools.walkers import CommitteeBrake, WalkerEnd

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def heating_values(explorations: Sequence[Exploration]) -> list[dict[str, Any]]:
    """Return temperatures (K) and drift (eV/ps) of all walkers as plain values, with warnings; None where not known."""
    values = []
    for exploration in explorations:
        for walker in exploration.walkers:
            found, warnings = heating_of(walker)
            values.append(
                {
                    "exploration": exploration.name,
                    "calculations": [segment.pk for segment in walker.segments],
                    "temperature": temperature_of(walker),
                    **found.to_dict(),
                    "warnings": warnings,
                }
            )
    return values


def heating_cells(walkers: Sequence[dict[str, Any]]) -> Cells | None:
    """Return a table of :func:`heating_values`; None where no walker has told any of it."""
    rows = [
        (
            f"{walker['exploration']} <{walker['calculations'][0]}>",
            f"{walker['temperature']:g}",
            *(_with_error(walker[name], digits) for name, digits in (("biased", 0), ("others", 0), ("drift", 3))),
            "yes" if walker["warnings"] else "no",
        )
        for walker in walkers
        if any(walker[name] is not None for name in ("biased", "others", "drift"))
    ]
    header = ("walker", "thermostat (K)", "atoms of the variables (K)", "others (K)", "drift (eV/ps)", "warnings")
    return Cells(header, rows) if rows else None


def heating_warnings(walkers: Sequence[dict[str, Any]]) -> list[str]:
    """Return the warnings of :func:`heating_values`, each with its walker."""
    return [
        f"{walker['exploration']} <{walker['calculations'][0]}>: {warning}"
        for walker in walkers
        for warning in walker["warnings"]
    ]


def walkers_cells(walkers: Mapping[int, Sequence[WalkerEnd]]) -> Cells | None:
    """Return how each walker and unbiased run ended, by round: at which value and when the brake stopped it.

    :param walkers: by round, as :func:`~aiida_sicmlip.tools.walkers.ends_of_walkers` gives them.
    """
    rows = [
        (
            f"{index}",
            f"{end.name} <{end.pk}>",
            f"{end.frames}",
            "-" if end.time is None else f"{end.time:g}",
            end.ending,
        )
        for index, ends in sorted(walkers.items())
        for end in ends
    ]
    return Cells(("round", "walker", "frames", "last frame (ps)", "how it ended"), rows) if rows else None


def brake_cells(brakes: Mapping[int, CommitteeBrake]) -> Cells | None:
    """Return at which disagreement walkers were stopped in each round, and the calibration that says so.

    :param brakes: by round, as :func:`~aiida_sicmlip.tools.walkers.brakes_of_rounds` gives them.
    """
    rows = []
    for index, brake in sorted(brakes.items()):
        found = brake.calibration or {}
        slope = "-"
        if found.get("slope") is not None:
            low, high = found["slope_interval"]
            slope = f"{found['slope']:.3g} ({low:.3g} to {high:.3g})"
        stopped = "temperature and distances alone"
        if brake.max_disagreement is not None:
            bound = f" (`{found['bound']}`)" if found.get("bound") else ""
            stopped = f"{brake.max_disagreement:.3g} eV/A" + (bound if slope != "-" else " (settings)")
        rows.append((f"{index}", f"{brake.members}", f"{found.get('n_labels', '-')}", slope, stopped))
    header = ("round", "members", "labels", "largest error / disagreement", "walkers are stopped by")
    return Cells(header, rows) if rows else None


def free_energy_report(
    exploration: Exploration, variables: Sequence[int], settings: FreeEnergySettings
) -> dict[str, Any]:
    """Return the free energy along one or two variables (from 0) as plain numbers, eV; None where it is not known.

    :raises InputError: for a variable that there is not, and as the estimate does.
    """
    n_variables = exploration.walkers[0].variables.n_variables
    if max(variables) >= n_variables:
        raise InputError(f"CV {max(variables) + 1} is asked for, but there are {n_variables}: give numbers from 1.")
    result = free_energy_of(exploration, variables, settings)
    calculations = [[segment.pk for segment in walker.segments] for walker in exploration.walkers]
    long_enough = _long_enough(exploration, settings)
    return {
        "exploration": exploration.name,
        "calculations": [pks for pks, used in zip(calculations, long_enough, strict=True) if used],
        "left_out": [pks for pks, used in zip(calculations, long_enough, strict=True) if not used],
        "collective_variables": exploration.walkers[0].variables.pk,
        "temperature": exploration.temperature,
        "heating": heating_values([exploration]),
        "settings": settings.to_dict(),
        "frames": result.frames,
        "effective_samples": result.effective_samples,
        "variables": [f"CV {number + 1}" for number in variables],
        "edges": [edges.tolist() for edges in result.edges],
        "free_energy": plain_numbers(result.free_energy),
        "error": plain_numbers(result.error),
    }


def free_energy_lines(report: dict[str, Any]) -> list[str]:
    """Return a report as lines of text."""
    values = np.array(report["free_energy"], dtype=float)
    errors = np.array(report["error"], dtype=float)

    def position(index: int) -> str:
        parts = np.unravel_index(index, values.shape)
        return ", ".join(
            f"{name} = {(edges[part] + edges[part + 1]) / 2:.3g}"
            for name, edges, part in zip(report["variables"], report["edges"], parts, strict=True)
        )

    known = np.isfinite(errors)
    typical = f"{np.median(errors[known]):.3f} eV" if known.any() else "unknown"
    left_out = f", {len(report['left_out'])} too short to count" if report["left_out"] else ""
    return [
        f"{report['exploration']}: {_walkers(len(report['calculations']))} at {report['temperature']:g} K{left_out}",
        f"{report['frames']} frames, worth {report['effective_samples']:.0f} unbiased ones at most",
        f"lowest at {position(int(np.nanargmin(values)))}",
        f"highest sampled at {position(int(np.nanargmax(values)))}: {np.nanmax(values):.3f} eV",
        f"error: {typical} (median), unknown in {np.count_nonzero(np.isfinite(values) & ~known)} of "
        f"{np.count_nonzero(np.isfinite(values))} bins",
        *(f"warning: {warning}" for warning in heating_warnings(report["heating"])),
    ]


def free_energy_of(exploration: Exploration, variables: Sequence[int], settings: FreeEnergySettings) -> FreeEnergy:
    """Return the free energy along some of the variables, from 0; walkers that failed early are left out.

    :raises InputError: if no walker is long enough, and as the estimate does.
    """
    enough = _long_enough(exploration, settings)
    # Without any, the estimate says what is missing.
    samples = [sample for sample, used in zip(exploration.samples, enough, strict=True) if used or not any(enough)]
    return reweighted_free_energy(samples, variables, temperature=exploration.temperature, settings=settings)


def _long_enough(exploration: Exploration, settings: FreeEnergySettings) -> list[bool]:
    """Return which walkers have a frame for each block."""
    return [len(sample.after(settings.discard).bias) >= settings.blocks for sample in exploration.samples]


def draw_free_energy(
    exploration: Exploration, variables: Sequence[int], settings: FreeEnergySettings, path: Path
) -> None:
    """Draw the free energy along one or two variables (from 0) into ``path``; its ending decides the format.

    :raises InputError: if the ending names no format.
    """
    from aiida_sicmlip.plots.free_energy import plot_free_energy_curve, plot_free_energy_map

    result = free_energy_of(exploration, variables, settings)
    names = [f"CV {number + 1}" for number in variables]
    figure = new_figure((6, 4))
    axes = figure.subplots()
    if len(variables) == 1:
        plot_free_energy_curve(axes, result, variable=names[0])
    else:
        plot_free_energy_map(axes, result, variables=names)
    axes.set_title(
        f"{exploration.name}, {_walkers(sum(_long_enough(exploration, settings)))}, {exploration.temperature:g} K",
        fontsize="medium",
    )
    save_figure(figure, path)


def draw_rounds(node: orm.WorkChainNode, path: Path) -> None:
    """Draw where the walkers of each round of a run were, and which frames were selected, into ``path``.

    :raises InputError: if no round has biased walkers, or the ending names no format.
    """
    save_figure(figure_of_rounds(node), path)


def figure_of_rounds(node: orm.WorkChainNode) -> Figure:
    """Return the picture of :func:`draw_rounds`.

    :raises InputError: if no round has biased walkers.
    """
    from aiida_sicmlip.plots.collective_variables import RoundSamples, plot_rounds

    explorations = read_explorations(node)
    columns = min(3, len(explorations))
    rows = -(-len(explorations) // columns)
    figure = new_figure((3.6 * columns, 3.4 * rows))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    rounds = [
        RoundSamples(
            exploration.name,
            [walker.variables[:, :2] for walker in exploration.samples],
            selected_points(exploration, node),
        )
        for exploration in explorations
    ]
    plot_rounds(list(panels[: len(rounds)]), rounds)
    for axes in panels[len(rounds) :]:
        axes.set_visible(False)
    return figure


def _with_error(mean: dict[str, Any] | None, digits: int) -> str:
    """Return a mean with its error, or a dash where it is not known."""
    if mean is None:
        return "-"
    error = "" if mean["error"] is None else f" ± {mean['error']:.{digits}f}"
    return f"{mean['value']:.{digits}f}{error}"


def _walkers(count: int) -> str:
    return f"{count} walker" if count == 1 else f"{count} walkers"


def plain_numbers(values: np.ndarray) -> list[Any]:
    """Return numbers as nested lists with None for those that are not finite, which JSON does not know."""
    known = values.astype(object)
    known[~np.isfinite(values)] = None
    return known.tolist()
