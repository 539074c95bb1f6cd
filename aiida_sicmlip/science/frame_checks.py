"""Checks of the geometry of one frame: cell and size, and atoms at the same place."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

LARGEST_LENGTH = 1e5
"""Largest coordinate and cell vector, A: beyond it, single precision does not resolve a bond."""
LARGEST_POSITION = 1e6
"""Largest coordinate of an atom, A; unwrapped atoms of a crystal that drifts are far below."""
SMALLEST_HEIGHT = 0.5
"""Smallest distance of two periodic images, A: no two atoms are so near to each other."""
COINCIDENT = 1e-3
"""Distance, A, below which two atoms are at the same place."""


def mistake_in_cell(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> str | None:
    """Return what is wrong with the size of a frame, in words that follow its name; None if nothing is.

    :param positions: finite, (N, 3), A.
    :param cell: vectors in rows, finite, (3, 3), A.
    :param pbc: periodic directions, (3,).
    """
    if len(positions) and np.abs(positions).max() > LARGEST_POSITION:
        return f"has an atom {np.abs(positions).max():.3g} A from the origin; give positions in A below 1e6."
    if np.abs(cell).max() > LARGEST_LENGTH:
        return f"has a cell vector of {np.abs(cell).max():.3g} A; give the cell in A, with vectors below 1e5."
    vectors = cell[np.asarray(pbc, dtype=bool)]
    if not len(vectors):
        return None
    if np.linalg.matrix_rank(vectors) < len(vectors):
        return "is periodic along a direction in which it has no cell vector; give its cell, or `pbc` without it."
    # The rows of the pseudo-inverse are normal to the planes of the other vectors.
    heights = 1 / np.linalg.norm(np.linalg.pinv(vectors), axis=0)
    if heights.min() < SMALLEST_HEIGHT:
        return f"has periodic images at a distance of {heights.min():.3g} A; give the cell in A."
    return None


def coincident_atoms(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> tuple[int, int] | None:
    """Return the first two atoms at the same place, periodic images included; None if there are none.

    The arguments are those of :func:`mistake_in_cell`, which found nothing.
    """
    pbc = np.asarray(pbc, dtype=bool)
    if not pbc.any():
        pairs = cKDTree(positions).query_pairs(COINCIDENT, output_type="ndarray")
        return _first(pairs)
    # Fractional coordinates: the directions that are not periodic get unit vectors normal to the others.
    basis = cell.copy()
    basis[~pbc] = np.linalg.svd(cell[pbc])[2][pbc.sum() :]
    fractional = positions @ np.linalg.inv(basis)
    fractional[:, pbc] %= 1.0
    fractional[fractional == 1.0] = 0.0
    # A distance in fractional coordinates is at most the distance over the smallest singular value.
    radius = COINCIDENT / np.linalg.svd(basis, compute_uv=False).min()
    box = np.where(pbc, 1.0, 0.0)
    pairs = cKDTree(fractional, boxsize=box).query_pairs(radius, output_type="ndarray")
    if not len(pairs):
        return None
    difference = fractional[pairs[:, 0]] - fractional[pairs[:, 1]]
    difference[:, pbc] -= np.rint(difference[:, pbc])
    return _first(pairs[np.linalg.norm(difference @ basis, axis=1) < COINCIDENT])


def _first(pairs: np.ndarray) -> tuple[int, int] | None:
    if not len(pairs):
        return None
    first, second = sorted(pairs.tolist())[0]
    return int(first), int(second)
