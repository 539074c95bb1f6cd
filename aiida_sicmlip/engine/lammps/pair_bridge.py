"""The Python side of ``pair_style allegro`` and ``compute committee/disagreement``.

These are the functions that the LAMMPS plugin calls (``plugin/callbacks.h``).
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.engine.lammps.callbacks import guard, load_library, view

if TYPE_CHECKING:
    import torch

    from aiida_sicmlip.engine.compiled_potential import CompiledPotential

_LOAD = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.POINTER(ctypes.c_char_p),
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_int32),
    ctypes.POINTER(ctypes.c_double),
    ctypes.POINTER(ctypes.c_int32),
    ctypes.c_void_p,
    ctypes.c_int,
)
_COMPUTE = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int32,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int,
)
_DISAGREEMENT = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int32,
    ctypes.c_int64,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int,
)
# Variables in which launchers set the local rank of a process.
_LOCAL_RANK_VARIABLES = ["MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"]


class PairBridge:
    """Gives the plugin its functions and keeps the models loaded by inputs.

    The object must exist as long as LAMMPS may call the plugin.
    """

    def __init__(self, library: str | Path):
        """Load the plugin's shared library and set its functions; LAMMPS' own library has to be loaded before."""
        self._library = load_library(library)
        self._potentials: list[CompiledPotential] = []
        self._known: dict[tuple[str, int, int], int] = {}
        self._load = _LOAD(guard(self._load_model))
        self._compute = _COMPUTE(guard(self._compute_model))
        self._disagreement = _DISAGREEMENT(guard(_fill_disagreement))
        set_callbacks = self._library.sicmlip_set_pair_callbacks
        set_callbacks.argtypes = [_LOAD, _COMPUTE, _DISAGREEMENT]
        set_callbacks.restype = None
        set_callbacks(self._load, self._compute, self._disagreement)

    def close(self) -> None:
        """Release the models, so that torch removes their unpacked files."""
        self._potentials.clear()
        self._known.clear()

    def _load_model(  # noqa: PLR0917 (the order of callbacks.h)
        self, path: bytes, names: Any, count: int, species: Any, cutoffs: Any, model: Any
    ) -> None:
        model[0] = self._number_of(Path(os.fsdecode(path)))
        potential = self._potentials[model[0]]
        indices = [species_index(names[k].decode(), potential.species, k + 1) for k in range(count)]
        for k, index in enumerate(indices):
            species[k] = index
            for m, other in enumerate(indices):
                both = index >= 0 and other >= 0
                cutoffs[k * count + m] = potential.pair_cutoffs[index, other] if both else 0.0

    def _number_of(self, path: Path) -> int:
        """Number of the model in this file; each file is loaded once."""
        from aiida_sicmlip.engine.compiled_potential import CompiledPotential

        try:
            state = path.stat()
            key = (str(path.resolve()), state.st_mtime_ns, state.st_size)
        except OSError:
            key = (str(path), 0, 0)
        if key not in self._known:
            potential = CompiledPotential.load(path, device=_device_of(path))
            self._known[key] = len(self._potentials)
            self._potentials.append(potential)
        return self._known[key]

    def _compute_model(  # noqa: PLR0917 (the order of callbacks.h)
        self,
        model: int,
        n_atoms: int,
        n_centres: int,
        n_edges: int,
        positions: int,
        species: int,
        edges: int,
        energies: int,
        forces: int,
        virial: int | None,
    ) -> None:
        import torch

        result = self._potentials[model].evaluate(
            _tensor(positions, 3 * n_atoms, torch.float64).view(n_atoms, 3),
            _tensor(species, n_atoms, torch.int64),
            _tensor(edges, 2 * n_edges, torch.int64).view(2, n_edges),
        )
        _tensor(energies, n_centres, torch.float64).copy_(result[0][:n_centres])
        _tensor(forces, 3 * n_atoms, torch.float64).view(n_atoms, 3).copy_(result[1])
        if virial:
            _tensor(virial, 9, torch.float64).view(3, 3).copy_(result[2])


def _fill_disagreement(n_members: int, n_atoms: int, forces: int, disagreement: int) -> None:
    """Fill the disagreement of a committee on each atom, as an evaluation defines it."""
    import numpy as np

    from aiida_sicmlip.science.evaluation.committee import force_disagreement

    of_members = np.frombuffer(view(forces, 24 * n_members * n_atoms), dtype=np.float64).reshape(n_members, n_atoms, 3)
    np.frombuffer(view(disagreement, 8 * n_atoms), dtype=np.float64)[:] = force_disagreement(of_members)


def species_index(name: str, species: tuple[str, ...], lammps_type: int) -> int:
    """Index of a species in the model; -1 for ``NULL``, which leaves an atom type to other pair styles.

    :raises InputError: where the model does not know the species.
    """
    if name == "NULL":
        return -1
    if name not in species:
        raise InputError(
            f"The pair_coeff of the pair style allegro gives the species `{name}` to atom type {lammps_type}, which "
            f"the model does not know. {nearest_name(name, species)}"
        )
    return species.index(name)


def _device_of(path: Path) -> str | None:
    """Spread the processes of one machine over its GPUs; None where there is no choice."""
    rank = next((int(os.environ[name]) for name in _LOCAL_RANK_VARIABLES if os.environ.get(name, "").isdigit()), 0)
    if rank == 0 or not path.is_file():
        return None
    import torch

    from aiida_sicmlip.engine.compiled_file import CompiledFile

    if CompiledFile.read(path).device != "cuda" or torch.cuda.device_count() < 2:
        return None
    return f"cuda:{rank % torch.cuda.device_count()}"


def _tensor(address: int, count: int, dtype: torch.dtype) -> torch.Tensor:
    """A tensor on memory that C++ owns."""
    import torch

    if count == 0:
        return torch.empty(0, dtype=dtype)
    return torch.frombuffer(view(address, count * dtype.itemsize), dtype=dtype, count=count)
