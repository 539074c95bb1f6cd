"""A packaged model (``.nequip.zip``) evaluated without compilation: exact, portable and slow."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from nequip.data import AtomicDataDict, from_ase
from nequip.data.transforms import ChemicalSpeciesToAtomTypeMapper, NeighborListTransform
from nequip.model.saved_models import load_saved_model
from nequip.utils.global_state import set_global_state
from numpy.typing import NDArray

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.engine.archives import require_undamaged
from aiida_sicmlip.engine.compiled_file import first_line


def require_package(path: str | Path) -> None:
    """Check that ``path`` exists, is named as a package, and is undamaged.

    :raises InputError: when not.
    """
    if not Path(path).is_file() or not str(path).endswith(".nequip.zip"):
        raise InputError(f"`{path}` is not an existing packaged model: give a file named `.nequip.zip`.")
    if zipfile.is_zipfile(path):
        require_undamaged(path)


class PackagedModel:
    """The eager model of a NequIP package.

    ``species``: elements in the model's order. ``cutoff``: A.
    """

    def __init__(self, model: Any) -> None:
        self._model = model.eval()
        self.species: tuple[str, ...] = tuple(str(name) for name in model.type_names)
        self.cutoff = float(model.metadata["r_max"])
        self._transforms = [
            ChemicalSpeciesToAtomTypeMapper(list(self.species)),
            NeighborListTransform(r_max=self.cutoff),
        ]

    @classmethod
    def load(cls, path: str | Path) -> PackagedModel:
        """Read a package.

        :raises InputError: when the file is missing, not named ``.nequip.zip`` or not readable as a package.
        """
        require_package(path)
        set_global_state()
        try:
            return cls(load_saved_model(str(path)))
        except Exception as error:
            # torch and zipfile raise any class of error for a damaged file or one of another version.
            raise InputError(
                f"`{path}` cannot be read as a packaged model; give one that `sicmlip train` or "
                f"`nequip-package` wrote. The libraries say: {first_line(error)}"
            ) from error

    def energies_of_elements(self) -> dict[str, float]:
        """Return the constant energy of each element in the model, eV; empty where the model has no such constants."""
        # A package contains its own classes, which are identified by name.
        found = [module for module in self._model.modules() if type(module).__name__ == "PerTypeScaleShift"]
        # NequIP replaces the energies only where there are scales.
        if len(found) != 1 or not (found[0].has_shifts and found[0].has_scales):
            return {}
        shifts = found[0].shifts.detach().reshape(-1).tolist()
        shifts = shifts * len(self.species) if len(shifts) == 1 else shifts
        return dict(zip(self.species, shifts, strict=True))

    def compute(self, atoms: Atoms) -> tuple[float, NDArray[np.float64]]:
        """Return the energy, eV, and the forces (N, 3), eV/A, of ``atoms`` in any cell.

        :raises InputError: when ``atoms`` holds an element that the model does not know.
        """
        unknown = sorted(set(atoms.symbols) - set(self.species))
        if unknown:
            raise InputError(f"The model knows {', '.join(self.species)}, but the frame holds {', '.join(unknown)}.")
        data = from_ase(Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc))
        for transform in self._transforms:
            data = transform(data)
        output = self._model(data)
        energy = output[AtomicDataDict.TOTAL_ENERGY_KEY].item()
        return energy, output[AtomicDataDict.FORCE_KEY].detach().double().numpy()
