"""Permutation invariant vector (PIV) of atoms, batched and differentiable in torch.

A switching function is applied to the minimum-image distances, and its values are sorted within each block, that is,
the pairs of the same two groups: Gallet and Pietrucci, JCP 139, 074101 (2013). The vector is invariant under
translation, rotation, the choice of periodic images, and permutation of the atoms of a group.
"""

from __future__ import annotations

from itertools import pairwise
from typing import List  # noqa: UP035 (TorchScript resolves this name in annotations, not `list`)

import numpy as np
import torch
from ase.geometry import complete_cell, minkowski_reduce

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.pines.layout import PivLayout
from aiida_sicmlip.science.pines.settings import SwitchingFunction

# Vectors per batch; with up to 27 images each of three numbers, about 50 MB.
_VECTORS_PER_BATCH = 60_000


def switched(distances: torch.Tensor, r0: float, exponent: int) -> torch.Tensor:
    """Return 1 / (1 + (d / r0)^n) for distances d and r0 in A, of any shape."""
    return 1.0 / (1.0 + torch.pow(distances / r0, exponent))


def sorted_in_blocks(values: torch.Tensor, order: torch.Tensor, sizes: List[int]) -> torch.Tensor:  # noqa: UP006
    """Return values (..., P) of pairs, block by block and ascending within each block.

    :param order: indices of the pairs in the order of blocks, (P,) int64.
    :param sizes: number of pairs of each block.
    """
    blocks: List[torch.Tensor] = []  # noqa: UP006
    for block in torch.split(torch.index_select(values, -1, order), sizes, dim=-1):
        blocks.append(torch.sort(block, dim=-1)[0])
    return torch.cat(blocks, dim=-1)


def minimum_image(vectors: torch.Tensor, cell: np.ndarray, pbc: np.ndarray) -> torch.Tensor:
    """Return the minimum image of vectors (..., 3), A, in any cell (3, 3), A; gradients are those of the vectors.

    In the Minkowski-reduced cell a vector wrapped along each axis is at most one cell vector per axis from its minimum
    image.
    """
    if not np.any(pbc):
        return vectors
    # Cell vectors of non-periodic axes are made orthogonal to the others, so that wrapping does not involve them.
    whole = complete_cell(np.where(np.asarray(pbc, dtype=bool)[:, None], np.asarray(cell, dtype=float), 0.0))
    reduced = np.asarray(minkowski_reduce(whole, pbc)[0])
    lattice = torch.as_tensor(reduced, dtype=vectors.dtype, device=vectors.device)
    inverse = torch.as_tensor(np.linalg.inv(reduced), dtype=vectors.dtype, device=vectors.device)
    # Vectors are not wrapped along non-periodic axes.
    periodic = torch.as_tensor(np.asarray(pbc, dtype=float), dtype=vectors.dtype, device=vectors.device)
    with torch.no_grad():
        shift = -torch.round(vectors @ inverse) * periodic
        if not _is_orthogonal(reduced):
            steps = [torch.tensor([-1.0, 0.0, 1.0] if axis else [0.0], dtype=vectors.dtype) for axis in pbc]
            images = torch.cartesian_prod(*steps).to(vectors.device)
            wrapped = vectors + shift @ lattice
            lengths = (wrapped.unsqueeze(-2) + images @ lattice).square().sum(-1)
            shift = shift + images[lengths.argmin(-1)]
    return vectors + shift @ lattice


def pair_distances(
    positions: torch.Tensor, cells: np.ndarray, pbc: np.ndarray, pairs: np.ndarray | torch.Tensor
) -> torch.Tensor:
    """Return the minimum-image distances of pairs, (F, P), A.

    :param positions: (F, N, 3), A.
    :param cells: (F, 3, 3), or (3, 3) for all frames, A.
    :param pbc: three booleans.
    :param pairs: indices of atoms, (P, 2).
    :raises InputError: if a periodic axis has no cell vector.
    """
    cells = np.asarray(cells, dtype=float)
    pbc = np.broadcast_to(np.asarray(pbc, dtype=bool), (3,))
    shared = cells.ndim == 2
    if (np.linalg.norm(cells, axis=-1)[..., pbc] < 1e-8).any():
        raise InputError("The frames are periodic, but a cell vector is zero; give the cell of the frames.")
    first, second = (torch.as_tensor(pairs[:, column], dtype=torch.int64) for column in (0, 1))
    vectors = positions[:, second] - positions[:, first]
    batch_size = max(1, _VECTORS_PER_BATCH // max(1, vectors.shape[1]))
    images = []
    for begin in range(0, len(vectors), batch_size):
        chunk = vectors[begin : begin + batch_size]
        if shared:
            images.append(minimum_image(chunk, cells, pbc))
            continue
        frame_cells = cells[begin : begin + batch_size]
        # Consecutive frames with equal cells, as in runs at constant volume, are computed together.
        edges = [0, *(np.flatnonzero((np.diff(frame_cells, axis=0) != 0).any(axis=(1, 2))) + 1), len(chunk)]
        for start, end in pairwise(edges):
            images.append(minimum_image(chunk[start:end], frame_cells[start], pbc))
    if not images:
        return vectors.new_zeros(vectors.shape[:2])
    return torch.linalg.vector_norm(torch.cat(images), dim=-1)


def permutation_invariant_vectors(
    positions: torch.Tensor, cells: np.ndarray, pbc: np.ndarray, layout: PivLayout, switching: SwitchingFunction
) -> torch.Tensor:
    """Return the PIVs (F, P) of frames.

    :param positions: of the atoms `layout.atoms` only, in this order, (F, N, 3), A.
    :param cells: as for :func:`pair_distances`.
    :param pbc: as for :func:`pair_distances`.
    """
    distances = pair_distances(positions, cells, pbc, layout.local_pairs)
    order = torch.tensor(layout.order, device=distances.device)
    return sorted_in_blocks(switched(distances, switching.r0, switching.exponent), order, layout.block_sizes)


def _is_orthogonal(cell: np.ndarray) -> bool:
    """Return whether the vectors of a cell are orthogonal to each other."""
    metric = cell @ cell.T
    return bool(np.abs(metric - np.diag(np.diag(metric))).max() < 1e-10 * np.diag(metric).max())
