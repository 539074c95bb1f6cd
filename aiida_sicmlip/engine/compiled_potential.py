"""A compiled NequIP/Allegro model: loading, checks against this machine, energies, forces and virial."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aiida_sicmlip.common.exceptions import InputError, ProgramError
from aiida_sicmlip.engine.compiled_file import CompiledFile, first_line

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PotentialResult:
    """Prediction of a potential for a structure of N atoms.

    ``energy`` (eV), ``atomic_energies`` (N,) (eV), ``forces`` (N, 3) (eV/Angstrom), ``virial`` (3, 3) (eV): the sum of
    r_i f_i over atoms and their images, as a LAMMPS pair style defines it. The stress of ASE is -virial / volume.
    """

    energy: float
    atomic_energies: npt.NDArray[np.float64]
    forces: npt.NDArray[np.float64]
    virial: npt.NDArray[np.float64]


class CompiledPotential:
    """A model that ``nequip-compile --mode aotinductor --target pair_allegro`` wrote (``*.nequip.pt2``).

    ``species``: names of the model's types in their order; ``cutoff``: the largest cutoff (Angstrom); ``pair_cutoffs``
    (S, S): cutoff of each centre and neighbour species (Angstrom); ``metadata``: as stored in the file; ``device``.
    """

    def __init__(
        self, run: Callable[[list[torch.Tensor]], Sequence[torch.Tensor]], metadata: dict[str, str], device: str
    ):
        self._run = run
        self.metadata = metadata
        self.device = device
        self.species: tuple[str, ...] = tuple(metadata["type_names"].split())
        self.cutoff = float(metadata["r_max"])
        self.pair_cutoffs: npt.NDArray[np.float64] = np.full((len(self.species),) * 2, self.cutoff)
        if metadata.get("per_edge_type_cutoff"):
            cutoffs = [float(word) for word in metadata["per_edge_type_cutoff"].split()]
            self.pair_cutoffs = np.reshape(cutoffs, self.pair_cutoffs.shape)

    @classmethod
    def load(cls, path: str | Path, device: str | None = None) -> CompiledPotential:
        """Load a compiled model.

        :param device: ``cpu``, ``cuda`` or ``cuda:<index>``; None for the device that the file was compiled for.
        :raises InputError: where the file is missing, is no model of the right target, or was compiled for another
            device or another kind of processor.
        :raises ProgramError: where torch cannot load it.
        """
        import torch  # slow; imported only where needed

        file = CompiledFile.read(path)
        device = device or file.device
        file.check_target()
        file.check_machine(device)
        file.import_libraries()
        other_torch = file.other_torch(torch.__version__)
        index = torch.device(device).index
        try:
            # `torch._inductor.aoti_load_package` ends here, but imports torch's compiler first, for 2 s.
            loader = torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, 1, -1 if index is None else index)
        except Exception as error:
            raise ProgramError(
                f"torch {torch.__version__} cannot load the compiled model `{path}`{'; ' if other_torch else ''}"
                f"{other_torch}; compile the packaged model on this machine again. torch says: {first_line(error)}"
            ) from error
        if other_torch:
            warnings.warn(f"The compiled model `{path}`: {other_torch}; compile it again to be sure.", stacklevel=2)
        if device != "cpu":
            torch.backends.cuda.matmul.allow_tf32 = file.metadata.get("allow_tf32") == "1"
            torch.backends.cudnn.allow_tf32 = file.metadata.get("allow_tf32") == "1"
        # The regular call parses its calling convention each time, which is significant for small models.
        return cls(loader.boxed_run, file.metadata, device)

    def evaluate(
        self, positions: torch.Tensor, species_index: torch.Tensor, edges: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Evaluate the model on given atoms and edges, without periodicity.

        :param positions: (N, 3), Angstrom, float64; images of atoms are separate atoms.
        :param species_index: (N,), int64, index in ``species``.
        :param edges: (2, E), int64, centre and neighbour of each pair within the cutoff.
        :returns: energies (N,), forces (N, 3), virial (3, 3) on the model's device. Atoms that are not the centre of an
            edge have the energy of an isolated atom, which the caller drops for images.
        """
        import torch

        n_atoms = positions.shape[0]
        if edges.shape[1] < 2 or n_atoms < 2:
            # The compiled code was specialised for at least two atoms and two edges. It is padded with two atoms at a
            # distance where the model's pair energies are zero.
            far = positions.new_tensor([[0.0, 0.0, 0.0], [10.0 * self.cutoff, 0.0, 0.0]])
            positions = torch.cat([positions, far])
            species_index = torch.cat([species_index, species_index.new_zeros(2)])
            edges = torch.cat([edges, edges.new_tensor([[n_atoms, n_atoms + 1], [n_atoms + 1, n_atoms]])], dim=1)
        inputs = [positions, edges, species_index]
        if self.device != "cpu":
            inputs = [tensor.to(self.device) for tensor in inputs]
        energies, forces, virial = self._run(inputs)
        return energies.view(-1)[:n_atoms], forces[:n_atoms], virial.view(3, 3)

    def compute(
        self,
        positions: npt.ArrayLike,
        cell: npt.ArrayLike,
        pbc: npt.ArrayLike,
        species_index: npt.ArrayLike,
    ) -> PotentialResult:
        """Energy, forces and virial of a structure.

        :param positions: (N, 3), Angstrom, inside or outside the cell.
        :param cell: (3, 3), rows are the cell vectors, Angstrom; of any shape and handedness.
        :param pbc: (3,), whether the structure repeats along each cell vector.
        :param species_index: (N,), index of each atom's species in ``species``.
        :raises InputError: where an index does not belong to a species of the model.
        """
        import torch

        positions = np.ascontiguousarray(positions, dtype=np.float64).reshape(-1, 3)
        species = np.ascontiguousarray(species_index, dtype=np.int64).reshape(-1)
        if len(species) != len(positions) or np.any(species < 0) or np.any(species >= len(self.species)):
            raise InputError(
                f"species_index must give a number from 0 to {len(self.species) - 1} for each of the {len(positions)} "
                f"atoms (the model's species are {', '.join(self.species)}); got {species.tolist()[:10]}."
            )
        n_atoms = len(positions)
        centres, neighbours, owners, image_positions = self._edges(
            positions, np.asarray(cell, dtype=np.float64), np.broadcast_to(np.asarray(pbc, dtype=bool), (3,)), species
        )
        energies, forces, virial = (
            tensor.detach().cpu().double().numpy()
            for tensor in self.evaluate(
                torch.from_numpy(np.concatenate([positions, image_positions])),
                torch.from_numpy(np.concatenate([species, species[owners]])),
                torch.from_numpy(np.stack([centres, neighbours])),
            )
        )
        total = forces[:n_atoms].copy()
        np.add.at(total, owners, forces[n_atoms:])
        atomic_energies = energies[:n_atoms].copy()
        return PotentialResult(float(atomic_energies.sum()), atomic_energies, total, virial.copy())

    def _edges(
        self,
        positions: npt.NDArray[np.float64],
        cell: npt.NDArray[np.float64],
        pbc: npt.NDArray[np.bool_],
        species: npt.NDArray[np.int64],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Edges (centres, neighbours), and for each image that is a neighbour its owner and its position."""
        centres, neighbours, shifts = _neighbour_list(positions, cell, pbc, self.cutoff)
        if np.any(self.pair_cutoffs < self.cutoff):
            vectors = positions[neighbours] - positions[centres] + shifts @ cell
            cutoffs = self.pair_cutoffs[species[centres], species[neighbours]]
            near = np.einsum("ij,ij->i", vectors, vectors) < cutoffs**2
            centres, neighbours, shifts = centres[near], neighbours[near], shifts[near]
        outside = np.any(shifts != 0, axis=1)
        images, image_of_edge = np.unique(
            np.column_stack([neighbours[outside], shifts[outside]]), axis=0, return_inverse=True
        )
        neighbours = neighbours.copy()
        neighbours[outside] = len(positions) + image_of_edge.reshape(-1)
        owners: npt.NDArray[np.int64] = images[:, 0]
        return centres, neighbours, owners, positions[owners] + images[:, 1:] @ cell


def _neighbour_list(
    positions: npt.NDArray[np.float64], cell: npt.NDArray[np.float64], pbc: npt.NDArray[np.bool_], cutoff: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Ordered pairs within the cutoff: centres (E,), neighbours (E,), cell shifts (E, 3) of the neighbours."""
    try:
        if not pbc.all():
            raise ImportError("matscipy expects a cell around all atoms along directions that do not repeat")
        from matscipy.neighbours import neighbour_list

        centres, neighbours, shifts = neighbour_list("ijS", positions=positions, cell=cell, pbc=pbc, cutoff=cutoff)
    except ImportError:
        from ase.neighborlist import primitive_neighbor_list

        centres, neighbours, shifts = primitive_neighbor_list(
            "ijS", pbc, cell, positions, cutoff, self_interaction=False
        )
    return centres.astype(np.int64), neighbours.astype(np.int64), shifts.astype(np.int64)
