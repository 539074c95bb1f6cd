"""Occupation of the sites of a perfect crystal, and hops of atoms between sites.

A site has one atom at most and an atom one site at most, in a single structure as along a trajectory. A hop is a change
of that occupation: an atom that only passes an occupied site, or rests between sites, does not hop.

Structures are compared in fractional coordinates, which makes the result independent of wrapping, of a rotation of the
cell (as by LAMMPS) and of a small strain. The drift of the whole crystal, the median displacement of its atoms, is
removed. It is defined only up to a lattice translation; the shortest is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.host_sites import HostSites, assign_sites

CORE_RADIUS = 0.35
"""Radius of the core of a site, in nearest-neighbour distances: 0.67 A in 3C-SiC. An atom that enters it has arrived.

With independent displacements of 0.25 A along each axis, twice those of SiC at 1500 K, an atom is in the core of a
given neighbouring site in one of ten million frames. The cores of two sites do not overlap, so that an atom between
them remains assigned to the site it came from.
"""

HELD_RADIUS = 0.5
"""An atom that is this near to its site holds it against others, in nearest-neighbour distances: 0.96 A in 3C-SiC.

Beyond, it may as well be on its way to a neighbouring site, and an atom in the core takes its place. The gap between
the two radii keeps atoms that share a site from taking it from each other at each vibration.
"""


# Searched at once for the next change of site: each change has them searched again.
_FRAMES_AT_ONCE = 256


@dataclass(frozen=True)
class DefectSites:
    """Differences of a structure from its host.

    sites: one dict for each site that is vacant or holds another species, by ascending `site`: `kind` (`vacancy`,
        `antisite`, or `substitution` by a species that the host does not have), `site` (index in the host), `species`
        (of the host's atom), `replaced_by` (species, None for a vacancy) and `position` (of the site in the host, A),
        as in :class:`~aiida_sicmlip.science.defects.building.DefectStructure`.
    site_of_atom: the site of each atom, (N,) int; -1 for interstitials.
    drift: displacement of the crystal relative to the host, (3,) in A along the host's axes.
    """

    sites: list[dict[str, Any]]
    site_of_atom: np.ndarray
    drift: np.ndarray

    @property
    def interstitials(self) -> list[int]:
        """Atoms without a site."""
        return [int(atom) for atom in np.flatnonzero(self.site_of_atom < 0)]


@dataclass(frozen=True)
class Hops:
    """Changes of site in a trajectory of F frames.

    events: rows (frame, atom, from site, to site) in order of time, (E, 4) int; the site of interstitials is -1. An
        interstitial that takes the site of an atom, which becomes one (kick-out), gives two events in one frame.
    first_sites: the site of each atom in the first frame, (N,) int; -1 for interstitials.
    last_sites: the same after the last frame.
    """

    events: np.ndarray
    first_sites: np.ndarray
    last_sites: np.ndarray
    n_frames: int
    n_sites: int

    @cached_property
    def between_sites(self) -> np.ndarray:
        """The hops from one site to another: rows (frame, atom, from site, to site) in order of time, (H, 4) int.

        An atom comes from the last site that it held, which another atom may have taken meanwhile. Interstitials that
        come to a site, and atoms that become interstitials, are not among them.
        """
        held = self.first_sites.copy()
        rows = []
        for frame, atom, _, site in self.events[self.events[:, 3] >= 0]:
            if held[atom] not in (-1, site):
                rows.append((frame, atom, held[atom], site))
            held[atom] = site
        return np.array(rows, dtype=int).reshape(-1, 4)

    @property
    def n_hops(self) -> int:
        """Number of hops from one site to another."""
        return len(self.between_sites)

    @cached_property
    def vacant(self) -> np.ndarray:
        """The vacant sites of each frame, (F, V) int, ascending and padded with -1."""
        sites = self.first_sites.copy()
        edges = [0, *np.unique(self.events[:, 0]), self.n_frames]
        vacant_sites: list[np.ndarray] = []
        for begin in edges[:-1]:
            for _, atom, _, site in self.events[self.events[:, 0] == begin]:
                sites[atom] = site
            vacant_sites.append(np.setdiff1d(np.arange(self.n_sites), sites))
        filled = np.full((len(vacant_sites), max(map(len, vacant_sites))), -1)
        for row, vacant in zip(filled, vacant_sites, strict=True):
            row[: len(vacant)] = vacant
        return np.repeat(filled, np.diff(edges), axis=0)


def find_defect_sites(structure: Atoms, host: Atoms, sites: HostSites | None = None) -> DefectSites:
    """Return which sites of a host are vacant or hold another species in a structure with atoms in any order.

    Atoms are assigned to sites within :data:`~aiida_sicmlip.science.defects.host_sites.SITE_RADIUS` with the minimum
    sum of squared distances, see :mod:`~aiida_sicmlip.science.defects.host_sites`. Species that the host does not have
    are treated alike: hydrogen in a vacancy holds its site, a second one there is an interstitial.

    :param host: the perfect crystal in the structure's cell.
    :param sites: of the host, to avoid constructing them again, which takes longer than the assignment.
    :raises InputError: when a cell is not periodic, the cells differ by more than the `MAXIMUM_STRAIN` of
        :mod:`~aiida_sicmlip.science.defects.host_sites`, or more sites than its `MAXIMUM_CHANGED` differ.
    """
    sites = HostSites(host) if sites is None else sites
    fractional = sites.fractional_of(structure.positions, structure.cell.array)
    site_of_atom, drift = assign_sites(sites, fractional, structure.numbers)
    species = {int(site): structure.symbols[atom] for atom, site in enumerate(site_of_atom) if site >= 0}
    own = {None: "vacancy", **dict.fromkeys(host.symbols, "antisite")}
    changed = [
        {
            "kind": own.get(species.get(site), "substitution"),
            "site": site,
            "species": symbol,
            "replaced_by": species.get(site),
            "position": [float(x) for x in host.positions[site]],
        }
        for site, symbol in enumerate(host.get_chemical_symbols())
        if species.get(site) != symbol
    ]
    return DefectSites(changed, site_of_atom, drift)


def count_hops(
    positions: np.ndarray,
    cell: np.ndarray,
    host: Atoms,
    species: Sequence[str],
    site_of_atom: np.ndarray | None = None,
    *,
    sites: HostSites | None = None,
) -> Hops:
    """Follow atoms from site to site: an atom changes its site when it enters another's core (:data:`CORE_RADIUS`).

    Where that site has an atom already, it does so only when that atom has left (:data:`HELD_RADIUS`). The latter is
    then an interstitial, unless it is in the core of a site itself. Otherwise the atom that entered keeps the site it
    has, or none. All species are treated alike.

    2,000 frames of 214 atoms take 0.15 s; memory is about six times that of the positions in double precision, so long
    trajectories are processed in chunks, by :func:`~aiida_sicmlip.science.defects.hop_stream.follow_hops`.

    :param positions: (F, N, 3) in A of consecutive frames, wrapped or not; no atom moves by half a cell between two.
    :param cell: (3, 3) in A, of all frames.
    :param species: of the N atoms.
    :param site_of_atom: sites of the atoms before the first frame, (N,); by default those that
        :func:`find_defect_sites` finds in the first frame.
    :param sites: of the host, to avoid constructing them again.
    :raises InputError: as :func:`find_defect_sites`, and when there is no frame.
    """
    positions = np.asarray(positions)
    if positions.ndim != 3 or not len(positions):
        raise InputError(f"`positions` has the shape {positions.shape}; give at least one frame, (F, N, 3).")
    sites = HostSites(host) if sites is None else sites
    fractional = sites.fractional_of(positions, cell)
    if site_of_atom is None:
        first = assign_sites(sites, fractional[0], Atoms(list(species)).numbers)[0]
    else:
        first = np.array(site_of_atom, dtype=int)
    # The reference site of an interstitial is arbitrary; the atom is far from it.
    reference = np.where(first < 0, 0, first)
    displacements = _without_drift(fractional, sites.fractional[reference], first >= 0) @ sites.cell
    core = CORE_RADIUS * sites.nearest_distance
    farthest = np.sqrt(np.square(displacements).sum(axis=-1).max(axis=0))

    def nearest_sites(atoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the nearest site of atoms and the distance from it, (F, A)."""
        points = displacements[:, atoms] + host.positions[reference[atoms]]
        nearest, distances = sites.nearest(points.reshape(-1, 3))
        return nearest.reshape(points.shape[:2]), distances.reshape(points.shape[:2])

    # Only atoms that were this far from their site can have entered the core of another.
    atoms = np.flatnonzero((farthest > sites.nearest_distance - core) | (first < 0))
    nearest, distances = nearest_sites(atoms)
    # An atom that others take the site of may come back to it.
    may_lose = np.isin(first, nearest[distances < core]) & (farthest > HELD_RADIUS * sites.nearest_distance)
    losers = np.setdiff1d(np.flatnonzero(may_lose), atoms)
    atoms = np.concatenate([atoms, losers])
    nearest, distances = (np.hstack(part) for part in zip((nearest, distances), nearest_sites(losers), strict=True))
    entered = np.where(distances < core, nearest, -1)
    held = np.where(distances < HELD_RADIUS * sites.nearest_distance, nearest, -1)
    return _followed(atoms, entered, held, first, len(sites))


def _followed(atoms: np.ndarray, entered: np.ndarray, held: np.ndarray, first: np.ndarray, n_sites: int) -> Hops:
    """Return the changes of site.

    :param atoms: those that may change it, (A,); all others hold theirs.
    :param entered: the site whose core they are in, (F, A), -1 for none.
    :param held: the site that they are near enough to hold, (F, A), -1 for none.
    :param first: sites of all atoms before the first frame, (N,), -1 for none.
    """
    site = first[atoms]
    # The place in `atoms` of the one that has a site, -1 where it is vacant. The last entry is for -1, no site.
    vacant, fixed = -1, -2
    owner = np.full(n_sites + 1, vacant)
    owner[first[first >= 0]] = fixed
    owner[site[site >= 0]] = np.flatnonzero(site >= 0)
    changes: dict[tuple[int, int], list[int]] = {}
    frame = 0
    while frame < len(entered):
        # What the sites of all atoms are does not change up to the first frame in which an atom takes another.
        block = slice(frame, frame + _FRAMES_AT_ONCE)
        owners = owner[entered[block]]
        left = np.take_along_axis(held[block], np.maximum(owners, 0), axis=1) != entered[block]
        takes = (entered[block] >= 0) & (entered[block] != site) & ((owners == vacant) | ((owners >= 0) & left))
        taken = np.argwhere(takes)
        if not len(taken):
            frame += _FRAMES_AT_ONCE
            continue
        frame, taker = frame + int(taken[0, 0]), int(taken[0, 1])
        target = int(entered[frame, taker])
        moves = [(taker, target)] if owner[target] == vacant else [(int(owner[target]), -1), (taker, target)]
        for mover, end in moves:
            changes.setdefault((frame, int(atoms[mover])), [int(site[mover]), end])[1] = end
            if site[mover] >= 0:
                owner[site[mover]] = vacant
            site[mover] = end
        owner[target] = taker
    rows = [(*key, before, after) for key, (before, after) in sorted(changes.items()) if before != after]
    last = first.copy()
    last[atoms] = site
    return Hops(np.array(rows, dtype=int).reshape(-1, 4), first, last, len(entered), n_sites)


def _without_drift(fractional: np.ndarray, references: np.ndarray, on_site: np.ndarray) -> np.ndarray:
    """Return displacements of atoms from their reference sites, minus the median over atoms on sites, (F, N, 3)
    fractional.

    Paths are unwrapped across boundaries: no atom moves by half a cell from one frame to the next.
    """
    moved = np.zeros_like(fractional)
    steps = np.diff(fractional, axis=0)
    np.cumsum(steps - np.round(steps), axis=0, out=moved[1:])
    start = fractional[0] - references
    # One atom gives the drift up to its own displacement; the median over all atoms then corrects it.
    drift = start[on_site][0]
    for _ in range(2):
        start = drift + (start - drift) - np.round(start - drift)
        drift = np.median(start[on_site], axis=0)
    moved += start
    return moved - np.median(moved[:, on_site], axis=1, keepdims=True)
