"""`sicmlip label`: computes energy and forces of one configuration with a classical potential."""

from __future__ import annotations

import argparse
from pathlib import Path

from aiida_sicmlip.common.filenames import LABEL_REPORT_FILE, PREDICTIONS_FILE
from aiida_sicmlip.engine.reports import reported

DESCRIPTION = "Compute energy and forces of one configuration with a classical potential."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument(
        "--configuration", type=Path, required=True, help="JSON file with `symbols`, `cell` and `positions` (A)"
    )
    parser.add_argument("--classical", type=Path, required=True, help="JSON file with `species` and LAMMPS `commands`")
    parser.add_argument("--output", type=Path, default=PREDICTIONS_FILE, help="energy and forces to write (.npz)")
    parser.add_argument("--report", type=Path, default=LABEL_REPORT_FILE, help="JSON file to write")


def run(options: argparse.Namespace) -> None:
    """Label, and leave a report however it ends."""
    with reported(options.report) as report:
        from aiida_sicmlip.engine.labelling import label

        label(options.configuration, options.classical, options.output, report)
