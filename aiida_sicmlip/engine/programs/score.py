"""`sicmlip score`: errors of predicted forces on migrating atoms, their surroundings and elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path

from aiida_sicmlip.engine.programs.options import positive_number

DESCRIPTION = (
    "Compare predicted forces with reference forces on atoms that migrate between two sites of the perfect crystal, on "
    "their surroundings (within 3 A) and elsewhere: errors of magnitude and direction, normalised areas under their "
    "distributions (NAC), and the product of these (P, 1 is perfect)."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument("reference", type=Path, metavar="REFERENCE", help="frames with true forces (extended XYZ)")
    parser.add_argument(
        "prediction", type=Path, metavar="PREDICTION", help="the same frames with predicted forces (extended XYZ)"
    )
    parser.add_argument(
        "--host",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="perfect crystal in the cell of the frames, any format that ASE reads; once for each cell (default: found "
        "from the reference)",
    )
    parser.add_argument("--output", type=Path, default="score.json", metavar="JSON", help="file to write")
    parser.add_argument("--bins", type=positive_number, default=20, metavar="N", help="bins of each distribution")


def run(options: argparse.Namespace) -> None:
    """Compare the frames, print a table and write a report."""
    from aiida_sicmlip.engine.force_scores import score

    score(options)
