"""Types of command-line arguments that several programs share."""

from __future__ import annotations

import argparse


def positive_number(text: str) -> int:
    """Return a whole number from 1, for argparse."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return number
