"""Runs as pictures."""

from __future__ import annotations

from pathlib import Path

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.plots.rounds import COLOURS, plot_force_errors
from aiida_sicmlip.tools.runs import Run


def draw_errors(run: Run, path: Path) -> None:
    """Draw the force errors by round into ``path``; its ending decides the format.

    :raises InputError: if no round is complete, or the ending names no format.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    assessments = {entry.index: entry.assessment for entry in run.rounds if entry.assessment is not None}
    if not assessments:
        raise InputError("no round is complete yet, so that there are no errors to draw.")
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    if path.suffix.lstrip(".") not in figure.canvas.get_supported_filetypes():
        raise InputError(f"`--plot {path}` has an ending that names no picture format; use .png, .svg or .pdf.")
    threshold = next(iter(assessments.values()))["criteria"][0]["threshold"]
    errors = {name: [assessment[name]["force_mae"] for assessment in assessments.values()] for name in COLOURS}
    plot_force_errors(axes, list(assessments), errors, threshold)
    figure.savefig(path, dpi=150)
    plt.close(figure)
