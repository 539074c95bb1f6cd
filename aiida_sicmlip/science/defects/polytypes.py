"""Hexagonal (h) and cubic (k) sites of polytypes such as 4H and 6H.

A site is cubic where its twelve second neighbours are arranged as in cubic close packing, which is symmetric under
inversion, and hexagonal where they are arranged as in hexagonal close packing, where only the six in the basal plane
are. Both atoms of an axial bond have the same label, so that divacancies along c are `hh` and `kk`, those in the basal
plane `hk` and `kh`.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

from aiida_sicmlip.science.defects.crystals import Bonds, tetrahedral_bonds

# Vectors that differ by less than this, in bonds, are equal; neighbours are farther apart.
_SAME_VECTOR = 0.25
# Maximum distance of atoms facing each other along c, in bonds; ideally 5/3. Third neighbours are at 1.91.
_FACING = 1.8


def site_labels(host: Atoms) -> list[str]:
    """Return the label of each site among inequivalent ones of its sublattice: `h`, `k`, `k1`, `k2`, or empty.

    Empty for crystals with one kind of site only (3C, diamond, 2H), and for those that are not tetrahedrally bonded.

    Where each cubic double layer has one hexagonal neighbour, as in 6H, its sites are `k1` where that is below and `k2`
    where it is above. The upward direction is from the heavier to the lighter species of an axial bond, from Si to C.
    In a crystal of one species, without a direction, atoms that face the hexagonal layer are `k1`, those bonded towards
    it `k2`.
    """
    bonds = tetrahedral_bonds(host)
    if bonds is None:
        return [""] * len(host)
    hexagonal = _is_hexagonal(_second_neighbours(bonds), bonds.length)
    if hexagonal.all() or not hexagonal.any():
        return [""] * len(host)
    labels: np.ndarray = np.where(hexagonal, "h", "k").astype(object)
    vectors = facing_vectors(host, bonds)
    faces = np.asarray(vectors.any(axis=1))
    axis = vectors[faces][0] / np.linalg.norm(vectors[faces][0])
    axial = np.abs(bonds.vectors @ axis).argmax(axis=1)
    partner = bonds.neighbours[np.arange(len(host)), axial]
    if not np.any((faces == faces[partner])[~hexagonal]):
        masses = host.get_masses()
        lighter = masses < masses[partner]
        labels[~hexagonal] = np.where(faces != lighter, "k1", "k2")[~hexagonal]
    return [str(label) for label in labels]


def matches_label(label: str, wanted: str) -> bool:
    """Return whether a site's label is the wanted one; `k` includes `k1` and `k2`."""
    return label == wanted or (wanted == "k" and label.startswith("k"))


def facing_vectors(host: Atoms, bonds: Bonds) -> np.ndarray:
    """Return the vector from each atom to the one that it faces along c, 5/3 of a bond away, (N, 3) in A; else zero.

    Such pairs are on the two sides of hexagonal double layers.
    """
    seconds = _second_neighbours(bonds)
    atoms, vectors = neighbor_list("iD", host, _FACING * bonds.length)
    shorter = np.concatenate([bonds.vectors, seconds], axis=1)[atoms]
    new = np.linalg.norm(shorter - vectors[:, None], axis=2).min(axis=1) > _SAME_VECTOR * bonds.length
    facing = np.zeros((len(host), 3))
    facing[atoms[new]] = vectors[new]
    return facing


def _second_neighbours(bonds: Bonds) -> np.ndarray:
    """Return the vectors to the second neighbours, (N, 12, 3) in A."""
    there = bonds.vectors[:, :, None] + bonds.vectors[bonds.neighbours]
    away = np.linalg.norm(there, axis=3) > _SAME_VECTOR * bonds.length
    return there[away].reshape(len(there), 12, 3)


def _is_hexagonal(seconds: np.ndarray, length: float) -> np.ndarray:
    """Return for which atoms the second neighbours are not symmetric under inversion, (N,) bool."""
    sums = np.linalg.norm(seconds[:, :, None] + seconds[:, None], axis=3)
    return np.asarray((sums.min(axis=2) > _SAME_VECTOR * length).any(axis=1))
