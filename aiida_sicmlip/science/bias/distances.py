"""The action DISTANCE: all distances of a plumed.dat at once, with the minimum image in cells of any shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.geometry.minkowski_reduction import minkowski_reduce

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias.directives import Keywords

_NEIGHBOURS = np.array([(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)], dtype=float)


def read_distance(keywords: Keywords, n_atoms: int) -> tuple[int, int, bool]:
    """Read one DISTANCE and return its two atoms (from 0) and whether it takes the minimum image.

    :raises InputError: for anything but two different atoms of the run, counted from 1.
    """
    words = keywords.words("ATOMS")
    periodic = not keywords.flag("NOPBC")
    keywords.finish()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        raise InputError(f"{keywords.where} needs two atoms, `ATOMS=i,j`, counted from 1.")
    first, second = (int(word) for word in words)
    for atom in (first, second):
        if not 1 <= atom <= n_atoms:
            raise InputError(f"{keywords.where} names atom {atom}, but the run has atoms 1 to {n_atoms}.")
    if first == second:
        raise InputError(f"{keywords.where} names atom {first} twice; a distance needs two atoms.")
    return first - 1, second - 1, periodic


class Distances:
    """Distances of pairs of atoms, and what a gradient in them is on the atoms.

    ``pairs`` (P, 2) are indices into the positions that :meth:`evaluate` is given, ``periodic`` (P,) says which of them
    take the minimum image.
    """

    def __init__(self, pairs: Sequence[tuple[int, int]], periodic: Sequence[bool]):
        self._pairs = np.array(pairs, dtype=np.intp).reshape(-1, 2)
        self._periodic = np.array(periodic, dtype=bool)
        self._all_periodic = bool(self._periodic.all())
        self._image = MinimumImage()
        self._units = np.zeros((len(self._pairs), 3))
        self._lengths = np.zeros(len(self._pairs))

    def evaluate(self, positions: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """Return the distances (P,) for positions (M, 3) and a cell (3, 3), rows are its vectors; zero: no images."""
        vectors = positions[self._pairs[:, 1]] - positions[self._pairs[:, 0]]
        if self._all_periodic:
            vectors = self._image(vectors, cell)
        else:
            vectors[self._periodic] = self._image(vectors[self._periodic], cell)
        self._lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        # Two atoms in one place feel no force; dividing would spread not-a-number over all others.
        self._units = vectors / np.where(self._lengths > 0, self._lengths, 1.0)[:, None]
        return self._lengths

    def forces(self, gradient: np.ndarray, n_atoms: int) -> tuple[np.ndarray, np.ndarray]:
        """Return forces (n_atoms, 3) and virial (3, 3) of an energy with this ``gradient`` (P,) in the distances.

        The virial is the sum of r x f over the pairs, minus the derivative of the energy with strain.
        """
        on_second = -gradient[:, None] * self._units
        forces = np.empty((n_atoms, 3))
        for axis in range(3):
            forces[:, axis] = np.bincount(self._pairs[:, 1], on_second[:, axis], n_atoms)
            forces[:, axis] -= np.bincount(self._pairs[:, 0], on_second[:, axis], n_atoms)
        return forces, (self._units * self._lengths[:, None]).T @ on_second


class MinimumImage:
    """The shortest of the periodic images of vectors; keeps what it derived from the cell while that stays the same."""

    def __init__(self) -> None:
        self._cell: np.ndarray | None = None
        self._reduced: np.ndarray = np.zeros((3, 3))
        self._inverse: np.ndarray = np.zeros((3, 3))
        self._box: np.ndarray | None = None
        self._safe = 0.0

    def __call__(self, vectors: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """Return the shortest images of ``vectors`` (P, 3) in ``cell`` (3, 3); a cell of zeros has no images.

        :raises InputError: for a cell that has no volume but is not zero.
        """
        if not cell.any():
            return vectors
        if self._cell is None or not np.array_equal(cell, self._cell):
            self._set_cell(cell)
        if self._box is not None:
            return vectors - self._box * np.rint(vectors / self._box)
        vectors = vectors - np.rint(vectors @ self._inverse) @ self._reduced
        # Inside the sphere that the cell's planes touch, no image can be shorter.
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
                "The cell has no volume: give three vectors that span one, or zeros where nothing is periodic."
            )
        diagonal = np.diag(cell)
        self._box = diagonal.copy() if not (cell - np.diag(diagonal)).any() else None
        # In a Minkowski-reduced cell the shortest image is among the 27 around the wrapped vector.
        self._reduced = np.asarray(minkowski_reduce(cell)[0])
        self._inverse = np.linalg.inv(self._reduced)
        self._safe = 0.5 / np.linalg.norm(self._inverse, axis=0).max()
        self._cell = np.array(cell)
