"""A packaged model (``.nequip.zip``) evaluated as it is, without compilation: exact, portable and slow."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from aiida_sicmlip.common.exceptions import InputError


class PackagedModel:
    """The eager model of a NequIP package.

    ``species``: elements in the model's order. ``cutoff``: A.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        from nequip.data.transforms import ChemicalSpeciesToAtomTypeMapper, NeighborListTransform

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

        :raises InputError: when the file is missing or its name does not end in ``.nequip.zip``.
        """
        from nequip.model.saved_models import load_saved_model
        from nequip.utils.global_state import set_global_state

        if not Path(path).is_file() or not str(path).endswith(".nequip.zip"):
            raise InputError(f"`{path}` is not an existing packaged model: give a file whose name ends in `.nequip.zip`.")
        logging.getLogger("nequip").setLevel(logging.ERROR)
        set_global_state()
        return cls(load_saved_model(str(path)))

    def compute(self, atoms: Atoms) -> tuple[float, NDArray[np.float64]]:
        """Return the energy, eV, and the forces (N, 3), eV/A, of ``atoms`` in any cell.

        :raises InputError: when ``atoms`` holds an element that the model does not know.
        """
        from nequip.data import AtomicDataDict, from_ase

        unknown = sorted(set(atoms.symbols) - set(self.species))
        if unknown:
            raise InputError(f"The model knows {', '.join(self.species)}, but the frame holds {', '.join(unknown)}.")
        bare = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        data = from_ase(bare)
        for transform in self._transforms:
            data = transform(data)
        output = self._model(data)
        energy = output[AtomicDataDict.TOTAL_ENERGY_KEY].item()
        return energy, output[AtomicDataDict.FORCE_KEY].detach().double().numpy()
