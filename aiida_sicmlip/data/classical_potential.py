"""Classical potentials of LAMMPS, as nodes of aiida-lammps."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

from aiida import orm
from aiida_lammps.data.potential import LammpsPotentialData

"""Process type of the calculations that label a configuration by a potential."""
_ARGUMENTS = ("pair_style", "species", "atom_style", "units", "extra_tags")


def potential_name(potential: LammpsPotentialData) -> str:
    """Return pair style and file of a potential: ``edip/multi (SiC.edip)``."""
    return f"{potential.pair_style} ({potential.filename})"


def classical_potential(path: Path, pair_style: str, species: Sequence[str]) -> LammpsPotentialData:
    """Return the node of a potential file: a stored one where there is one, else a new, unstored one.

    :param species: chemical symbols for which the file may be used.
    :raises KeyError, TypeError, ValueError: if aiida-lammps does not know the pair style or a species.
    """
    content = path.read_bytes()
    filters = {
        "attributes.md5": hashlib.md5(content).hexdigest(),
        "attributes.pair_style": pair_style,
        "attributes.species": list(species),
    }
    stored = orm.QueryBuilder().append(LammpsPotentialData, filters=filters).first(flat=True)
    if stored is not None:
        return stored
    # The class takes its arguments from attributes of itself, and its own `get_or_create` sets them without taking them
    # back, so that every potential of the process has the pair style of the last one; it also looks for the content
    # alone, so that a file is never known under a second pair style.
    before = {name: LammpsPotentialData.__dict__[name] for name in _ARGUMENTS if name in LammpsPotentialData.__dict__}
    arguments = (pair_style, list(species), "atomic", "metal", None)
    try:
        for name, value in zip(_ARGUMENTS, arguments, strict=True):
            setattr(LammpsPotentialData, name, value)
        return LammpsPotentialData(io.BytesIO(content), path.name)
    finally:
        for name in _ARGUMENTS:
            delattr(LammpsPotentialData, name)
        for name, value in before.items():
            setattr(LammpsPotentialData, name, value)
