"""Tests of single values of settings, and bounds of numbers in words."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def is_number(value: Any) -> bool:
    """Return whether ``value`` is a finite number; true and false are none."""
    # Whole numbers may be larger than any float, for which `math.isfinite` has an error.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -math.inf < value < math.inf


def is_integer(value: Any) -> bool:
    """Return whether ``value`` is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_sequence(value: Any) -> bool:
    """Return whether ``value`` is a list or the like; text is none."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def is_mapping(value: Any) -> bool:
    """Return whether ``value`` maps names to values."""
    return isinstance(value, Mapping)


def is_symbol(value: Any) -> bool:
    """Return whether ``value`` is the symbol of a chemical element; `X`, which ASE has for none, is not."""
    # Help and completion of the programs load neither ASE nor NumPy.
    from ase.data import atomic_numbers

    return isinstance(value, str) and atomic_numbers.get(value, 0) > 0


def number_in_yaml(value: Any) -> str | None:
    """Return how to write a finite number that was read as text, as YAML does with `1e-6` and Fortran's `1.0d-8`.

    ``None`` where it is none.
    """
    if not isinstance(value, str):
        return None
    try:
        given = float(re.sub(r"(?<=[\d.])[dD](?=[-+\d])", "e", value.strip()))
    except ValueError:
        return None
    if not math.isfinite(given):
        return None
    number = repr(given)
    # YAML wants a point in the mantissa.
    return number if "." in number else number.replace("e", ".0e")


def within(**bounds: float) -> tuple[str, Callable[[Any], bool]]:
    """Return bounds (`above`, `at_least`, `below`, `at_most`) in words that follow "a number", and the test of them."""
    known = {
        "above": (operator.gt, "above"),
        "at_least": (operator.ge, "of at least"),
        "below": (operator.lt, "below"),
        "at_most": (operator.le, "of at most" if len(bounds) == 1 else "at most"),
    }
    if unknown := set(bounds) - set(known):
        raise TypeError(f"`{unknown.pop()}` is no bound: give {', '.join(known)}.")
    told = [f"{known[name][1]} {bounds[name]}" for name in known if name in bounds]
    told = ["above zero" if bound == "above 0" else bound for bound in told]
    words = f" {' and '.join(told)}" if told else ""
    return words, lambda value: all(known[name][0](value, bound) for name, bound in bounds.items())
