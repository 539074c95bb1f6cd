"""A compiled NequIP/Allegro model: loading, checks against this machine, energies, forces and virial."""

from __future__ import annotations

import json
import platform
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aiida_sicmlip.common.exceptions import InputError, ProgramError

if TYPE_CHECKING:
    import torch

# Names that NequIP gives to the inputs and outputs of the compile target `pair_allegro`.
_INPUTS = ["pos", "edge_index", "atom_types"]
_OUTPUTS = ["atomic_energy", "forces", "virial"]
# Entry of the archive that names libraries with operators of their own, which have to be imported before it is loaded.
_CUSTOM_OPERATORS_ENTRY = "nequip_custom_ops_libs.txt"
# Entry of the archive in which this package records what compiled it.
_VERSIONS_ENTRY = "sicmlip_versions.json"
# Processor features, as torch names them, for the instruction sets that torch compiles for.
_PROCESSOR_FEATURES = {"AVX512": "avx512_f", "AVX2": "avx2"}


@dataclass(frozen=True)
class PotentialResult:
    """What a potential says about a structure of N atoms.

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

        :param device: ``cpu``, ``cuda`` or ``cuda:<index>``; where it is None, the device that the file was compiled for.
        :raises InputError: where the file is missing, is no model of the right target, or was compiled for another
            device or another kind of processor.
        :raises ProgramError: where torch cannot load it.
        """
        path = Path(path)
        entries = _read_archive(path)
        import torch  # noqa: PLC0415 (only what runs a model pays for the import)
        import torch._inductor  # noqa: PLC0415

        try:
            metadata = torch._C._aoti.AOTIModelPackageLoader.load_metadata_from_package(str(path), "model")
        except (RuntimeError, AttributeError) as error:
            raise InputError(
                f"The file `{path}` holds no model compiled by nequip-compile: {_first_line(error)}. Compile the packaged "
                "model with `sicmlip-potential compile`."
            ) from error
        _check_target(path, metadata)
        device = _checked_device(path, metadata, device)
        versions = json.loads(entries.get(_VERSIONS_ENTRY, "{}"))
        other_torch = _other_torch(versions, torch.__version__)
        for library in entries.get(_CUSTOM_OPERATORS_ENTRY, "").split():
            _import_operators(path, library)
        index = torch.device(device).index
        try:
            package = torch._inductor.aoti_load_package(str(path), device_index=-1 if index is None else index)
        except Exception as error:
            reason = f"; {other_torch}" if other_torch else ""
            raise ProgramError(
                f"torch {torch.__version__} cannot load the compiled model `{path}`{reason}; compile the packaged model on "
                f"this machine again. torch says: {_first_line(error)}"
            ) from error
        if other_torch:
            warnings.warn(f"The compiled model `{path}`: {other_torch}; compile it again to be sure.", stacklevel=2)
        if device != "cpu":
            torch.backends.cuda.matmul.allow_tf32 = metadata.get("allow_tf32") == "1"
            torch.backends.cudnn.allow_tf32 = metadata.get("allow_tf32") == "1"
        # The package's own call parses its calling convention at every call, which costs a tenth of a small model.
        return cls(package.loader.boxed_run, metadata, device)

    def evaluate(
        self, positions: torch.Tensor, species_index: torch.Tensor, edges: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Evaluate the model on atoms and edges that are already there, without periodicity.

        :param positions: (N, 3), Angstrom, float64; images of atoms are atoms of their own.
        :param species_index: (N,), int64, place in ``species``.
        :param edges: (2, E), int64, centre and neighbour of each pair within the cutoff.
        :returns: energies (N,), forces (N, 3), virial (3, 3) on the model's device. Atoms that are no centre of an edge
            have the energy of a lone atom, which the caller leaves out for images.
        """
        import torch  # noqa: PLC0415

        n_atoms = positions.shape[0]
        if edges.shape[1] < 2 or n_atoms < 2:
            # The compiled code was specialised for at least two atoms and two edges. Two further atoms, out of each
            # other's reach, fill up; everything that the model says of them is smoothly zero at that distance.
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
        :param species_index: (N,), place of each atom's species in ``species``.
        :raises InputError: where an index does not belong to a species of the model.
        """
        import torch  # noqa: PLC0415

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
    ) -> tuple[npt.NDArray[np.int64], ...]:
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
        owners = images[:, 0]
        return centres, neighbours, owners, positions[owners] + images[:, 1:] @ cell


def record_versions(path: str | Path, versions: dict[str, str]) -> None:
    """Write into a compiled model what compiled it, e.g. ``{"torch": "2.13.0", "nequip": "0.19.1"}``.

    ``CompiledPotential.load`` compares the entry ``torch`` with the torch that loads the file.
    """
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(_VERSIONS_ENTRY, json.dumps(versions, sort_keys=True))


def compiled_device(path: str | Path) -> str:
    """Type of device that a compiled model is for: ``cpu`` or ``cuda``; empty where the file does not say."""
    import torch  # noqa: PLC0415
    import torch._inductor  # noqa: PLC0415

    _read_archive(Path(path))
    metadata = torch._C._aoti.AOTIModelPackageLoader.load_metadata_from_package(str(path), "model")
    return torch.device(metadata["AOTI_DEVICE_KEY"]).type if "AOTI_DEVICE_KEY" in metadata else ""


def _read_archive(path: Path) -> dict[str, str]:
    """Return the text entries of the archive that have to be known before torch loads it."""
    if path.name.endswith(".nequip.zip"):
        raise InputError(
            f"The file `{path}` is a packaged model, which runs on no machine before it is compiled; compile it with "
            "`sicmlip-potential compile` and name the resulting `.nequip.pt2`."
        )
    if not path.is_file():
        raise InputError(f"The compiled model `{path}` does not exist; give the path of a `.nequip.pt2` file.")
    if not zipfile.is_zipfile(path) or not path.name.endswith(".pt2"):
        raise InputError(
            f"The file `{path}` is no compiled model; give a `.nequip.pt2` file that `sicmlip-potential compile` or "
            "`nequip-compile --mode aotinductor` wrote."
        )
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        return {
            entry: archive.read(entry).decode()
            for entry in (_CUSTOM_OPERATORS_ENTRY, _VERSIONS_ENTRY)
            if entry in names
        }


def _check_target(path: Path, metadata: dict[str, str]) -> None:
    inputs = metadata.get("nequip_aoti_inputs", " ".join(_INPUTS)).split()
    outputs = metadata.get("nequip_aoti_outputs", " ".join(_OUTPUTS)).split()
    if inputs != _INPUTS or outputs != _OUTPUTS or "type_names" not in metadata or "r_max" not in metadata:
        raise InputError(
            f"The model `{path}` was compiled for another target (its inputs are {', '.join(inputs)}); compile it with "
            "`--target pair_allegro`."
        )


def _checked_device(path: Path, metadata: dict[str, str], device: str | None) -> str:
    """Return the device to use.

    :raises InputError: where the file was compiled for another device, architecture or instruction set.
    """
    import torch  # noqa: PLC0415

    compiled_for = metadata.get("AOTI_DEVICE_KEY", "cpu")
    device = compiled_for if device is None else device
    if torch.device(device).type != torch.device(compiled_for).type:
        raise InputError(
            f"The model `{path}` was compiled for the device `{compiled_for}`, but `{device}` is asked for; compile the "
            f"packaged model with `--device {torch.device(device).type}`."
        )
    again = "compile the packaged model on this kind of machine."
    machine = metadata.get("AOTI_MACHINE", platform.machine())
    if machine != platform.machine():
        raise InputError(
            f"The model `{path}` was compiled for {machine}, but this machine is {platform.machine()}; {again}"
        )
    if compiled_for == "cpu":
        needed = (metadata.get("AOTI_CPU_ISA", "").split() or [""])[0]
        # Without this check the process dies of an illegal instruction.
        present = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        if present.get(_PROCESSOR_FEATURES.get(needed, "")) is False:
            raise InputError(f"The model `{path}` needs a processor with {needed}, which this one has not; {again}")
    elif not torch.cuda.is_available():
        raise InputError(
            f"The model `{path}` was compiled for `{compiled_for}`, but torch finds no such device; {again}"
        )
    return device


def _other_torch(versions: dict[str, Any], present: str) -> str:
    """Say in half a sentence that another torch compiled the file; empty where it was the same or is not known."""
    compiled_with = str(versions.get("torch", ""))
    if not compiled_with or compiled_with.split("+", maxsplit=1)[0] == present.split("+", maxsplit=1)[0]:
        return ""
    return f"it was compiled with torch {compiled_with}, this is torch {present}"


def _import_operators(path: Path, library: str) -> None:
    import importlib  # noqa: PLC0415

    try:
        importlib.import_module(library)
    except ImportError as error:
        raise ProgramError(
            f"The model `{path}` uses operators of the Python package `{library}`, which cannot be imported; install it."
        ) from error


def _neighbour_list(
    positions: npt.NDArray[np.float64], cell: npt.NDArray[np.float64], pbc: npt.NDArray[np.bool_], cutoff: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Ordered pairs within the cutoff: centres (E,), neighbours (E,), cell shifts (E, 3) of the neighbours."""
    try:
        if not pbc.all():
            raise ImportError("matscipy expects a cell around all atoms along directions that do not repeat")
        from matscipy.neighbours import neighbour_list  # noqa: PLC0415

        centres, neighbours, shifts = neighbour_list("ijS", positions=positions, cell=cell, pbc=pbc, cutoff=cutoff)
    except ImportError:
        from ase.neighborlist import primitive_neighbor_list  # noqa: PLC0415

        centres, neighbours, shifts = primitive_neighbor_list(
            "ijS", pbc, cell, positions, cutoff, self_interaction=False
        )
    return centres.astype(np.int64), neighbours.astype(np.int64), shifts.astype(np.int64)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
