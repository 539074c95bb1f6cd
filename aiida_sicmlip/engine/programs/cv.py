"""`sicmlip cv`: learns collective variables from trajectories."""

from __future__ import annotations

import argparse
from pathlib import Path

from aiida_sicmlip.common.filenames import (
    CV_DESCRIPTION_FILE,
    CV_MODEL_FILE,
    CV_REPORT_FILE,
    CV_SETTINGS_FILE,
    CV_WEIGHTS_FILE,
)
from aiida_sicmlip.engine.reports import reported

DESCRIPTION = "Train an autoencoder on the pair distances of a defect's atoms."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument("--settings", type=Path, default=CV_SETTINGS_FILE, help="JSON file of settings")
    parser.add_argument(
        "--trajectory",
        type=Path,
        nargs="+",
        action="append",
        required=True,
        metavar="FILE",
        help="the files of one trajectory in order (.dcd, or extended XYZ); once for each trajectory",
    )
    parser.add_argument(
        "--structure",
        type=Path,
        help="any structure file that ASE reads: the species of a DCD, and the bonds that lengths scale with",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=".",
        metavar="FOLDER",
        help=f"where to write {CV_MODEL_FILE}, {CV_DESCRIPTION_FILE} and {CV_WEIGHTS_FILE}",
    )
    parser.add_argument("--report", type=Path, default=CV_REPORT_FILE, help="JSON file to write: this run")


def run(options: argparse.Namespace) -> None:
    """Train, and leave a report however it ends."""
    with reported(options.report) as report:
        from aiida_sicmlip.engine.cv_training import train

        train(
            options.settings,
            options.trajectory,
            report,
            structure=options.structure,
            output=options.output,
        )
