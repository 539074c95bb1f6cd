"""`sicmlip-descriptors`: describes the frames of trajectories where they lie, and keeps candidates; knows no AiiDA."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from aiida_sicmlip import __version__
from aiida_sicmlip.common.filenames import CANDIDATES_FILE, DESCRIPTORS_REPORT_FILE, DESCRIPTORS_SETTINGS_FILE
from aiida_sicmlip.engine.programs.options import positive_number
from aiida_sicmlip.engine.reports import reported, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; known failures are told in one sentence on stderr."""
    options = _parser().parse_args(arguments)
    return run_command("sicmlip-descriptors", lambda: options.command(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sicmlip-descriptors", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "candidates",
        help="find the frames of a round that a selection may pick",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument("--settings", type=Path, default=DESCRIPTORS_SETTINGS_FILE, help="JSON file of settings")
    command.add_argument("--processes", type=positive_number, default=1, help="processes that describe frames")
    command.add_argument("--output", type=Path, default=CANDIDATES_FILE, help="candidates to write (.npz)")
    command.add_argument("--report", type=Path, default=DESCRIPTORS_REPORT_FILE, help="JSON file to write: this run")
    command.set_defaults(command=_candidates)
    return parser


def _candidates(options: argparse.Namespace) -> None:
    with reported(options.report) as report:
        # Here, so that `--help` answers without loading SciPy and scikit-learn.
        from aiida_sicmlip.engine.candidates import write_round_candidates

        write_round_candidates(options.settings, options.output, options.processes, report)


if __name__ == "__main__":
    sys.exit(main())
