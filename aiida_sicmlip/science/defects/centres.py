"""The atoms around the defects of many frames, on which selection computes descriptors."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.crystals import distances_from
from aiida_sicmlip.science.defects.host_sites import (
    MAXIMUM_CHANGED,
    MAXIMUM_DISPLACEMENT,
    HostSites,
    assign_sites,
    assigned,
    count_changed,
    refined_drifts,
)

# Frames processed at once: amortises the overhead and fits into the processor's cache.
_CHUNK = 64
# Distances between sites that differ by less than this (A) are equal: equivalent ones differ by rounding.
_SAME_DISTANCE = 1e-4


class DefectCentres:
    """Finds the atoms around the defects of each frame, for many frames of one host.

    A defect is a site that is vacant or holds another species, or an atom without a site (interstitial), as identified
    by :func:`~aiida_sicmlip.science.defects.hops.find_defect_sites`. The sites within a radius of the defect's site are
    around it, for an interstitial those within a radius of the nearest site. A vacancy in 3C-SiC has 16 atoms within
    3.4 A, its first two shells, a nearest-neighbour divacancy 24. Distances are those between sites of the perfect
    crystal, so that thermal motion does not change which atoms count.
    """

    def __init__(self, host: Atoms, radius: float | None = None) -> None:
        """Prepare for frames in the cell of a host.

        :param host: the perfect crystal.
        :param radius: in A; by default :data:`~aiida_sicmlip.science.defects.host_sites.NEAR_DEFECT` of the host.
        :raises InputError: when the host is not periodic or the radius is not above zero.
        """
        self._sites = HostSites(host)
        if radius is None:
            radius = self._sites.near_defect
        if not np.isfinite(radius) or radius <= 0:
            raise InputError(f"`radius` is {radius}: give a length in A above zero.")
        distances = np.array([distances_from(host, site) for site in host.positions])
        self._near: np.ndarray = distances <= radius + _SAME_DISTANCE

    def find(self, positions: np.ndarray, cell: np.ndarray, numbers: np.ndarray) -> list[np.ndarray]:
        """Return the atoms on the sites around the defects of each frame, and interstitials, in ascending order.

        Returns all atoms for a frame without a defect, for one whose sites around the defects are all vacant, and for
        one that does not fit the host (it is molten).

        Costs (one core, 214 atoms): 0.03 ms a frame from 300 to 2500 K, 0.1 ms with an interstitial; 15 ms where a
        frame is molten.

        :param positions: (F, N, 3) in A, wrapped or not; frames need not be consecutive and may have drifted.
        :param cell: (3, 3) in A, of all frames: the host's up to rotation and a small strain.
        :param numbers: atomic numbers, (N,).
        :raises InputError: when shapes do not fit, or the cell is not the host's.
        """
        positions, numbers = np.asarray(positions), np.asarray(numbers)
        if positions.ndim != 3 or positions.shape[1:] != (len(numbers), 3) or not len(numbers):
            raise InputError(
                f"`positions` has the shape {positions.shape} and `numbers` {numbers.shape}: give (F, N, 3) and (N,)."
            )
        centres_of_row: dict[bytes, np.ndarray] = {}
        centres = []
        for occupied in self._occupied(positions, cell, numbers):
            key = occupied.tobytes()
            if key not in centres_of_row:
                centres_of_row[key] = self._around(occupied, numbers)
            centres.append(centres_of_row[key])
        return centres

    def _occupied(self, positions: np.ndarray, cell: np.ndarray, numbers: np.ndarray) -> Iterator[np.ndarray]:
        """Yield for each frame the site of each atom (N,), -1 minus the nearest site for interstitials.

        Empty for a frame that does not fit the host.
        """
        reference = np.zeros(len(numbers), dtype=int)
        # The first frame, on its own, gives the reference sites for the others.
        edges = [0, *range(1, len(positions), _CHUNK), len(positions)]
        for begin, end in itertools.pairwise(edges):
            rows = self._placed(self._sites.fractional_of(positions[begin:end], cell), numbers, reference)
            fitting = [row for row in rows if len(row)]
            if fitting:
                reference = np.where(fitting[-1] < 0, -1 - fitting[-1], fitting[-1])
            yield from rows

    def _placed(self, fractional: np.ndarray, numbers: np.ndarray, reference: np.ndarray) -> list[np.ndarray]:
        """Return a chunk of rows for `_occupied`; most atoms are on their reference sites, up to a drift."""
        sites = self._sites
        offsets = fractional - sites.fractional[reference]
        vectors = (offsets - np.round(offsets)) @ sites.cell
        near = np.square(vectors).sum(axis=2) < (sites.nearest_distance / 2) ** 2
        still = near.mean(axis=1) > 0.5
        # The common drift of all atoms, if it is large; a mean of angles is independent of cell boundaries.
        means = np.exp(2j * np.pi * offsets[~still]).mean(axis=1)
        starts = np.zeros((len(fractional), 3))
        starts[~still] = np.angle(means) / (2 * np.pi) @ sites.cell
        rows = self._fitting(fractional, numbers, starts, reference)
        for frame in [frame for frame, row in enumerate(rows) if not len(row)]:
            # A drift that differs by a translation of the crystal onto itself would not change the centres.
            with contextlib.suppress(InputError):
                site_of_atom, drift = assign_sites(sites, fractional[frame], numbers)
                nearest, _ = sites.nearest(fractional[frame] @ sites.cell - drift)
                rows[frame] = np.where(site_of_atom < 0, -1 - nearest, site_of_atom)
        return rows

    def _fitting(
        self, fractional: np.ndarray, numbers: np.ndarray, starts: np.ndarray, reference: np.ndarray
    ) -> list[np.ndarray]:
        """Return rows for `_occupied` of frames whose drifts are near `starts`, empty ones for the others."""
        sites = self._sites
        drifts, nearest, vectors = refined_drifts(sites, fractional, starts, reference)
        squared = np.square(vectors).sum(axis=2)
        within = squared < sites.reach**2
        offsets = np.arange(len(nearest))[:, None] * len(sites)
        wanted = np.bincount((nearest + offsets)[within], minlength=offsets.size * len(sites)).reshape(-1, len(sites))
        # Where no two atoms have the same nearest site, the nearest sites minimise the sum of squares.
        rows = list(np.where(within, nearest, -1 - nearest))
        for frame in np.flatnonzero((wanted > 1).any(axis=1)):
            placed = fractional[frame] @ sites.cell - drifts[frame]
            site_of_atom = assigned(sites, placed, nearest[frame], vectors[frame])
            rows[frame] = np.where(site_of_atom < 0, -1 - nearest[frame], site_of_atom)
        # From a distant start the median may converge between two drifts that fit; `assign_sites` decides these and
        # apparently molten frames.
        near = np.linalg.norm(drifts - starts, axis=1) < sites.nearest_distance / 4
        near &= np.median(squared, axis=1) < (MAXIMUM_DISPLACEMENT * sites.nearest_distance) ** 2
        limit = MAXIMUM_CHANGED * len(sites)
        return [
            row if close and count_changed(sites, row, numbers) <= limit else np.empty(0, dtype=int)
            for row, close in zip(rows, near, strict=True)
        ]

    def _around(self, occupied: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Return the centres of a frame from a row of `_occupied`."""
        all_atoms = np.arange(len(numbers))
        if not len(occupied):
            return all_atoms
        on_site = occupied >= 0
        species_on_site = np.zeros(len(self._sites), dtype=int)
        species_on_site[occupied[on_site]] = numbers[on_site]
        defective = species_on_site != self._sites.numbers
        defective[-1 - occupied[~on_site]] = True
        around = np.logical_or.reduce(self._near[defective], axis=0)
        centres = np.flatnonzero(~on_site | around[occupied])
        return centres if len(centres) else all_atoms
