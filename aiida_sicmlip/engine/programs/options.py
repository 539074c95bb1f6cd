"""Types of command-line arguments that several programs share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiida_sicmlip.science.labels.exchange_formats import ImportSettings


def positive_number(text: str) -> int:
    """Return a whole number from 1, for argparse."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return number


def add_label_names(parser: Any) -> None:
    """Add the options that name energy and forces in files of other programs."""
    parser.add_argument("--energy", metavar="NAME", help="name of the total energy in the files (default: energy)")
    parser.add_argument("--forces", metavar="NAME", default="forces", help="name of the forces in the files")


def label_names(options: argparse.Namespace) -> ImportSettings:
    """Return what :func:`add_label_names` was given."""
    from aiida_sicmlip.science.labels.exchange_formats import ImportSettings

    return ImportSettings(energy=options.energy, forces=options.forces)
