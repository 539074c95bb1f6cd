"""`sicmlip-cv`: learns collective variables from trajectories on the machine that computes; knows no AiiDA."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from aiida_sicmlip import __version__
from aiida_sicmlip.common.filenames import (
    CV_DESCRIPTION_FILE,
    CV_MODEL_FILE,
    CV_REPORT_FILE,
    CV_SETTINGS_FILE,
    CV_WEIGHTS_FILE,
)
from aiida_sicmlip.engine.reports import reported, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; known failures are told in one sentence on stderr."""
    options = _parser().parse_args(arguments)
    return run_command("sicmlip-cv", lambda: options.command(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sicmlip-cv", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser(
        "train",
        help="train an autoencoder on the pair distances of a defect's atoms",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument("--settings", type=Path, default=CV_SETTINGS_FILE, help="JSON file of settings")
    command.add_argument(
        "--trajectory",
        type=Path,
        nargs="+",
        action="append",
        required=True,
        metavar="FILE",
        help="the files of one trajectory in order (.dcd, or extended XYZ); once for each trajectory",
    )
    command.add_argument("--structure", type=Path, help="any structure file that ASE reads, for the species of a DCD")
    command.add_argument(
        "--output",
        type=Path,
        default=".",
        metavar="FOLDER",
        help=f"where to write {CV_MODEL_FILE}, {CV_DESCRIPTION_FILE} and {CV_WEIGHTS_FILE}",
    )
    command.add_argument("--report", type=Path, default=CV_REPORT_FILE, help="JSON file to write: this run")
    command.set_defaults(command=_train)
    return parser


def _train(options: argparse.Namespace) -> None:
    with reported(options.report) as report:
        # Here, so that `--help` answers without loading torch.
        from aiida_sicmlip.engine.cv_training import train

        train(
            options.settings,
            options.trajectory,
            report,
            structure=options.structure,
            output=options.output,
        )


if __name__ == "__main__":
    sys.exit(main())
