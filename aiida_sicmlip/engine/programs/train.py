"""`sicmlip train`: trains a potential."""

from __future__ import annotations

import argparse
from pathlib import Path

from aiida_sicmlip.common.filenames import TRAINING_REPORT_FILE, TRAINING_SETTINGS_FILE
from aiida_sicmlip.engine.reports import reported

DESCRIPTION = "Train an Allegro potential in the current folder, and package its best model."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument("--settings", type=Path, default=TRAINING_SETTINGS_FILE, help="JSON file of settings")
    parser.add_argument("--report", type=Path, default=TRAINING_REPORT_FILE, help="JSON file to write")


def run(options: argparse.Namespace) -> None:
    """Train, and leave a report however it ends."""
    with reported(options.report) as report:
        from aiida_sicmlip.engine.training import train

        train(options.settings, report)
