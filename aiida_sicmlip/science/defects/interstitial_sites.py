"""Named interstitial sites of tetrahedrally bonded crystals.

* `bond_centred`: the centre of a bond.
* `hexagonal`: the centre of a six-membered ring in chair conformation, 0.96 bonds from its atoms.
* `tetrahedral`: the centre of a cage. Cubic stacking has cages of four atoms of one species, one bond away each (`cage:
  Si`, `cage: C`). Hexagonal stacking has instead cages between two atoms that face each other along c, 0.83 bonds away
  (`cage: facing`).
* `octahedral`: in the channels along c of hexagonal stacking, 1.07 bonds from three atoms of each species.

For the last two in wurtzite see A. Janotti and C. G. Van de Walle, Phys. Rev. B 76, 165202 (2007). All sites are those
of the unrelaxed crystal.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.crystals import Bonds, tetrahedral_bonds
from aiida_sicmlip.science.defects.host_sites import HostSites
from aiida_sicmlip.science.defects.polytypes import facing_vectors

NAMED_SITES = ("tetrahedral", "hexagonal", "octahedral", "bond_centred")
"""Names of interstitial sites."""

FACING = "facing"
"""The cage between two atoms that face each other along c."""

# Lengths are in units of the bond length. Points nearer than this to each other are one site.
_SAME_SITE = 0.25
# No atom is nearer to a cage or a channel than this: next to the axial bond of a hexagonal site one is at 2/3.
_EMPTY = 0.85
# Where the atoms around a cage (1.0) end and the next (1.15) begin.
_CAGE = 1.08


def interstitial_sites(host: Atoms, name: str, cage: str | None = None) -> np.ndarray:
    """Return all interstitial sites of a name, (K, 3) in A, in the order of the adjacent host atoms.

    :param cage: of `tetrahedral`: the species of the four atoms around it, or `facing`; needed where a crystal has
        several kinds.
    :raises InputError: when the crystal is not bonded tetrahedrally or has no such site.
    """
    bonds = tetrahedral_bonds(host)
    if bonds is None:
        raise InputError(
            f"Interstitial sites such as `{name}` are defined for crystals whose atoms have four bonds each, unlike "
            "this host: give the position by `fractional` or `cartesian`."
        )
    if name == "tetrahedral":
        return _cage(host, bonds, cage)
    if cage is not None:
        raise InputError(f"`cage` is {cage!r}, but only tetrahedral sites lie in cages: leave it out.")
    points = {"bond_centred": _bond_centres, "hexagonal": _ring_centres, "octahedral": _channel_sites}[name](
        host, bonds
    )
    if not len(points):
        raise InputError(f"The host has no `{name}` site, which only hexagonal stacking has.")
    return points


def _cage(host: Atoms, bonds: Bonds, cage: str | None) -> np.ndarray:
    """Return the centres of the cages of one kind."""
    points, owners, around = _opposite_to_bonds(host, bonds)
    cages = {
        symbol: _merged(host, points[(around == 4) & (host.symbols[owners] == symbol)], bonds)
        for symbol in dict.fromkeys(host.symbols)
    }
    vectors = facing_vectors(host, bonds)
    cages[FACING] = _merged(host, (host.positions + vectors / 2)[vectors.any(axis=1)], bonds)
    kinds = [kind for kind, centres in cages.items() if len(centres)]
    if cage is None and len(kinds) == 1:
        return cages[kinds[0]]
    if cage not in kinds:
        raise InputError(
            f"`cage` is {cage!r}; the host has tetrahedral sites in the cages {', '.join(kinds)}: give one of them. "
            "A species is that of the four atoms around the site."
        )
    return cages[cage]


def _bond_centres(host: Atoms, bonds: Bonds) -> np.ndarray:
    return _merged(host, (host.positions[:, None] + bonds.vectors / 2).reshape(-1, 3), bonds)


def _ring_centres(host: Atoms, bonds: Bonds) -> np.ndarray:
    """Return the centres of chairs: halfway between opposite atoms, with six neighbours."""
    atoms, vectors, lengths = neighbor_list("iDd", host, 2.05 * bonds.length)
    opposite = lengths > 1.8 * bonds.length
    points = host.positions[atoms[opposite]] + vectors[opposite] / 2
    distances = HostSites(host).nearest(points, count=7)[1] / bonds.length
    chair = (distances[:, 0] > _EMPTY) & (distances[:, 5] < _CAGE) & (distances[:, 6] > _CAGE)
    return _merged(host, points[chair], bonds)


def _channel_sites(host: Atoms, bonds: Bonds) -> np.ndarray:
    """Return the sites in channels halfway between points one bond from three atoms of each species."""
    points, _, around = _opposite_to_bonds(host, bonds)
    ends = _merged(host, points[around == 3], bonds)
    if not len(ends):
        return ends
    pairs, vectors = neighbor_list("iD", Atoms(f"X{len(ends)}", ends, cell=host.cell, pbc=True), 0.5 * bonds.length)
    return _merged(host, ends[pairs] + vectors / 2, bonds)


def _opposite_to_bonds(host: Atoms, bonds: Bonds) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the empty positions opposite to bonds, (K, 3) in A, the atoms of these, and how many surround each."""
    points = (host.positions[:, None] - bonds.vectors).reshape(-1, 3)
    owners = np.repeat(np.arange(len(host)), 4)
    distances = HostSites(host).nearest(points, count=5)[1] / bonds.length
    empty = distances[:, 0] > _EMPTY
    return points[empty], owners[empty], (distances[empty] < _CAGE).sum(axis=1)


def _merged(host: Atoms, points: np.ndarray, bonds: Bonds) -> np.ndarray:
    """Return points without duplicates and periodic images, wrapped into the cell, (K, 3) in A."""
    if not len(points):
        return np.empty((0, 3))
    places = Atoms(f"X{len(points)}", points, cell=host.cell, pbc=True)
    first, second, vectors = neighbor_list("ijD", places, _SAME_SITE * bonds.length)
    earliest = np.arange(len(points))
    np.minimum.at(earliest, first, second)
    kept = np.flatnonzero(earliest == np.arange(len(points)))
    # In non-ideal crystals, the points derived from different atoms differ slightly: the site is their mean.
    shifts = np.zeros_like(points)
    np.add.at(shifts, first, vectors)
    merged = places[kept]
    merged.positions += shifts[kept] / (1 + np.bincount(first, minlength=len(points)))[kept, None]
    merged.wrap(eps=1e-6)
    return np.asarray(merged.positions)
