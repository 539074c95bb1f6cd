"""Host crystals, and their coordination shells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import covalent_radii
from ase.geometry import find_mic
from ase.neighborlist import neighbor_list

from aiida_sicmlip.common.exceptions import InputError

CELLS = ("conventional", "primitive")


@dataclass(frozen=True)
class CoordinationShell:
    """Neighbours of one site at one distance.

    distance: mean distance in A.
    indices: the atoms of the cell that are in this shell by their nearest periodic image, ascending. Empty when the
        shell consists of images of atoms that are nearer elsewhere, as in small cells.
    """

    distance: float
    indices: tuple[int, ...]


def silicon_carbide_host(
    lattice_constant: float = 4.416, repeats: Sequence[int] = (3, 3, 3), cell: str = "conventional"
) -> Atoms:
    """Return 3C-SiC (zincblende), Si at the origin, atoms in a fixed order.

    :param lattice_constant: that of the cubic cell in A; the default is that of 1500 K.
    :param repeats: how often the cell is repeated along its three vectors.
    :param cell: `conventional` (8 atoms, cubic) or `primitive` (2 atoms, rhombohedral).
    :raises InputError: when a value is out of its range.
    """
    if cell not in CELLS:
        raise InputError(f"`cell` is {cell!r}: give one of {', '.join(CELLS)}.")
    if not np.isfinite(lattice_constant) or lattice_constant <= 0:
        raise InputError(f"`lattice_constant` is {lattice_constant}: give a length in A above zero.")
    if len(repeats) != 3 or any(int(n) != n or n < 1 for n in repeats):
        raise InputError(f"`repeats` is {list(repeats)}: give three whole numbers from 1.")
    unit = bulk("SiC", "zincblende", a=float(lattice_constant), cubic=cell == "conventional")
    return unit.repeat(tuple(int(n) for n in repeats))


def distances_from(atoms: Atoms, point: np.ndarray) -> np.ndarray:
    """Return the distance in A of each atom's nearest periodic image from a Cartesian point, (N,); for any cell."""
    _, lengths = find_mic(atoms.positions - np.asarray(point, dtype=float), atoms.cell, atoms.pbc)
    return np.asarray(lengths)


def coordination_shells(atoms: Atoms, site: int, count: int, tolerance: float = 0.1) -> list[CoordinationShell]:
    """Return the first `count` coordination shells of an atom, nearest first.

    Shells are those of the crystal, periodic images included, so that their numbers do not depend on the size of the
    cell. A new shell begins where the sorted distances have a gap of more than `tolerance` (A).

    :raises InputError: when the site does not exist, or `count` is below 1.
    """
    if not 0 <= site < len(atoms):
        raise InputError(f"`site` is {site}: the structure has atoms 0 to {len(atoms) - 1}.")
    if count < 1:
        raise InputError(f"The number of coordination shells is {count}: give a whole number from 1.")
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
        shells.append(CoordinationShell(float(lengths[begin:end].mean()), tuple(sorted(members))))
    return shells[:count]


def overlapping_pairs(atoms: Atoms, fraction: float = 0.6) -> list[tuple[int, int, float]]:
    """Return pairs of atoms nearer than `fraction` of the sum of their covalent radii, as (i, j, distance in A).

    Periodic images count, with i = j for an atom and its own image; each pair stands once (i <= j), with its least
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


def nearest_distance(atoms: Atoms) -> float:
    """Return the least distance in A of two atoms, periodic images included."""
    cutoff = 1.0
    # In a periodic structure an atom meets its own image at last; without periodicity, atoms may be alone.
    limit = 2.0 * float(np.linalg.norm(atoms.cell.array, axis=1).sum() + np.ptp(atoms.positions, axis=0).sum())
    while cutoff < max(limit, 2.0):
        lengths = neighbor_list("d", atoms, cutoff)
        if len(lengths):
            return float(lengths.min())
        cutoff *= 1.5
    return float("inf")


def _neighbours(atoms: Atoms, site: int, count: int, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return neighbours of a site and their ascending distances, far enough for `count` whole shells.

    A structure without periodicity may have fewer; then all neighbours are returned.
    """
    # The space per atom sets the length; images along three vectors make any shell number reachable.
    cutoff = 3.0
    extent = float(np.ptp(atoms.positions, axis=0).sum() + np.linalg.norm(atoms.cell.array, axis=1).sum())
    while True:
        others, lengths = _images_within(atoms, site, cutoff)
        starts = np.flatnonzero(np.diff(lengths, prepend=-np.inf) > tolerance)
        # The last shell in reach may be incomplete, so one more must have begun.
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
