"""The label of one configuration by a classical potential: `sicmlip label`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.engine.classical_potential import ClassicalPotential
from aiida_sicmlip.engine.errors import NotANumberError
from aiida_sicmlip.engine.evaluation import read_classical_settings
from aiida_sicmlip.engine.reports import read_json


def label(configuration: Path, classical: Path, output: Path, report: dict[str, Any]) -> None:
    """Compute energy and forces of a configuration with a classical potential and write them to ``output``.

    ``output`` (``.npz``) gets ``energies`` (1,) in eV, ``forces`` (N, 3) in eV/A and ``n_atoms`` (1,), named as in the
    output of :func:`~aiida_sicmlip.engine.evaluation.evaluate`.

    :raises InputError: when a file cannot be used or the potential does not know an element.
    :raises NotANumberError: when energy or forces are not finite.
    :raises ProgramError: when LAMMPS fails.
    """
    atoms = read_configuration(configuration)
    species, commands = read_classical_settings(classical)
    report.update(species=species, n_atoms=len(atoms))
    with ClassicalPotential(species, commands) as potential:
        energy, forces = potential.compute(atoms)
    if not (np.isfinite(energy) and np.isfinite(forces).all()):
        raise NotANumberError("The energy or the forces of the configuration are not finite: atoms may coincide.")
    with output.open("wb") as handle:
        np.savez(handle, energies=np.array([energy]), forces=forces, n_atoms=np.array([len(atoms)]))


def read_configuration(path: Path) -> Atoms:
    """Read a configuration, periodic in all directions: JSON with `symbols`, `cell` (3, 3) and `positions` (N, 3), A.

    :raises InputError: when the file is not of that form.
    """
    content = read_json(path, "configuration")
    try:
        atoms = Atoms(content["symbols"], content["positions"], cell=np.array(content["cell"], dtype=float), pbc=True)
        is_whole = len(atoms) > 0 and atoms.cell.volume > 0 and np.isfinite(atoms.positions).all()
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"`{path}` must hold `symbols`, `cell` and `positions` of one configuration: {error}"
        ) from error
    if not is_whole:
        raise InputError(f"`{path}` holds no atoms, a cell without volume, or positions that are not finite.")
    return atoms
