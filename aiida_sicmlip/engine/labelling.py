"""Label of a configuration with a classical potential: `sicmlip label`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.new_files import new_file
from aiida_sicmlip.engine.classical_potential import ClassicalPotential
from aiida_sicmlip.engine.errors import NotANumberError
from aiida_sicmlip.engine.reports import read_json


def label(configuration: Path, classical: Path, output: Path, report: dict[str, Any]) -> None:
    """Compute energy and forces of a configuration with a classical potential.

    :param configuration: file of the configuration; see :func:`read_configuration`.
    :param classical: file of the settings of the potential.
    :param output: npz file to write, with ``energies`` (1,), eV, ``forces`` (N, 3), eV/A, and ``n_atoms`` (1,), the
        names of the output of :func:`~aiida_sicmlip.engine.evaluation.evaluate`.
    :param report: gets ``species`` and ``n_atoms``.
    :raises InputError: if a file is invalid, or the potential lacks an element.
    :raises NotANumberError: if energy or forces are not finite.
    :raises ProgramError: if LAMMPS fails.
    """
    atoms = read_configuration(configuration)
    with ClassicalPotential.load(classical) as potential:
        report.update(species=list(potential.species), n_atoms=len(atoms))
        energy, forces = potential.compute(atoms)
    if not (np.isfinite(energy) and np.isfinite(forces).all()):
        raise NotANumberError(
            "The energy or the forces of the configuration are not finite; check whether atoms coincide."
        )
    with new_file(output) as handle:
        np.savez(handle, energies=np.array([energy]), forces=forces, n_atoms=np.array([len(atoms)]))


def read_configuration(path: Path) -> Atoms:
    """Read a configuration, periodic in all directions, from JSON: `symbols`, `cell` (3, 3), A, `positions` (N, 3), A.

    :raises InputError: if the content is invalid.
    """
    content = read_json(path, "configuration")
    try:
        atoms = Atoms(content["symbols"], content["positions"], cell=np.array(content["cell"], dtype=float), pbc=True)
        is_whole = len(atoms) > 0 and atoms.cell.volume > 0 and np.isfinite(atoms.positions).all()
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"`{path}` must contain `symbols`, `cell` and `positions` of one configuration: {error}"
        ) from error
    if not is_whole:
        raise InputError(f"`{path}` contains no atoms, a cell without volume, or positions that are not finite.")
    return atoms
