"""Hexagonal (h) and cubic (k) sites of polytypes such as 4H and 6H.

A site is cubic where its twelve second neighbours are arranged as in cubic close packing, which is symmetric under
inversion, and hexagonal where they are arranged as in hexagonal close packing, where only the six in the basal plane
are. Both atoms of an axial bond have the same label, so that divacancies along c are `hh` and `kk`, those in the basal
plane `hk` and `kh`.

The two kinds of cubic sites of 6H are `k1` and `k2`, in the order of the double layers h, k1, k2 along [0001]. The k1
site of Si is the one most like k of 4H, as it faces a C atom along c; k2 is the most like 3C (G. Wolfowicz et al., Sci.
Adv. 6, eaaz1192 (2020), table 1). In work on NV centres, sites of C are also named by their own surroundings, so that
axial pairs are k1k2 and k2k1 (Appl. Nano 6, 23 (2025)). No such naming was found for polytypes with more kinds of
sites, such as 15R and 8H: theirs are `h` or `k`.
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

    In 6H, where hexagonal double layers alternate with two cubic ones, `k1` is above a hexagonal layer and `k2` below.
    The upward direction, [0001], is from the heavier to the lighter species of an axial bond, from Si to C. In a
    crystal of one species, without a direction, atoms that face the hexagonal layer are `k1`, those bonded towards it
    `k2`.
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
    # A site faces another across a hexagonal layer: in 6H one of the two atoms of each cubic pair does, no other.
    if np.all((faces != faces[partner])[~hexagonal]) and not faces[hexagonal].any():
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
