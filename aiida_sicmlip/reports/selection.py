"""Selections as tables and pictures: when novelty runs out, and whether it tells where the potential is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida import orm

from aiida_sicmlip.reports.composition import composition_values
from aiida_sicmlip.reports.exploration import plain_numbers
from aiida_sicmlip.reports.pictures import new_figure, save_figure
from aiida_sicmlip.reports.text import Cells, or_dash
from aiida_sicmlip.science.selection.novelty import Coefficient, place_on_map
from aiida_sicmlip.science.selection.picks import ROLES
from aiida_sicmlip.tools.origins import PickShare
from aiida_sicmlip.tools.selections import Selection, choose_rounds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 3
"""Maps beside each other in a picture."""


def selection_report(
    run: orm.WorkChainNode, selections: Sequence[Selection], shares: Mapping[int, Sequence[PickShare]] | None = None
) -> dict[str, Any]:
    """Return selections as plain numbers; None where one is not known, or infinite for want of a training set.

    :param shares: by round, what each origin has in its picks, where that is known already.
    """
    rounds = [
        _round_report(selection, selection.shares if shares is None else shares.get(selection.steps.index, ()))
        for selection in selections
    ]
    return {"run": run.pk, "rounds": rounds}


def _round_report(selection: Selection, shares: Sequence[PickShare]) -> dict[str, Any]:
    steps, described, summary, picks = selection.steps, selection.described, selection.summary, selection.picks
    return {
        "round": steps.index,
        "descriptors": _pk(steps.description),
        "selection": _pk(steps.selection),
        "evaluation": _pk(steps.evaluation),
        "method": selection.method,
        **{name: described.get(name) for name in ("n_frames", "n_overlapping", "n_filtered", "n_candidates")},
        "n_earlier_candidates": described.get("n_earlier_candidates"),
        "n_outside_window": selection.n_outside_window,
        "window": selection.window,
        "n_from_earlier_rounds": summary.get("n_from_earlier_rounds"),
        **{f"n_{role}{end}": summary.get(f"n_{role}{end}") for role in ROLES for end in ("", "_asked")},
        "distances_when_picked": plain_numbers(selection.distances),
        "covering_distance": plain_numbers(np.array([described.get("covering_distance", np.nan)]))[0],
        "variance_of_map": described.get("variance_of_map"),
        "n_labelled": int(np.isfinite(selection.force_error).sum()),
        "correlation": asdict(selection.correlation),
        "composition": composition_values(shares),
        "frames": [
            {"role": ROLES[int(role)], "segment": int(segment), "frame": int(frame)}
            | {"distance": distance, "reference_distance": reference_distance, "force_error": force_error}
            | {"replaces": number >= len(picks) - selection.n_replacing}
            for number, role, segment, frame, distance, reference_distance, force_error in zip(
                range(len(picks)),
                picks.role,
                picks.segment,
                picks.frame,
                plain_numbers(picks.distance),
                plain_numbers(picks.reference_distance),
                plain_numbers(selection.force_error),
                strict=True,
            )
        ],
    }


def frames_cells(selections: Sequence[Selection]) -> Cells:
    """Return how many frames were described, left out and picked, by round."""
    return Cells(
        (
            "round",
            "frames",
            "overlap-\nping",
            "filtered\nout",
            "outside the\nwindow",
            "candidates",
            "of earlier\nrounds",
            "picked / asked\ntraining",
            "\nvalidation",
            "\nfixed",
            "picks of\nearlier rounds",
        ),
        [
            (
                f"{selection.steps.index}",
                *(or_dash(selection.described.get(name)) for name in ("n_frames", "n_overlapping", "n_filtered")),
                or_dash(selection.n_outside_window),
                *(or_dash(selection.described.get(name)) for name in ("n_candidates", "n_earlier_candidates")),
                *(_picked_of_asked(selection.summary, role) for role in ROLES),
                or_dash(selection.summary.get("n_from_earlier_rounds")),
            )
            for selection in selections
        ],
    )


def distances_cells(selections: Sequence[Selection]) -> Cells:
    """Return at which distances frames were picked, and whether these tell the error, by round."""
    return Cells(
        (
            "round",
            "distance when picked\nfirst",
            "\nmedian",
            "\nlast",
            "covering\ndistance",
            "labelled\nframes",
            "distance and error\nrank correlation",
            "\nof logarithms",
        ),
        [
            (
                f"{selection.steps.index}",
                *_first_median_last(selection.distances),
                _distance(selection.described.get("covering_distance")),
                f"{np.isfinite(selection.force_error).sum()}" if selection.evaluated else "-",
                _coefficient(selection.correlation.rank),
                _coefficient(selection.correlation.logarithmic),
            )
            for selection in selections
        ],
    )


def selection_tables(selections: Sequence[Selection]) -> str:
    """Return what was picked from what, and how novel it was, by round, with notes."""
    notes = "\n".join(notes_on_selections(selections))
    return f"{frames_cells(selections).text}\n\n{distances_cells(selections).text}\n\n{notes}"


def notes_on_selections(selections: Sequence[Selection]) -> list[str]:
    """Return what the tables do not say."""
    notes = [
        "distance when picked: of a training configuration from the training set and the picks before it.",
        "covering distance: no frame that may be picked is farther from the candidates and the training set.",
        "distance and error: distance from the training set, force MAE of the exploring potential; 95 % interval.",
    ]
    for method, text in (
        ("top-k", "the distance when picked is that from the training set alone."),
        ("random", "training configurations are drawn at random, so that distances have no order."),
    ):
        rounds = [selection.name for selection in selections if selection.method == method]
        notes += [f"{', '.join(rounds)}: {text}"] if rounds else []
    for selection in selections:
        if np.isinf(selection.picks.reference_distance).all():
            notes.append(f"{selection.name}: the first pick is the frame farthest from the mean of all.")
        notes += _notes_on_window(selection)
        for role in ROLES:
            picked, asked = (selection.summary.get(f"n_{role}{end}", 0) for end in ("", "_asked"))
            if picked < asked:
                notes.append(
                    f"{selection.name}: {picked} of {asked} {_words(role)} configurations; no other frame is new, "
                    "inside the window and far enough in time from those picked."
                )
        missing = int(np.isnan(selection.force_error).sum())
        if selection.evaluated and missing:
            notes.append(f"{selection.name}: {missing} of {len(selection.picks)} picked frames have no label.")
        if selection.n_replacing:
            notes.append(
                f"{selection.name}: {selection.n_replacing} further frames replaced those of failed labels; the "
                "table of frames counts what was picked first."
            )
        if selection.correlation.reason is not None:
            notes.append(f"{selection.name}: no correlation, since {selection.correlation.reason}.")
    return notes


def _notes_on_window(selection: Selection) -> list[str]:
    """Return which bounds have left frames out, and where nothing is known to hold against them."""
    window = selection.window
    notes = []
    for bound, count, words in (
        ("max_disagreement", "n_above_disagreement", "disagreement above"),
        ("max_force", "n_above_force", "a predicted force above"),
        ("min_disagreement", "n_below_disagreement", "disagreement below"),
    ):
        if window.get(bound) is not None and window[count]:
            notes.append(f"{selection.name}: {window[count]} candidates with {words} {window[bound]:.3g} eV/A.")
    if "not_predicted" in selection.described:
        notes.append(f"{selection.name}: the window was not applied, since {selection.described['not_predicted']}")
    return notes


def draw_selections(selections: Sequence[Selection], path: Path, index: int | None = None) -> None:
    """Draw distances when picked and errors of all rounds, and below them the maps, into ``path``.

    :param index: of the round whose map is drawn; all by default.
    :raises InputError: if the round has none, or the ending names no format.
    """
    save_figure(figure_of_selections(selections, index), path)


def figure_of_selections(selections: Sequence[Selection], index: int | None = None) -> Figure:
    """Return the picture of :func:`draw_selections`.

    :raises InputError: if the round has none.
    """
    from aiida_sicmlip.plots.selection import (
        RoundErrors,
        plot_error_against_distance,
        plot_map,
        plot_novelty,
    )
    from aiida_sicmlip.plots.style import add_shared_legend

    mapped = choose_rounds(selections, index)
    columns = min(COLUMNS, len(mapped))
    rows = -(-len(mapped) // columns)
    figure = new_figure((9.6, 3.6 + 3.3 * rows))
    top, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[3.6, 3.3 * rows])[:, 0]
    errors = [
        RoundErrors(
            selection.name, selection.picks.reference_distance, selection.force_error, selection.correlation.rank
        )
        for selection in selections
    ]
    panels = top.subplots(1, 2 if any(selection.shown.any() for selection in errors) else 1, squeeze=False)[0]
    plot_novelty(panels[0], {selection.name: selection.distances for selection in selections})
    if len(panels) > 1:
        plot_error_against_distance(panels[1], errors)
    maps = below.subplots(rows, columns, squeeze=False).ravel()
    for axes, selection in zip(maps, mapped, strict=False):
        candidates = selection.candidates.candidates()
        points = place_on_map(selection.picks.descriptors, candidates.mean, candidates.axes)
        picked = {_words(role): points[selection.picks.of(role)] for role in ROLES}
        plot_map(
            axes, candidates.pool_map, candidates.reference_map, picked, selection.described.get("variance_of_map")
        )
        axes.set_title(selection.name, fontsize="medium")
    add_shared_legend(maps[: len(mapped)])
    for axes in maps[len(mapped) :]:
        axes.set_visible(False)
    return figure


def _pk(node: orm.ProcessNode | None) -> int | None:
    return node.pk if node is not None else None


def _words(role: str) -> str:
    return role.replace("_", " ")


def _picked_of_asked(summary: dict[str, Any], role: str) -> str:
    """Return how many were picked of how many, or a dash where none were asked for."""
    asked = summary.get(f"n_{role}_asked")
    return f"{summary.get(f'n_{role}')} / {asked}" if asked else "-"


def _distance(value: float | None) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.2e}"


def _first_median_last(distances: np.ndarray) -> tuple[str, str, str]:
    if not len(distances):
        return "-", "-", "-"
    return _distance(distances[0]), _distance(float(np.median(distances))), _distance(distances[-1])


def _coefficient(coefficient: Coefficient | None) -> str:
    """Return a coefficient with its interval."""
    return (
        "-"
        if coefficient is None
        else f"{coefficient.value:.2f} ({coefficient.lowest:.2f} to {coefficient.highest:.2f})"
    )
