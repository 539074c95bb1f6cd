"""Action DISTANCE: all distances of a plumed.dat, with the minimum image in cells of any shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.geometry.minkowski_reduction import minkowski_reduce

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias.directives import Keywords

_NEIGHBOURS = np.array([(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)], dtype=float)


def read_distance(keywords: Keywords, n_atoms: int) -> tuple[int, int, bool]:
    """Return the two atoms of a DISTANCE, from 0, and whether it uses the minimum image.

    :raises InputError: unless two different atoms of the run, counted from 1, are given.
    """
    words = keywords.words("ATOMS")
    periodic = not keywords.flag("NOPBC")
    keywords.finish()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        raise InputError(f"{keywords.where} needs two atoms, `ATOMS=i,j`, counted from 1.")
    first, second = (int(word) for word in words)
    for atom in (first, second):
        if not 1 <= atom <= n_atoms:
            raise InputError(f"{keywords.where} has atom {atom}, but the atoms of the run are 1 to {n_atoms}.")
    if first == second:
        raise InputError(f"{keywords.where} has atom {first} twice; give two different atoms.")
    return first - 1, second - 1, periodic


class Distances:
    """Distances of pairs of atoms, and forces on the atoms from gradients with respect to the distances.

    :param pairs: indices into the positions of :meth:`evaluate`, (P, 2).
    :param periodic: whether each pair uses the minimum image, (P,).
    """

    def __init__(self, pairs: Sequence[tuple[int, int]], periodic: Sequence[bool]):
        self._pairs = np.array(pairs, dtype=np.intp).reshape(-1, 2)
        self._periodic = np.array(periodic, dtype=bool)
        self._all_periodic = bool(self._periodic.all())
        self._image = MinimumImage()
        self._units = np.zeros((len(self._pairs), 3))
        self._lengths = np.zeros(len(self._pairs))

    def evaluate(self, positions: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """Return the distances (P,).

        :param positions: (M, 3).
        :param cell: cell vectors in rows, (3, 3), in the unit of the positions; zeros: no periodic images.
        """
        vectors = positions[self._pairs[:, 1]] - positions[self._pairs[:, 0]]
        if self._all_periodic:
            vectors = self._image(vectors, cell)
        else:
            vectors[self._periodic] = self._image(vectors[self._periodic], cell)
        self._lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        # Atoms at the same position have no force between them; a division by zero would affect all other atoms.
        self._units = vectors / np.where(self._lengths > 0, self._lengths, 1.0)[:, None]
        return self._lengths

    def forces(self, gradient: np.ndarray, n_atoms: int) -> tuple[np.ndarray, np.ndarray]:
        """Return forces (n_atoms, 3) and virial (3, 3) of an energy.

        The virial is the sum of r x f over the pairs, minus the derivative of the energy with respect to strain.

        :param gradient: of the energy with respect to the distances, (P,).
        """
        on_second = -gradient[:, None] * self._units
        forces = np.empty((n_atoms, 3))
        for axis in range(3):
            forces[:, axis] = np.bincount(self._pairs[:, 1], on_second[:, axis], n_atoms)
            forces[:, axis] -= np.bincount(self._pairs[:, 0], on_second[:, axis], n_atoms)
        return forces, (self._units * self._lengths[:, None]).T @ on_second


class MinimumImage:
    """Minimum image of vectors; quantities derived from the cell are kept until it changes."""

    def __init__(self) -> None:
        self._cell: np.ndarray | None = None
        self._reduced: np.ndarray = np.zeros((3, 3))
        self._inverse: np.ndarray = np.zeros((3, 3))
        self._box: np.ndarray | None = None
        self._safe = 0.0

    def __call__(self, vectors: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """Return the minimum images of ``vectors`` (P, 3) in ``cell`` (3, 3); a cell of zeros is not periodic.

        :raises InputError: for a cell without volume that is not zero.
        """
        if not cell.any():
            return vectors
        if self._cell is None or not np.array_equal(cell, self._cell):
            self._set_cell(cell)
        if self._box is not None:
            return vectors - self._box * np.rint(vectors / self._box)
        vectors = vectors - np.rint(vectors @ self._inverse) @ self._reduced
        # Vectors inside the inscribed sphere of the cell are minimum images.
        squares = np.einsum("ij,ij->i", vectors, vectors)
        far = np.flatnonzero(squares > self._safe**2)
        if len(far):
            images = vectors[far, None, :] + _NEIGHBOURS @ self._reduced
            best = np.argmin(np.einsum("pij,pij->pi", images, images), axis=1)
            vectors[far] = images[np.arange(len(far)), best]
        return vectors

    def _set_cell(self, cell: np.ndarray) -> None:
        if abs(np.linalg.det(cell)) < 1e-12:
            raise InputError(
                "The cell has no volume; give three linearly independent vectors, or zeros if nothing is periodic."
            )
        diagonal = np.diag(cell)
        self._box = diagonal.copy() if not (cell - np.diag(diagonal)).any() else None
        # In a Minkowski-reduced cell the minimum image is one of the 27 images around the wrapped vector.
        self._reduced = np.asarray(minkowski_reduce(cell)[0])
        self._inverse = np.linalg.inv(self._reduced)
        self._safe = 0.5 / np.linalg.norm(self._inverse, axis=0).max()
        self._cell = np.array(cell)
