"""The sites of a perfect crystal: which atoms of a structure sit on them, and how atoms move from one to another.

Structures are compared in fractional coordinates, so that neither wrapping, a rotated cell (LAMMPS turns cells) nor a
small strain matters. A crystal that has drifted as a whole is moved back by the median displacement of its atoms. A
drift is known up to a translation of the crystal onto itself only; the shortest is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from ase.geometry import find_mic, minkowski_reduce
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.crystals import nearest_distance

MAXIMUM_STRAIN = 0.05
"""Cells whose vectors differ by more than this fraction are cells of two crystals."""

MAXIMUM_CHANGED = 0.25
"""Share of the host's sites that may be vacant, taken by another species, or exceeded by atoms that have no site."""

SITE_RADIUS = 0.75
"""An atom farther than this from every free site has none: it is an interstitial. In nearest-neighbour distances."""

CORE_RADIUS = 0.35
"""An atom has arrived at a site when it comes as near as this, in nearest-neighbour distances: 0.67 A in 3C-SiC.

With independent displacements of 0.25 A along each axis, twice those of SiC at 1500 K, an atom is in the core of a given
nearest neighbour's site in one of ten million frames. The cores of two sites are well apart, so that an atom between
them stays with the one it came from.
"""


@dataclass(frozen=True)
class DefectSites:
    """Where a structure differs from its host.

    sites: one dict for each site that is vacant or holds another species, by ascending `site`: `kind` (`vacancy` or
        `antisite`), `site` (index in the host), `species` (of the host's atom), `replaced_by` (species, None for a
        vacancy) and `position` (of the site in the host, A), as
        :class:`~aiida_sicmlip.science.defects.DefectStructure` has them.
    site_of_atom: the site of each atom, (N,) int; -1 for interstitials.
    drift: by how much the crystal is displaced against the host, (3,) in A along the host's axes.
    """

    sites: list[dict[str, Any]]
    site_of_atom: np.ndarray
    drift: np.ndarray

    @property
    def interstitials(self) -> list[int]:
        """Atoms that have no site."""
        return [int(atom) for atom in np.flatnonzero(self.site_of_atom < 0)]


@dataclass(frozen=True)
class Hops:
    """Changes of site in a trajectory of F frames.

    events: rows (frame, atom, from site, to site) in order of time, (E, 4) int; an interstitial of the first frame comes
        from site -1.
    first_sites: the site of each atom in the first frame, (N,) int; -1 for interstitials.
    last_sites: the same after the last frame.
    """

    events: np.ndarray
    first_sites: np.ndarray
    last_sites: np.ndarray
    n_frames: int
    n_sites: int

    @property
    def n_hops(self) -> int:
        """How often an atom went from one site to another."""
        return int((self.events[:, 2] >= 0).sum())

    @cached_property
    def vacant(self) -> np.ndarray:
        """The sites that no atom belongs to in each frame, (F, V) int, ascending and filled up with -1 where fewer."""
        sites = self.first_sites.copy()
        edges = [0, *np.unique(self.events[:, 0]), self.n_frames]
        found: list[np.ndarray] = []
        for begin in edges[:-1]:
            for _, atom, _, site in self.events[self.events[:, 0] == begin]:
                sites[atom] = site
            found.append(np.setdiff1d(np.arange(self.n_sites), sites))
        filled = np.full((len(found), max(map(len, found))), -1)
        for row, vacant in zip(filled, found, strict=True):
            row[: len(vacant)] = vacant
        return np.repeat(filled, np.diff(edges), axis=0)


def find_defect_sites(structure: Atoms, host: Atoms) -> DefectSites:
    """Return which sites of a host are vacant or hold another species in a structure, whatever the order of its atoms.

    Atoms go to sites within :data:`SITE_RADIUS` so that the sum of the squared distances is least.

    :param host: the perfect crystal in the structure's cell.
    :raises InputError: when a cell is not periodic, the cells differ by more than :data:`MAXIMUM_STRAIN`, or more sites
        than :data:`MAXIMUM_CHANGED` differ.
    """
    sites = HostSites(host)
    fractional = sites.fractional_of(structure.positions, structure.cell.array)
    site_of_atom, drift = _settle(sites, fractional, structure.numbers)
    species = {int(site): structure.symbols[atom] for atom, site in enumerate(site_of_atom) if site >= 0}
    changed = [
        {
            "kind": "antisite" if site in species else "vacancy",
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
) -> Hops:
    """Follow atoms from site to site: an atom changes its site when it enters another's core (:data:`CORE_RADIUS`).

    Half a second for 2,000 frames of 216 atoms; memory is about six times that of the positions in double precision, so
    long trajectories are better given in pieces, each with the `last_sites` of the one before.

    :param positions: (F, N, 3) in A of consecutive frames, wrapped or not; no atom moves by half a cell between two.
    :param cell: (3, 3) in A, of all frames.
    :param species: of the N atoms. :param site_of_atom: sites of the atoms before the first frame, (N,), where they
        are known; else they are those that :func:`find_defect_sites` finds in the first frame.
    :raises InputError: as :func:`find_defect_sites`, and when there is no frame.
    """
    positions = np.asarray(positions)
    if positions.ndim != 3 or not len(positions):
        raise InputError(f"`positions` has the shape {positions.shape}; give at least one frame, (F, N, 3).")
    sites = HostSites(host)
    fractional = sites.fractional_of(positions, cell)
    if site_of_atom is None:
        first = _settle(sites, fractional[0], Atoms(list(species)).numbers)[0]
    else:
        first = np.array(site_of_atom, dtype=int)
    # An interstitial is followed from any site; it is far from it.
    reference = np.where(first < 0, 0, first)
    displacements = _without_drift(fractional, sites.fractional[reference], first >= 0) @ sites.cell
    core = CORE_RADIUS * sites.nearest_distance
    # Only atoms that were this far from their site can have been in the core of another.
    far = np.square(displacements).sum(axis=-1).max(axis=0) > (sites.nearest_distance - core) ** 2
    events: list[tuple[int, int, int, int]] = []
    last = first.copy()
    for atom in np.flatnonzero(far | (first < 0)):
        found, distances = sites.nearest(displacements[:, atom] + host.positions[reference[atom]])
        inside = np.flatnonzero(distances < core)
        visited = np.concatenate([[first[atom]], found[inside]])
        changes = np.flatnonzero(np.diff(visited))
        events += [(int(inside[k]), int(atom), int(visited[k]), int(visited[k + 1])) for k in changes]
        last[atom] = visited[-1]
    table = np.array(sorted(events), dtype=int).reshape(-1, 4)
    return Hops(table, first, last, len(positions), len(sites))


class HostSites:
    """The sites of a crystal, and the nearest of them to any point."""

    def __init__(self, host: Atoms) -> None:
        if not host.pbc.all() or abs(host.cell.volume) < 1e-8:
            raise InputError("The host is no crystal: it needs a cell that is periodic along three vectors.")
        self.cell = host.cell.array
        self.fractional = host.positions @ np.linalg.inv(self.cell)
        self.numbers = host.numbers
        self.nearest_distance = nearest_distance(host)
        # Wrapped along the short vectors of the reduced cell, a point's nearest image is one cell away at most.
        self._reduced = np.asarray(minkowski_reduce(host.cell, host.pbc)[0])
        shifts = np.array(list(np.ndindex(3, 3, 3))) - 1
        images = self._wrapped(host.positions) + (shifts @ self._reduced)[:, None]
        self._tree = cKDTree(images.reshape(-1, 3))

    def __len__(self) -> int:
        return len(self.fractional)

    def fractional_of(self, positions: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """Return positions (..., 3) in fractions of their cell, which must be the host's up to rotation and strain.

        :raises InputError: when it is not.
        """
        cell = np.asarray(cell, dtype=float)
        deformation = np.linalg.solve(self.cell, cell)
        strain = float(np.abs(np.linalg.svd(deformation, compute_uv=False) - 1.0).max())
        if strain > MAXIMUM_STRAIN or np.linalg.det(deformation) <= 0:
            raise InputError(
                f"The cells of structure and host differ by a strain of {strain:.3f}, {MAXIMUM_STRAIN} at most is "
                f"allowed: give the perfect crystal in the structure's own cell, with the same repeats."
            )
        return np.asarray(positions, dtype=float) @ np.linalg.inv(cell)

    def nearest(self, points: np.ndarray, count: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return the nearest sites of points (K, 3) given in A, and their distances in A.

        (K,) each, or (K, count), where a site of a small cell stands once for each of its images.
        """
        distances, found = self._tree.query(self._wrapped(points), k=count)
        return np.asarray(found) % len(self), np.asarray(distances)

    def _wrapped(self, points: np.ndarray) -> np.ndarray:
        return ((points @ np.linalg.inv(self._reduced)) % 1.0) @ self._reduced


def _settle(sites: HostSites, fractional: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the site of each atom, (N,) with -1 where there is none, and the shortest drift that fits, (3,) in A.

    :raises InputError: when no drift makes the atoms fit.
    """
    limit = MAXIMUM_CHANGED * len(sites)
    least = len(sites)
    best: tuple[np.ndarray, np.ndarray] | None = None
    length = np.inf
    for start in _possible_drifts(sites, fractional, numbers):
        # The atom that a drift was read from may itself be displaced, but not by more than this.
        if np.linalg.norm(start) > length + sites.nearest_distance:
            break
        drift = _refined(sites, fractional, start)
        if np.linalg.norm(drift) >= length:
            continue
        positions = fractional @ sites.cell - drift
        found, _ = sites.nearest(positions)
        # Quick and rough: how many sites have no atom of their species.
        changed = len(sites) - len(np.unique(found[sites.numbers[found] == numbers]))
        if changed <= 2 * limit:
            site_of_atom = _assigned(sites, positions)
            settled = site_of_atom >= 0
            own = sites.numbers[site_of_atom[settled]] == numbers[settled]
            changed = max(len(sites) - int(own.sum()), int((~settled).sum()))
            if changed <= limit:
                best, length = (site_of_atom, drift), float(np.linalg.norm(drift))
        least = min(least, changed)
        # Translations of a crystal onto itself are no shorter than its bonds: no other drift can be shorter than this.
        if length < sites.nearest_distance / 2:
            break
    if best is None:
        raise InputError(
            f"The structure does not fit its host: {least} of {len(sites)} sites are vacant or hold another species, "
            f"or that many atoms have no site; {limit:.0f} at most are allowed. Give the crystal that it was made from."
        )
    return best


def _possible_drifts(sites: HostSites, fractional: np.ndarray, numbers: np.ndarray) -> list[np.ndarray]:
    """Return no drift, and those that lead one of three atoms to a site of its species, shortest first: (3,) in A."""
    found = [np.zeros((1, 3))]
    # Three, since one may be an interstitial or an antisite.
    for atom in np.linspace(0, len(fractional) - 1, 3).astype(int):
        ends = sites.fractional[sites.numbers == numbers[atom]]
        found.append(find_mic((fractional[atom] - ends) @ sites.cell, sites.cell)[0].reshape(-1, 3))
    drifts = np.concatenate(found)
    return list(drifts[np.argsort(np.linalg.norm(drifts, axis=1), kind="stable")])


def _refined(sites: HostSites, fractional: np.ndarray, drift: np.ndarray) -> np.ndarray:
    """Return a drift (3,) after which the median displacement of the atoms from their nearest sites is zero."""
    for _ in range(20):
        found, _ = sites.nearest(fractional @ sites.cell - drift)
        vectors = fractional - sites.fractional[found] - drift @ np.linalg.inv(sites.cell)
        step = np.median(find_mic(vectors @ sites.cell, sites.cell)[0], axis=0)
        drift = drift + step
        if np.linalg.norm(step) < 1e-6:
            break
    return drift


def _assigned(sites: HostSites, positions: np.ndarray) -> np.ndarray:
    """Return the site of each atom at positions (N, 3) in A, (N,): -1 where none is free within reach."""
    reach = SITE_RADIUS * sites.nearest_distance
    # No more than a few sites lie within reach.
    found, distances = sites.nearest(positions, count=8)
    costs = np.full((len(positions), len(sites)), reach**2)
    rows = np.broadcast_to(np.arange(len(positions))[:, None], found.shape)
    np.minimum.at(costs, (rows, found), np.square(distances))
    atoms, chosen = linear_sum_assignment(costs)
    site_of_atom = np.full(len(positions), -1)
    within = costs[atoms, chosen] < reach**2
    site_of_atom[atoms[within]] = chosen[within]
    return site_of_atom


def _without_drift(fractional: np.ndarray, references: np.ndarray, settled: np.ndarray) -> np.ndarray:
    """Return how far atoms are from their references, less the median over the settled ones; (F, N, 3) fractional.

    Paths are followed across boundaries: nothing jumps by half a cell from one frame to the next.
    """
    moved = np.zeros_like(fractional)
    steps = np.diff(fractional, axis=0)
    np.cumsum(steps - np.round(steps), axis=0, out=moved[1:])
    start = fractional[0] - references
    # Any atom shows where the drift is, up to its own displacement; the median of the others then corrects it.
    drift = start[settled][0]
    for _ in range(2):
        start = drift + (start - drift) - np.round(start - drift)
        drift = np.median(start[settled], axis=0)
    moved += start
    return moved - np.median(moved[:, settled], axis=1, keepdims=True)
