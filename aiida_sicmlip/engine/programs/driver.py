"""`sicmlip driver`: evaluates a plumed.dat over a trajectory, with the options and output of `plumed driver`."""

from __future__ import annotations

import argparse
from pathlib import Path

from aiida_sicmlip.common.exceptions import SicmlipError
from aiida_sicmlip.engine.programs.options import number

DESCRIPTION = "Evaluate a plumed.dat over a trajectory, with the options and output of `plumed driver`."
LARGEST_STEP = 10**12
"""Steps are products with the stride, and stay whole numbers of 64 bits."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument("--plumed", type=Path, default=Path("plumed.dat"), help="actions to evaluate")
    parser.add_argument(
        "--ixyz", type=Path, required=True, help="trajectory; the box stands in each second line; or .gz"
    )
    parser.add_argument("--timestep", type=number(float, above=0), default=1.0, help="time from step to step, in ps")
    parser.add_argument("--kt", type=number(float, above=0), help="kT in kJ/mol, for actions without TEMP")
    parser.add_argument(
        "--length-units", default="nm", help="unit of the trajectory: nm, A, um, Bohr or a number of nm"
    )
    parser.add_argument("--dump-forces", type=Path, help="file for the forces, in kJ/mol and the unit of length")
    # argparse itself reads a % in help and default texts.
    parser.add_argument("--dump-forces-fmt", default="%f", help="format of each force")
    parser.add_argument("--dump-full-virial", action="store_true", help="write nine numbers of the virial, not three")
    parser.add_argument(
        "--initial-step",
        type=number(int, at_least=0, at_most=LARGEST_STEP),
        default=0,
        help="number of the first frame",
    )
    parser.add_argument(
        "--trajectory-stride", type=number(int, at_least=1), default=1, help="steps from frame to frame"
    )
    parser.add_argument("--restart", action="store_true", help="continue files and states, as the action RESTART does")


def run(options: argparse.Namespace) -> None:
    """Evaluate the actions on each frame."""
    from aiida_sicmlip.engine.bias_driver import drive

    try:
        drive(options)
    except SicmlipError as error:
        # Whatever was wrong, `plumed driver` ends with 1.
        error.exit_status = 1  # type: ignore[attr-defined]
        raise
