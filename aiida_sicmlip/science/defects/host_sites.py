"""The sites of a host crystal, and the assignment of atoms to them (Wigner-Seitz analysis).

Each atom is assigned to at most one site and each site to at most one atom, with the minimum sum of squared
displacements. The drift of a structure, the median displacement of the atoms from their nearest sites, is determined
together with the assignment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TypeVar

import numpy as np
from ase import Atoms
from ase.geometry import find_mic, minkowski_reduce
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.crystals import nearest_distance
from aiida_sicmlip.science.defects.polytypes import site_labels

MAXIMUM_STRAIN = 0.05
"""Maximum strain between the cells of a structure and its host."""

MAXIMUM_CHANGED = 0.25
"""Maximum fraction of the host's sites that are vacant or hold another species, or of atoms without a site."""

SITE_RADIUS = 0.75
"""An atom farther than this from every free site is an interstitial. In nearest-neighbour distances."""

MAXIMUM_DISPLACEMENT = 0.33
"""A structure is molten, or of another crystal, where the median distance of the atoms from their sites is larger.

In nearest-neighbour distances; at the melting point the median is half of this or less.
"""

NEAR_DEFECT = 1.78
"""Maximum distance from a defect of what is near it. In nearest-neighbour distances: 3.4 A in 3C-SiC, 2.7 A in diamond.

It is in the gap between the second shell of tetrahedral crystals (1.63, 1.67 of hexagonal sites) and the third (1.91).
"""

Host = TypeVar("Host")
Frame = TypeVar("Frame")
Result = TypeVar("Result")

# Equivalent sites of the perfect crystal agree up to this (A).
_SAME_PLACE = 0.05


class HostSites:
    """The sites of a crystal, with a search for the sites nearest to any point."""

    def __init__(self, host: Atoms) -> None:
        if not host.pbc.all() or abs(host.cell.volume) < 1e-8:
            raise InputError("The host is no crystal: it needs a cell that is periodic along three vectors.")
        self._host = host
        self.cell = host.cell.array
        self.fractional = host.positions @ np.linalg.inv(self.cell)
        self.numbers = host.numbers
        self.nearest_distance = nearest_distance(host)
        self.reach = SITE_RADIUS * self.nearest_distance
        self.near_defect = NEAR_DEFECT * self.nearest_distance
        # Wrapped in the reduced cell, the nearest image of a point is at most one cell away.
        self._reduced = np.asarray(minkowski_reduce(host.cell, host.pbc)[0])
        self._to_reduced = np.linalg.inv(self._reduced)
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
                f"The cells of structure and host differ by a strain of {strain:.3f}, above {MAXIMUM_STRAIN}: "
                f"give the perfect crystal in the structure's own cell, with the same repeats."
            )
        return np.asarray(positions, dtype=float) @ np.linalg.inv(cell)

    def nearest(self, points: np.ndarray, count: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return the nearest sites of points (K, 3) given in A, and their distances in A.

        (K,) each, or (K, count), where a site of a small cell is listed once for each of its images.
        """
        distances, nearest = self._tree.query(self._wrapped(points), k=count)
        return np.asarray(nearest) % len(self), np.asarray(distances)

    def displacements(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the nearest sites (K,) of points (K, 3) in A, and the vectors (K, 3) in A from these to the points."""
        wrapped = self._wrapped(points)
        _, nearest = self._tree.query(wrapped)
        return np.asarray(nearest) % len(self), wrapped - self._tree.data[nearest]

    @cached_property
    def labels(self) -> list[str]:
        """Labels of inequivalent sites of a sublattice, see :mod:`~aiida_sicmlip.science.defects.polytypes`."""
        return site_labels(self._host)

    @cached_property
    def orbits(self) -> np.ndarray:
        """Number of the translational orbit of each site, (S,) int; equal for sites related by a lattice vector."""
        orbits = np.full(len(self), -1)
        positions = self.fractional @ self.cell
        for site in range(len(self)):
            if orbits[site] < 0:
                orbits[site] = site
                for other in np.flatnonzero((orbits < 0) & (self.numbers == self.numbers[site])):
                    images, distances = self.nearest(positions + positions[other] - positions[site])
                    if distances.max() < _SAME_PLACE and np.array_equal(self.numbers[images], self.numbers):
                        orbits[other] = site
        return orbits

    def _wrapped(self, points: np.ndarray) -> np.ndarray:
        return ((points @ self._to_reduced) % 1.0) @ self._reduced


def assign_sites(sites: HostSites, fractional: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the site of each atom, (N,) with -1 for interstitials, and the shortest drift that fits, (3,) in A.

    :param fractional: (N, 3), see :meth:`HostSites.fractional_of`.
    :raises InputError: when no drift makes the atoms fit.
    """
    limit = MAXIMUM_CHANGED * len(sites)
    least = len(sites)
    best: tuple[np.ndarray, np.ndarray] | None = None
    length = np.inf
    rejected: set[tuple[int, int]] = set()
    for start, atom, site in _possible_drifts(sites, fractional, numbers):
        # The atom that a drift was derived from may itself be displaced, but not by more than this.
        if np.linalg.norm(start) > length + sites.nearest_distance:
            break
        if rejected and (atom, int(sites.orbits[site])) in rejected:
            continue
        drift, nearest, vectors = (part[0] for part in refined_drifts(sites, fractional[None], start))
        if np.linalg.norm(drift) >= length:
            continue
        # Fast estimate: the number of sites without an atom of their species.
        changed = len(sites) - len(np.unique(nearest[sites.numbers[nearest] == numbers]))
        if changed <= 2 * limit:
            site_of_atom = assigned(sites, fractional @ sites.cell - drift, nearest, vectors)
            offset = np.median(_displacements(sites, fractional, site_of_atom, drift), axis=0)
            if np.linalg.norm(offset) > sites.nearest_distance / 10:
                # Halfway between two drifts, half of the atoms are nearest to a wrong site.
                drift, nearest, vectors = (part[0] for part in refined_drifts(sites, fractional[None], drift + offset))
                site_of_atom = assigned(sites, fractional @ sites.cell - drift, nearest, vectors)
            changed = count_changed(sites, site_of_atom, numbers)
            moved = np.linalg.norm(_displacements(sites, fractional, site_of_atom, drift), axis=1)
            if np.median(moved) > MAXIMUM_DISPLACEMENT * sites.nearest_distance:
                changed = len(sites)
            if changed <= limit and np.linalg.norm(drift) < length:
                best, length = (site_of_atom, drift), float(np.linalg.norm(drift))
        if changed > limit and atom >= 0:
            # Another site of the same orbit would fit equally badly.
            rejected.add((atom, int(sites.orbits[site])))
        least = min(least, changed)
        # Lattice translations are no shorter than a bond: no other drift can be shorter than this.
        if length < sites.nearest_distance / 2:
            break
    if best is None:
        raise InputError(
            f"The structure does not fit its host: {least} of {len(sites)} sites are vacant or hold another species, "
            f"or that many atoms have no site or are far from it; {limit:.0f} at most are allowed. Give the crystal "
            "that it was made from."
        )
    return best


def refined_drifts(
    sites: HostSites, fractional: np.ndarray, start: np.ndarray, reference: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return drifts of frames for which the median displacement of the atoms from their nearest sites is zero.

    :param fractional: (F, N, 3), see :meth:`HostSites.fractional_of`.
    :param start: initial drifts, (3,) or (F, 3) in A.
    :param reference: sites that most atoms are near, (N,); only the others are then searched.
    :return: drifts (F, 3) in A; nearest sites (F, N); vectors from these to the atoms, without the drift, (F, N, 3) in
        A.
    """
    if reference is None:
        reference = np.zeros(fractional.shape[1], dtype=int)
    begin = fractional - sites.fractional[reference] - np.reshape(start @ np.linalg.inv(sites.cell), (-1, 1, 3))
    begin = (begin - np.round(begin)) @ sites.cell
    moved = np.zeros((len(begin), 3))
    nearest, vectors = _nearest(sites, begin, reference)
    active = np.arange(len(begin))
    for _ in range(20):
        steps = np.median(vectors[active], axis=1)
        moved[active] += steps
        active = active[np.linalg.norm(steps, axis=1) >= 1e-6]
        if not len(active):
            break
        now, vectors[active] = _nearest(sites, begin[active] - moved[active, None], reference)
        # Where the nearest sites are unchanged, the median is now zero.
        changed = (now != nearest[active]).any(axis=1)
        nearest[active] = now
        active = active[changed]
    return start + moved, nearest, vectors


def assigned(sites: HostSites, positions: np.ndarray, nearest: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the site of each atom, (N,), with the minimum sum of squared distances; -1 for interstitials.

    An interstitial has no free site within reach and contributes the squared reach. Where all nearest sites differ,
    they are the minimum. Otherwise only atoms with the same nearest site are assigned again. Their minimum alone, with
    every other atom on its nearest site, is a lower bound for all atoms; it is the solution if it uses no site of
    another atom. Otherwise the atoms on these sites join the assignment.

    :param positions: (N, 3) in A, without drift.
    :param nearest: the nearest sites, (N,).
    :param vectors: from these to the atoms, (N, 3) in A.
    """
    within = np.square(vectors).sum(axis=1) < sites.reach**2
    site_of_atom = np.where(within, nearest, -1)
    demand = np.bincount(nearest[within], minlength=len(sites))
    group = np.flatnonzero(within & (demand[nearest] > 1))
    while len(group):
        chosen = _minimum_assignment(sites, positions[group])
        others = site_of_atom.copy()
        others[group] = -1
        displaced = np.flatnonzero((others >= 0) & np.isin(others, chosen))
        if not len(displaced):
            site_of_atom[group] = chosen
            break
        group = np.union1d(group, displaced)
    return site_of_atom


def count_changed(sites: HostSites, site_of_atom: np.ndarray, numbers: np.ndarray) -> int:
    """Return the number of sites that are vacant or hold another species, or of atoms without a site if larger."""
    on_site = site_of_atom >= 0
    own = sites.numbers[site_of_atom[on_site]] == numbers[on_site]
    return max(len(sites) - int(own.sum()), int((~on_site).sum()))


def first_host_that_fits(
    hosts: Mapping[str, Host], frame: Frame, examine: Callable[[Host, Frame], Result]
) -> tuple[str, Result]:
    """Return the name of the first host that a frame fits, and what is found of the frame there.

    :param hosts: perfect crystals, or what is prepared of them, by name, in the order in which they are tried.
    :param examine: takes a host and the frame, and raises ``InputError`` where they do not fit.
    :raises InputError: that of the last host, when the frame fits none.
    """
    problem = InputError("Give its perfect crystal.")
    for name, host in hosts.items():
        try:
            return name, examine(host, frame)
        except InputError as error:
            problem = error
    raise problem


def _possible_drifts(
    sites: HostSites, fractional: np.ndarray, numbers: np.ndarray
) -> list[tuple[np.ndarray, int, int]]:
    """Return zero drift and those that move one of three atoms to a site of its species, shortest first.

    Drifts are (3,) in A, each with the atom and the site, -1 for zero drift.
    """
    drifts_of_atoms = [(np.zeros(3), -1, -1)]
    # Three, since one may be an interstitial or an antisite; species that the host does not contain have no site.
    on_host_species = np.flatnonzero(np.isin(numbers, sites.numbers))
    for atom in (
        on_host_species[np.linspace(0, len(on_host_species) - 1, 3).astype(int)] if len(on_host_species) else ()
    ):
        ends = np.flatnonzero(sites.numbers == numbers[atom])
        drifts = find_mic((fractional[atom] - sites.fractional[ends]) @ sites.cell, sites.cell)[0].reshape(-1, 3)
        drifts_of_atoms += [(drift, int(atom), int(end)) for drift, end in zip(drifts, ends, strict=True)]
    return sorted(drifts_of_atoms, key=lambda candidate: float(np.linalg.norm(candidate[0])))


def _displacements(sites: HostSites, fractional: np.ndarray, site_of_atom: np.ndarray, drift: np.ndarray) -> np.ndarray:
    """Return the displacements of the atoms on sites from these, without the drift, (K, 3) in A."""
    on_site = site_of_atom >= 0
    vectors = (fractional[on_site] - sites.fractional[site_of_atom[on_site]]) @ sites.cell - drift
    return find_mic(vectors, sites.cell)[0].reshape(-1, 3) if len(vectors) else np.zeros((1, 3))


def _nearest(sites: HostSites, begin: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest sites (F, N) of atoms and the vectors from these to the atoms, (F, N, 3) in A.

    :param begin: vectors from an image of the reference sites to the atoms, (F, N, 3) in A, which need not be shortest.
    """
    nearest = np.repeat(reference[None], len(begin), axis=0)
    vectors = begin.copy()
    # Sites are at least a bond apart, so that a site within half a bond is the nearest.
    far = np.einsum("fni,fni->fn", begin, begin) >= (sites.nearest_distance / 2) ** 2
    if far.any():
        positions = begin[far] + (sites.fractional @ sites.cell)[nearest[far]]
        nearest[far], vectors[far] = sites.displacements(positions)
    return nearest, vectors


def _minimum_assignment(sites: HostSites, positions: np.ndarray) -> np.ndarray:
    """Return the site (K,) of each atom at positions (K, 3) in A for the minimum sum of squares; -1 without a site."""
    # Only a few sites are within reach.
    nearest, distances = sites.nearest(positions, count=8)
    candidates, columns = np.unique(nearest, return_inverse=True)
    costs = np.full((len(positions), len(candidates)), sites.reach**2)
    rows = np.broadcast_to(np.arange(len(positions))[:, None], nearest.shape)
    np.minimum.at(costs, (rows, columns.reshape(nearest.shape)), np.square(distances))
    atoms, chosen = linear_sum_assignment(costs)
    site_of_atom = np.full(len(positions), -1)
    within = costs[atoms, chosen] < sites.reach**2
    site_of_atom[atoms[within]] = candidates[chosen[within]]
    return site_of_atom
