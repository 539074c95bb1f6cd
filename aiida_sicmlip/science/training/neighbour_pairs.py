"""Neighbour list: pairs of atoms within a cutoff, including periodic images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from ase import Atoms
from scipy.spatial import cKDTree

from aiida_sicmlip.common.exceptions import InputError


def neighbour_pairs(
    atoms: Atoms, cutoff: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the ordered pairs of ``atoms`` closer than ``cutoff`` (A).

    The pairs are those of ``neighbor_list("ijdD", atoms, cutoff)`` of ASE in a different order; for 216 atoms and 5 A
    it takes a sixth of the time.

    :return: first atoms (E,), second atoms (E,), distances (E,) and vectors from first to second (E, 3), in A.
    :raises InputError: if two atoms have the same position.
    """
    cell = atoms.cell.complete().array
    periodic = atoms.pbc & atoms.cell.array.any(axis=1)
    inverse = np.linalg.inv(cell)
    positions = atoms.positions - np.where(periodic, np.floor(atoms.positions @ inverse), 0.0) @ cell
    # The cutoff reaches as many images as it contains distances between opposite faces of the cell.
    reach = np.where(periodic, np.ceil(cutoff * np.linalg.norm(inverse, axis=0)), 0).astype(int)
    steps = [np.arange(-number, number + 1) for number in reach]
    shifts = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    images = (positions + (shifts @ cell)[:, None]).reshape(-1, 3)
    around = (images >= positions.min(axis=0) - cutoff) & (images <= positions.max(axis=0) + cutoff)
    near = np.flatnonzero(around.all(axis=1))
    pairs = cKDTree(positions).sparse_distance_matrix(cKDTree(images[near]), cutoff, output_type="ndarray")
    first, image = pairs["i"].astype(np.int64), near[pairs["j"]]
    # The zero shift is the middle one of the shifts.
    others = image != len(shifts) // 2 * len(atoms) + first
    first, image = first[others], image[others]
    vectors = images[image] - positions[first]
    lengths = np.linalg.norm(vectors, axis=1)
    inside = lengths < cutoff
    first, second = first[inside], (image % len(atoms))[inside].astype(np.int64)
    if len(first) and not lengths[inside].min() > 0:
        raise InputError(
            f"Two atoms of a frame of {atoms.get_chemical_formula()} have the same position; remove the frame."
        )
    return first, second, lengths[inside], vectors[inside]
