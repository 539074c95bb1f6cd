"""The sites of a host crystal, and how the atoms of a structure are given to them.

The drift of a structure and the sites of its atoms are found together: the drift is the median displacement of the
atoms from their nearest sites, the sites are those that make the sum of the squared displacements least.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from ase import Atoms
from ase.geometry import find_mic, minkowski_reduce
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.crystals import nearest_distance
from aiida_sicmlip.science.defects.polytypes import site_labels

MAXIMUM_STRAIN = 0.05
"""Cells whose vectors differ by more than this fraction are cells of two crystals."""

MAXIMUM_CHANGED = 0.25
"""Share of the host's sites that may be vacant, taken by another species, or exceeded by atoms that have no site."""

SITE_RADIUS = 0.75
"""An atom farther than this from every free site has none: it is an interstitial. In nearest-neighbour distances."""

MAXIMUM_DISPLACEMENT = 0.33
"""A crystal is molten, or another one, where the median distance of the atoms from their sites is larger. In
nearest-neighbour distances; at melting points it is a half of that or less."""

# Sites of the perfect crystal agree with each other by symmetry up to this (A).
_SAME_PLACE = 0.05


class HostSites:
    """The sites of a crystal, and the nearest of them to any point."""

    def __init__(self, host: Atoms) -> None:
        if not host.pbc.all() or abs(host.cell.volume) < 1e-8:
            raise InputError("The host is no crystal: it needs a cell that is periodic along three vectors.")
        self._host = host
        self.cell = host.cell.array
        self.fractional = host.positions @ np.linalg.inv(self.cell)
        self.numbers = host.numbers
        self.nearest_distance = nearest_distance(host)
        self.reach = SITE_RADIUS * self.nearest_distance
        # Wrapped along the short vectors of the reduced cell, a point's nearest image is one cell away at most.
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

    def displacements(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the nearest sites (K,) of points (K, 3) given in A, and the vectors (K, 3) that lead from them."""
        wrapped = self._wrapped(points)
        _, found = self._tree.query(wrapped)
        return np.asarray(found) % len(self), wrapped - self._tree.data[found]

    @cached_property
    def labels(self) -> list[str]:
        """What tells sites of one sublattice apart: see :mod:`~aiida_sicmlip.science.defects.polytypes`."""
        return site_labels(self._host)

    @cached_property
    def orbits(self) -> np.ndarray:
        """A number for each site, (S,) int, the same where a translation of the crystal onto itself leads there."""
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
    """Return the site of each atom, (N,) with -1 where there is none, and the shortest drift that fits, (3,) in A.

    :param fractional: (N, 3), see :meth:`HostSites.fractional_of`.
    :raises InputError: when no drift makes the atoms fit.
    """
    limit = MAXIMUM_CHANGED * len(sites)
    least = len(sites)
    best: tuple[np.ndarray, np.ndarray] | None = None
    length = np.inf
    hopeless: set[tuple[int, int]] = set()
    for start, atom, site in _possible_drifts(sites, fractional, numbers):
        # The atom that a drift was read from may itself be displaced, but not by more than this.
        if np.linalg.norm(start) > length + sites.nearest_distance:
            break
        if hopeless and (atom, int(sites.orbits[site])) in hopeless:
            continue
        drift, found, vectors = (part[0] for part in refined_drifts(sites, fractional[None], start))
        if np.linalg.norm(drift) >= length:
            continue
        # Quick and rough: how many sites have no atom of their species.
        changed = len(sites) - len(np.unique(found[sites.numbers[found] == numbers]))
        if changed <= 2 * limit:
            site_of_atom = assigned(sites, fractional @ sites.cell - drift, found, vectors)
            offset = np.median(_displacements(sites, fractional, site_of_atom, drift), axis=0)
            if np.linalg.norm(offset) > sites.nearest_distance / 10:
                # Halfway between two drifts, half of the atoms are nearest to sites that are not theirs.
                drift, found, vectors = (part[0] for part in refined_drifts(sites, fractional[None], drift + offset))
                site_of_atom = assigned(sites, fractional @ sites.cell - drift, found, vectors)
            changed = count_changed(sites, site_of_atom, numbers)
            moved = np.linalg.norm(_displacements(sites, fractional, site_of_atom, drift), axis=1)
            if np.median(moved) > MAXIMUM_DISPLACEMENT * sites.nearest_distance:
                changed = len(sites)
            if changed <= limit and np.linalg.norm(drift) < length:
                best, length = (site_of_atom, drift), float(np.linalg.norm(drift))
        if changed > limit and atom >= 0:
            # Another site that a translation of the crystal leads to would fit as badly.
            hopeless.add((atom, int(sites.orbits[site])))
        least = min(least, changed)
        # Translations of a crystal onto itself are no shorter than its bonds: no other drift can be shorter than this.
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
    """Return drifts of frames after which the median displacement of the atoms from their nearest sites is zero.

    :param fractional: (F, N, 3), see :meth:`HostSites.fractional_of`.
    :param start: drifts near these, (3,) or (F, 3) in A.
    :param reference: the sites that most atoms are near, (N,), where they are known: only the others are then
        searched for.
    :return: drifts (F, 3) in A; nearest sites (F, N); vectors from there to the atoms, without the drift, (F, N, 3).
    """
    if reference is None:
        reference = np.zeros(fractional.shape[1], dtype=int)
    begin = fractional - sites.fractional[reference] - np.reshape(start @ np.linalg.inv(sites.cell), (-1, 1, 3))
    begin = (begin - np.round(begin)) @ sites.cell
    moved = np.zeros((len(begin), 3))
    found, vectors = _nearest(sites, begin, reference)
    active = np.arange(len(begin))
    for _ in range(20):
        steps = np.median(vectors[active], axis=1)
        moved[active] += steps
        active = active[np.linalg.norm(steps, axis=1) >= 1e-6]
        if not len(active):
            break
        now, vectors[active] = _nearest(sites, begin[active] - moved[active, None], reference)
        # With the same sites as before the median is zero now.
        changed = (now != found[active]).any(axis=1)
        found[active] = now
        active = active[changed]
    return start + moved, found, vectors


def assigned(sites: HostSites, positions: np.ndarray, found: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the site of each atom, (N,): -1 where none is free within reach; the sum of squared distances is least.

    An atom without a site counts as one at the reach. Where each atom has its nearest site to itself, no sum is less.
    Else only the atoms that want the same site are shared out anew. Their least sum on their own, with each other atom
    on its nearest site, is a bound from below for all atoms together; it is the answer if it takes nobody's site.
    Those whose site is taken are shared out with the first otherwise.

    :param positions: (N, 3) in A, without drift.
    :param found: the nearest sites, (N,).
    :param vectors: from these to the atoms, (N, 3) in A.
    """
    within = np.square(vectors).sum(axis=1) < sites.reach**2
    site_of_atom = np.where(within, found, -1)
    wanted = np.bincount(found[within], minlength=len(sites))
    group = np.flatnonzero(within & (wanted[found] > 1))
    while len(group):
        chosen = _shared_out(sites, positions[group])
        others = site_of_atom.copy()
        others[group] = -1
        robbed = np.flatnonzero((others >= 0) & np.isin(others, chosen))
        if not len(robbed):
            site_of_atom[group] = chosen
            break
        group = np.union1d(group, robbed)
    return site_of_atom


def count_changed(sites: HostSites, site_of_atom: np.ndarray, numbers: np.ndarray) -> int:
    """Return how many sites are vacant or hold another species, or how many atoms have no site if these are more."""
    settled = site_of_atom >= 0
    own = sites.numbers[site_of_atom[settled]] == numbers[settled]
    return max(len(sites) - int(own.sum()), int((~settled).sum()))


def _possible_drifts(
    sites: HostSites, fractional: np.ndarray, numbers: np.ndarray
) -> list[tuple[np.ndarray, int, int]]:
    """Return no drift, and those that lead one of three atoms to a site of its species, shortest first.

    Drifts are (3,) in A and stand with the atom and the site, -1 for no drift.
    """
    found = [(np.zeros(3), -1, -1)]
    # Three, since one may be an interstitial or an antisite; of species that the host does not have there is no end.
    known = np.flatnonzero(np.isin(numbers, sites.numbers))
    for atom in known[np.linspace(0, len(known) - 1, 3).astype(int)] if len(known) else ():
        ends = np.flatnonzero(sites.numbers == numbers[atom])
        drifts = find_mic((fractional[atom] - sites.fractional[ends]) @ sites.cell, sites.cell)[0].reshape(-1, 3)
        found += [(drift, int(atom), int(end)) for drift, end in zip(drifts, ends, strict=True)]
    return sorted(found, key=lambda entry: float(np.linalg.norm(entry[0])))


def _displacements(sites: HostSites, fractional: np.ndarray, site_of_atom: np.ndarray, drift: np.ndarray) -> np.ndarray:
    """Return the vectors from the sites of the atoms that have one to these, without the drift, (K, 3) in A."""
    settled = site_of_atom >= 0
    vectors = (fractional[settled] - sites.fractional[site_of_atom[settled]]) @ sites.cell - drift
    return find_mic(vectors, sites.cell)[0].reshape(-1, 3) if len(vectors) else np.zeros((1, 3))


def _nearest(sites: HostSites, begin: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest sites (F, N) of atoms and the vectors from there, (F, N, 3) in A.

    :param begin: vectors from an image of the reference sites to the atoms, (F, N, 3) in A, which need not be shortest.
    """
    found = np.repeat(reference[None], len(begin), axis=0)
    vectors = begin.copy()
    # Two sites are never nearer than a bond, so that a site within half a bond is the nearest.
    far = np.einsum("fni,fni->fn", begin, begin) >= (sites.nearest_distance / 2) ** 2
    if far.any():
        positions = begin[far] + (sites.fractional @ sites.cell)[found[far]]
        found[far], vectors[far] = sites.displacements(positions)
    return found, vectors


def _shared_out(sites: HostSites, positions: np.ndarray) -> np.ndarray:
    """Return the site of each atom at positions (K, 3) in A, (K,), for the least sum of squares; -1 without a site."""
    # No more than a few sites lie within reach.
    found, distances = sites.nearest(positions, count=8)
    candidates, columns = np.unique(found, return_inverse=True)
    costs = np.full((len(positions), len(candidates)), sites.reach**2)
    rows = np.broadcast_to(np.arange(len(positions))[:, None], found.shape)
    np.minimum.at(costs, (rows, columns.reshape(found.shape)), np.square(distances))
    atoms, chosen = linear_sum_assignment(costs)
    site_of_atom = np.full(len(positions), -1)
    within = costs[atoms, chosen] < sites.reach**2
    site_of_atom[atoms[within]] = candidates[chosen[within]]
    return site_of_atom
