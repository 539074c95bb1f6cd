"""`sicmlip select`: picks the most novel configurations of a pool, from file to file."""

from __future__ import annotations

import argparse
from pathlib import Path

from aiida_sicmlip.common.selection_choices import CENTRES, METHODS
from aiida_sicmlip.engine.programs.options import number, positive_number

DESCRIPTION = (
    "Pick the configurations of a pool that differ most from a training set and from each other: averaged SOAP, "
    "distance 1 - kernel. Ties go to the lowest index; duplicates are never picked."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument("pool", type=Path, metavar="POOL", help="configurations to pick from (extended XYZ)")
    parser.add_argument("--training", type=Path, metavar="FILE", help="configurations that are known (extended XYZ)")
    parser.add_argument("--count", type=positive_number, required=True, metavar="N", help="configurations to pick")
    parser.add_argument("--method", choices=METHODS, default=METHODS[0], help="how they are picked")
    parser.add_argument(
        "--centres",
        type=_centres,
        default="all",
        metavar="all|defect|ATOMS",
        help="atoms to average over: all, those around the defects, or a list of atoms from 0, such as 0,3,17",
    )
    parser.add_argument(
        "--host",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="perfect crystal for --centres defect, any format that ASE reads; once for each cell (default: found from "
        "the configurations)",
    )
    parser.add_argument(
        "--seed",
        type=number(int, at_least=0, at_most=2**32 - 1),
        default=1,
        metavar="S",
        help="seed of the method random",
    )
    parser.add_argument("--output", type=Path, default="selected.extxyz", metavar="FILE", help="picks (extended XYZ)")
    soap = parser.add_argument_group("SOAP")
    soap.add_argument(
        "--cutoff", type=number(float, above=0), default=5.0, metavar="A", help="radius of the local environments"
    )
    soap.add_argument("--n-max", type=positive_number, default=8, metavar="N", help="number of radial functions")
    soap.add_argument(
        "--l-max", type=number(int, at_least=0), default=6, metavar="L", help="highest degree of spherical harmonics"
    )
    soap.add_argument("--sigma", type=number(float, above=0), default=0.5, metavar="A", help="width of the Gaussians")
    soap.add_argument(
        "--centre-radius",
        type=number(float, above=0),
        metavar="A",
        help="sites so near to a defect count as around it (default: 1.78 distances of nearest sites, 3.4 A in 3C-SiC)",
    )
    parser.add_argument(
        "--tolerance",
        type=number(float, at_least=0),
        default=1e-10,
        metavar="D",
        help="nearer than this to a known one is a duplicate",
    )
    parser.add_argument(
        "--overlap-fraction",
        type=number(float, at_least=0),
        default=0.5,
        metavar="F",
        help="leave out configurations with atoms nearer than this fraction of the sum of their covalent radii",
    )
    parser.add_argument(
        "--processes", type=positive_number, metavar="N", help="processes that describe (default: all usable cores)"
    )


def run(options: argparse.Namespace) -> None:
    """Pick, and write what was picked."""
    from aiida_sicmlip.engine.pool_selection import select_from_pool

    select_from_pool(options)


def _centres(text: str) -> str | list[int]:
    """Return what the atoms are called, or the list of them, for argparse."""
    if text in CENTRES:
        return text
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither all nor defect nor a list of atoms") from None
