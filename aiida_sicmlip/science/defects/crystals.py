"""Distances in crystals: coordination shells, bonds, and atoms that overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.geometry import find_mic, minkowski_reduce
from ase.neighborlist import neighbor_list
from scipy.spatial import cKDTree

from aiida_sicmlip.common.exceptions import InputError

SHELL_GAP = 0.05
"""Minimum separation of coordination shells, in nearest-neighbour distances: 0.1 A in SiC."""

# Longest bond and shortest non-bonded distance, in units of the shortest bond: second neighbours are at 1.63.
_LONGEST_BOND = 1.3

# Amortises the overhead of a search and fits into the processor's cache.
_FRAMES_AT_ONCE = 32


@dataclass(frozen=True)
class CoordinationShell:
    """Neighbours of a site at one distance.

    distance: mean distance in A.
    outer: largest distance in A.
    indices: the atoms of the cell that are in this shell by their nearest periodic image, ascending. Empty when the
        shell consists of images of atoms that are nearer elsewhere, as in small cells.
    """

    distance: float
    outer: float
    indices: tuple[int, ...]


@dataclass(frozen=True)
class Bonds:
    """The bonds of N atoms that have four each.

    neighbours: the bonded atoms, (N, 4) int.
    vectors: bond vectors, (N, 4, 3) in A.
    length: median bond length in A.
    """

    neighbours: np.ndarray
    vectors: np.ndarray
    length: float


def distances_from(atoms: Atoms, point: np.ndarray) -> np.ndarray:
    """Return the distance in A of each atom's nearest periodic image from a Cartesian point, (N,); for any cell."""
    _, lengths = find_mic(atoms.positions - np.asarray(point, dtype=float), atoms.cell, atoms.pbc)
    return np.asarray(lengths)


def coordination_shells(atoms: Atoms, site: int, count: int, tolerance: float | None = None) -> list[CoordinationShell]:
    """Return the first `count` coordination shells of an atom, nearest first.

    Shells are those of the crystal, periodic images included, so that their numbers do not depend on the size of the
    cell. A new shell begins where the sorted distances have a gap of more than `tolerance`. By default the atoms of the
    second shell of a hexagonal site, at 1.63 and 1.67 bonds, belong to one shell, as do those split by a small strain.

    :param tolerance: in A; by default :data:`SHELL_GAP` of the distance of the nearest neighbour.
    :raises InputError: when the site does not exist, or `count` is below 1.
    """
    if not 0 <= site < len(atoms):
        raise InputError(f"`site` is {site}: the structure has atoms 0 to {len(atoms) - 1}.")
    if count < 1:
        raise InputError(f"The number of coordination shells is {count}: give a whole number from 1.")
    if tolerance is None:
        tolerance = SHELL_GAP * float(_neighbours(atoms, site, 1, 0.0)[1][0])
    others, lengths = _neighbours(atoms, site, count, tolerance)
    starts = np.flatnonzero(np.diff(lengths, prepend=-np.inf) > tolerance)
    nearest = distances_from(atoms, atoms.positions[site])
    shells = []
    for begin, end in zip(starts, [*starts[1:], len(lengths)], strict=True):
        members = {
            int(other)
            for other, length in zip(others[begin:end], lengths[begin:end], strict=True)
            if other != site and length - nearest[other] <= 1e-6
        }
        shells.append(
            CoordinationShell(float(lengths[begin:end].mean()), float(lengths[end - 1]), tuple(sorted(members)))
        )
    return shells[:count]


def tetrahedral_bonds(atoms: Atoms) -> Bonds | None:
    """Return the bonds of a crystal whose atoms have four each, as in zincblende, diamond and wurtzite; else None."""
    shortest = nearest_distance(atoms)
    if not np.isfinite(shortest):
        return None
    first, second, vectors, lengths = neighbor_list("ijDd", atoms, _LONGEST_BOND * shortest)
    if (np.bincount(first, minlength=len(atoms)) != 4).any():
        return None
    length = float(np.median(lengths))
    # Sorted, so that the order does not depend on the search.
    order = np.lexsort((*np.round(vectors / length, 3).T[::-1], second, first))
    return Bonds(second[order].reshape(-1, 4), vectors[order].reshape(-1, 4, 3), length)


def overlapping_pairs(atoms: Atoms, fraction: float = 0.6) -> list[tuple[int, int, float]]:
    """Return pairs of atoms nearer than `fraction` of the sum of their covalent radii, as (i, j, distance in A).

    Periodic images count, with i = j for an atom and its own image; each pair is listed once (i <= j), with its minimum
    distance, in ascending order. Radii are those of :data:`ase.data.covalent_radii` (Cordero et al., Dalton Trans.
    2008, 2832): with the default, Si-Si 1.33 A, Si-C 1.12 A, C-C 0.91 A.
    """
    first, second, lengths = neighbor_list("ijd", atoms, list(fraction * covalent_radii[atoms.numbers]))
    found: dict[tuple[int, int], float] = {}
    for i, j, length in zip(first, second, lengths, strict=True):
        if i <= j:
            pair = (int(i), int(j))
            found[pair] = min(float(length), found.get(pair, np.inf))
    return [(i, j, length) for (i, j), length in sorted(found.items())]


def frames_with_overlap(
    positions: np.ndarray, cell: np.ndarray, numbers: np.ndarray, fraction: float = 0.6
) -> np.ndarray:
    """Return for each periodic frame whether :func:`overlapping_pairs` finds any pair in it, (F,) bool.

    Costs 0.1 ms a frame of 214 atoms on one core.

    :param positions: (F, N, 3) in A, wrapped or not.
    :param cell: (3, 3) in A, of all frames.
    :param numbers: atomic numbers, (N,).
    :raises InputError: when the cell has no volume.
    """
    if abs(np.linalg.det(cell)) < 1e-8:
        raise InputError("The cell has no volume: give a cell that is periodic in all directions to look for overlaps.")
    reduced = np.asarray(minkowski_reduce(cell)[0])
    radii = fraction * covalent_radii[numbers]
    overlapping = np.zeros(len(positions), dtype=bool)
    for begin in range(0, len(positions), _FRAMES_AT_ONCE):
        points = np.asarray(positions[begin : begin + _FRAMES_AT_ONCE], dtype=float)
        frame, atom, places = _with_images(points @ np.linalg.inv(reduced) % 1.0, reduced, 2.0 * radii.max())
        # Frames are placed side by side in one tree, too far apart to interact.
        places[:, 0] += frame * (np.ptp(places[:, 0]) + 2.0 * radii.max() + 1.0)
        first, second = cKDTree(places).query_pairs(2.0 * radii.max(), output_type="ndarray").T
        lengths = np.linalg.norm(places[first] - places[second], axis=1)
        overlapping[begin + frame[first[lengths < radii[atom[first]] + radii[atom[second]]]]] = True
    return overlapping


def nearest_distance(atoms: Atoms) -> float:
    """Return the minimum distance in A of two atoms, periodic images included."""
    cutoff = 1.0
    # In a periodic structure an atom has at least its own images; without periodicity, it may have no neighbour.
    limit = 2.0 * float(np.linalg.norm(atoms.cell.array, axis=1).sum() + np.ptp(atoms.positions, axis=0).sum())
    while cutoff < max(limit, 2.0):
        lengths = neighbor_list("d", atoms, cutoff)
        if len(lengths):
            return float(lengths.min())
        cutoff *= 1.5
    return float("inf")


def typical_bond(atoms: Atoms) -> float:
    """Return the median distance in A of atoms from their nearest neighbours, periodic images included.

    In a structure with defects it is that of the crystal, while :func:`nearest_distance` may be that of an
    interstitial.
    """
    cutoff = max(nearest_distance(atoms), 0.5)
    while np.isfinite(cutoff):
        cutoff *= 1.2
        first, lengths = neighbor_list("id", atoms, cutoff)
        shortest = np.full(len(atoms), np.inf)
        np.minimum.at(shortest, first, lengths)
        if np.isfinite(median := np.median(shortest)):
            return float(median)
    return cutoff


def _with_images(fractional: np.ndarray, cell: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frame (P,), atom (P,) and position (P, 3) in A of atoms and of images beyond the upper faces of the cell.

    The images suffice to find every pair within reach: of two atoms near each other across a face, one has its image
    next to the other, along each cell vector.

    :param fractional: (F, N, 3) from 0 to 1.
    """
    frame, atom = (index.ravel() for index in np.indices(fractional.shape[:2]))
    points = fractional.reshape(-1, 3)
    # The reach as a fraction of the distances between opposite faces.
    margins = reach * np.linalg.norm(np.linalg.inv(cell), axis=0)
    for axis, margin in enumerate(margins):
        parts = [(frame, atom, points)]
        for shift in range(1, int(np.ceil(margin)) + 1):
            near = np.flatnonzero(points[:, axis] + shift <= 1.0 + margin)
            parts.append((frame[near], atom[near], points[near] + shift * np.eye(3)[axis]))
        frame, atom, points = (np.concatenate(part) for part in zip(*parts, strict=True))
    return frame, atom, points @ cell


def _neighbours(atoms: Atoms, site: int, count: int, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return neighbours of a site and their ascending distances, enough for `count` complete shells.

    A structure without periodicity may have fewer; then all neighbours are returned.
    """
    # The volume per atom sets the length scale; images along three vectors reach any shell.
    cutoff = 3.0
    extent = float(np.ptp(atoms.positions, axis=0).sum() + np.linalg.norm(atoms.cell.array, axis=1).sum())
    while True:
        others, lengths = _images_within(atoms, site, cutoff)
        starts = np.flatnonzero(np.diff(lengths, prepend=-np.inf) > tolerance)
        # The last shell within reach may be incomplete, so one more must have started.
        if len(starts) > count or (not atoms.pbc.any() and cutoff > extent):
            return others, lengths
        cutoff *= 1.3


def _images_within(atoms: Atoms, site: int, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Return atom indices and ascending distances of all images within a cutoff of a site, without the site itself."""
    inverse = np.linalg.norm(np.linalg.pinv(atoms.cell.array), axis=0)
    relative = atoms.positions - atoms.positions[site]
    # Atoms may lie outside the cell, so the reach along each vector includes their spread.
    spread = np.abs(relative @ np.linalg.pinv(atoms.cell.array)).max(axis=0)
    reach = np.where(atoms.pbc, np.ceil(cutoff * inverse + spread), 0).astype(int)
    axes = [np.arange(-n, n + 1) for n in reach]
    shifts = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3) @ atoms.cell.array
    lengths = np.linalg.norm(relative[None, :, :] + shifts[:, None, :], axis=2)
    image, other = np.nonzero(lengths <= cutoff)
    found = lengths[image, other]
    keep = ~((other == site) & (found < 1e-9))
    order = np.lexsort((other[keep], found[keep]))
    return other[keep][order], found[keep][order]
