"""Types of command-line arguments that several programs share."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiida_sicmlip.science.settings import LARGEST_COUNT
from aiida_sicmlip.science.value_tests import is_number, within

if TYPE_CHECKING:
    from aiida_sicmlip.science.labels.exchange_formats import ImportSettings


def number(kind: type[int] | type[float], **bounds: float) -> Callable[[str], float]:
    """Return the type of an option, for argparse: a finite number within bounds.

    :param bounds: as those of :func:`~aiida_sicmlip.science.value_tests.within`; whole numbers are at most 1,000,000
        unless another `at_most` is given.
    """
    if kind is int:
        bounds = {"at_most": LARGEST_COUNT, **bounds}
    words, fits = within(**bounds)

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (is_number(value) and fits(value)):
            shown = text if len(text) < 40 else f"{text[:20]}..."
            raise argparse.ArgumentTypeError(f"{shown!r} is no {'whole ' if kind is int else ''}number{words}")
        return value

    return read


positive_number = number(int, at_least=1)
"""A whole number from 1."""


def add_label_names(parser: Any) -> None:
    """Add the options that name energy and forces in files of other programs."""
    parser.add_argument("--energy", metavar="NAME", help="name of the total energy in the files (default: energy)")
    parser.add_argument("--forces", metavar="NAME", default="forces", help="name of the forces in the files")


def label_names(options: argparse.Namespace) -> ImportSettings:
    """Return what :func:`add_label_names` was given."""
    from aiida_sicmlip.science.labels.exchange_formats import ImportSettings

    return ImportSettings(energy=options.energy, forces=options.forces)
