"""Pairs of atoms within a distance, periodic images included."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from ase import Atoms
from scipy.spatial import cKDTree

from aiida_sicmlip.common.exceptions import InputError


def neighbour_pairs(
    atoms: Atoms, cutoff: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the ordered pairs of ``atoms`` nearer than ``cutoff`` (A).

    The same as ``neighbor_list("ijdD", atoms, cutoff)`` of ASE in another order; for 216 atoms and 5 A it takes a sixth
    of the time.

    :return: first atoms (E,), second atoms (E,), distances (E,) and vectors from first to second (E, 3), in A.
    :raises InputError: when two atoms are at one place.
    """
    cell = atoms.cell.complete().array
    periodic = atoms.pbc & atoms.cell.array.any(axis=1)
    inverse = np.linalg.inv(cell)
    positions = atoms.positions - np.where(periodic, np.floor(atoms.positions @ inverse), 0.0) @ cell
    # Distances between the faces of the cell say how many images the cutoff reaches.
    reach = np.where(periodic, np.ceil(cutoff * np.linalg.norm(inverse, axis=0)), 0).astype(int)
    steps = [np.arange(-number, number + 1) for number in reach]
    shifts = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    images = (positions + (shifts @ cell)[:, None]).reshape(-1, 3)
    around = (images >= positions.min(axis=0) - cutoff) & (images <= positions.max(axis=0) + cutoff)
    near = np.flatnonzero(around.all(axis=1))
    found = cKDTree(positions).sparse_distance_matrix(cKDTree(images[near]), cutoff, output_type="ndarray")
    first, image = found["i"].astype(np.int64), near[found["j"]]
    # The shift by nothing stands in the middle.
    others = image != len(shifts) // 2 * len(atoms) + first
    first, image = first[others], image[others]
    vectors = images[image] - positions[first]
    lengths = np.linalg.norm(vectors, axis=1)
    inside = lengths < cutoff
    first, second = first[inside], (image % len(atoms))[inside].astype(np.int64)
    if len(first) and not lengths[inside].min() > 0:
        raise InputError(f"Two atoms of a frame of {atoms.get_chemical_formula()} are at one place: leave it out.")
    return first, second, lengths[inside], vectors[inside]
