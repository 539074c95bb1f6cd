"""`sicmlip describe`: describes the frames of a round where they lie, and keeps candidates for labels."""

from __future__ import annotations

import argparse
from pathlib import Path

from aiida_sicmlip.common.filenames import CANDIDATES_FILE, DESCRIPTORS_REPORT_FILE, DESCRIPTORS_SETTINGS_FILE
from aiida_sicmlip.engine.programs.options import positive_number
from aiida_sicmlip.engine.reports import reported

DESCRIPTION = "Describe the frames of a round by SOAP, and find those that a selection may pick."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument("--settings", type=Path, default=DESCRIPTORS_SETTINGS_FILE, help="JSON file of settings")
    parser.add_argument("--processes", type=positive_number, default=1, help="processes that describe frames")
    parser.add_argument("--output", type=Path, default=CANDIDATES_FILE, help="candidates to write (.npz)")
    parser.add_argument("--report", type=Path, default=DESCRIPTORS_REPORT_FILE, help="JSON file to write: this run")


def run(options: argparse.Namespace) -> None:
    """Describe the frames, and leave a report however it ends."""
    with reported(options.report) as report:
        from aiida_sicmlip.engine.candidates import write_round_candidates

        write_round_candidates(options.settings, options.output, options.processes, report)
