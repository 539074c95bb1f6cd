"""Errors along free runs: what is drawn where."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from aiida_sicmlip.plots.final_run import plot_final_run


def run(structure: str, errors: list[float], **changes: object) -> dict[str, object]:
    """Return a run of 10 ps with a label each 2 ps."""
    labels = [{"time": 2.0 * index, "force_mae": error} for index, error in enumerate(errors, start=1)]
    whole = {"structure": structure, "labels": labels, "halves": [0.06, 0.3], "reached": 10.0, "ended_early": False}
    return {**whole, **changes}


def test_points_means_and_threshold() -> None:
    axes = Figure().subplots()
    runs = [
        run("vv", [0.05, 0.07, 0.2, 0.3, 0.4]),
        run("vv", [0.06], halves=[0.06, None], reached=3.5, ended_early=True),
    ]
    assert plot_final_run(axes, runs, 0.1, 10.0) is axes
    points = [line for line in axes.lines if line.get_marker() == "o"]
    assert points[0].get_xdata() == pytest.approx([2, 4, 6, 8, 10])
    assert points[0].get_ydata() == pytest.approx([0.05, 0.07, 0.2, 0.3, 0.4])
    means = [line for line in axes.lines if line.get_linestyle() == "-" and line.get_marker() == "None"]
    assert [list(line.get_xdata()) for line in means] == [[0, 5], [5, 10], [0, 5]]
    assert [line.get_ydata()[0] for line in means] == [0.06, 0.3, 0.06]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["vv, run 1", "vv, run 2", "vv, run 2 ended", "below 0.1 eV/Å"]
    assert axes.get_ylim() == pytest.approx((0.0, 0.46)) and axes.get_xlim()[0] == 0.0


def test_run_without_labels() -> None:
    axes = Figure().subplots()
    plot_final_run(axes, [run("vv", [], halves=[None, None], reached=0.4, ended_early=True)], 0.1, 10.0)
    assert axes.get_ylim()[1] == pytest.approx(0.115)
