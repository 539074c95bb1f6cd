"""Exceptions of the package."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from aiida_sicmlip.common.exit_status import NO_FORCES, UNKNOWN_SPECIES


class SicmlipError(Exception):
    """Base of all errors that the package raises on purpose."""


class InputError(SicmlipError, ValueError):
    """Something the user gave is wrong; the message says which field, what was given and what to do."""


class NoForcesError(InputError):
    """Labelled frames lack the forces that a training needs."""

    exit_status = NO_FORCES


class UnknownSpeciesError(InputError):
    """Labelled frames hold an element that the model does not know."""

    exit_status = UNKNOWN_SPECIES


class ProgramError(SicmlipError, RuntimeError):
    """A program or a library that the package drives failed or is missing."""


def nearest_name(name: str, names: Iterable[str]) -> str:
    """Return a hint for a misspelt ``name``: the nearest of the valid names, or all of them."""
    names = sorted(names)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean `{close[0]}`?"
    return "Known are: " + ", ".join(f"`{entry}`" for entry in names) + "."
