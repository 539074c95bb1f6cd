"""Potentials of LAMMPS, from what a settings file says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.lammps_files import find_potential_file
from aiida_sicmlip.data.classical_potential import classical_potential
from aiida_sicmlip.workflows.protocol_structures import load_data


def described_potential(settings: Mapping[str, Any], field: str, *kinds: type[orm.Data]) -> orm.Data:
    """Return the potential of a settings file: a stored node of one of the classes ``kinds``, or a LAMMPS file.

    :raises InputError: if there is no such node or file, or LAMMPS knows no such potential.
    """
    if settings.get("node") is not None:
        return load_data(settings["node"], f"{field}.node", *kinds)
    path = find_potential_file(str(settings["file"]))
    try:
        return classical_potential(path, settings["pair_style"], settings["species"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"`{field}` does not describe a LAMMPS potential: {error}") from error
