"""The atoms around the defects of many frames, which selection compares them by."""

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

# Frames that are worked on at once: enough to share the overhead, few enough to stay in the processor's cache.
_CHUNK = 64
# Distances between sites that differ by less than this (A) are equal: those of a crystal are so up to rounding.
_SAME_DISTANCE = 1e-4


CENTRE_RADIUS = 1.78
"""Atoms as near as this to a defect are around it, in distances of nearest sites: 3.4 A in 3C-SiC, in the gap between
the second shell of tetrahedral crystals (1.63, 1.67 of hexagonal sites) and the third (1.91).
"""


class DefectCentres:
    """Finds the atoms around the defects that each frame shows, for many frames of one host.

    A defect is a site that is vacant or holds another species, or an atom without a site (interstitial), as
    :func:`~aiida_sicmlip.science.defects.hops.find_defect_sites` tells them. Around it are the sites within a radius of
    its site, for an interstitial of the site nearest to it. A vacancy in 3C-SiC has 16 atoms within 3.4 A, its first
    two shells, a nearest-neighbour divacancy 24. Distances are those between sites of the perfect crystal, so that
    thermal motion does not change who counts.
    """

    def __init__(self, host: Atoms, radius: float | None = None) -> None:
        """Prepare for frames in the cell of a host.

        :param host: the perfect crystal.
        :param radius: in A; by default :data:`CENTRE_RADIUS`.
        :raises InputError: when the host is not periodic or the radius is not above zero.
        """
        self._sites = HostSites(host)
        if radius is None:
            radius = CENTRE_RADIUS * self._sites.nearest_distance
        if not np.isfinite(radius) or radius <= 0:
            raise InputError(f"`radius` is {radius}: give a length in A above zero.")
        distances = np.array([distances_from(host, site) for site in host.positions])
        self._near: np.ndarray = distances <= radius + _SAME_DISTANCE

    def find(self, positions: np.ndarray, cell: np.ndarray, numbers: np.ndarray) -> list[np.ndarray]:
        """Return the atoms on the sites around the defects of each frame, and interstitials, in ascending order.

        All atoms where a frame shows no defect, where the sites around its defects are all vacant, and where it fits
        the host nowhere (it is molten): then there is no place that the others would hide.

        Costs (one core, 214 atoms): 0.03 ms a frame from 300 to 2500 K, 0.1 ms with an interstitial; 15 ms where a
        frame is molten.

        :param positions: (F, N, 3) in A, wrapped or not; frames need not follow each other, and may have drifted.
        :param cell: (3, 3) in A, of all frames: the host's up to rotation and a small strain.
        :param numbers: atomic numbers, (N,).
        :raises InputError: when shapes do not fit, or the cell is not the host's.
        """
        positions, numbers = np.asarray(positions), np.asarray(numbers)
        if positions.ndim != 3 or positions.shape[1:] != (len(numbers), 3) or not len(numbers):
            raise InputError(
                f"`positions` has the shape {positions.shape} and `numbers` {numbers.shape}: give (F, N, 3) and (N,)."
            )
        known: dict[bytes, np.ndarray] = {}
        centres = []
        for occupied in self._occupied(positions, cell, numbers):
            key = occupied.tobytes()
            if key not in known:
                known[key] = self._around(occupied, numbers)
            centres.append(known[key])
        return centres

    def _occupied(self, positions: np.ndarray, cell: np.ndarray, numbers: np.ndarray) -> Iterator[np.ndarray]:
        """Yield for each frame the site of each atom (N,), -1 less the nearest site for interstitials.

        Empty for a frame that fits nowhere.
        """
        reference = np.zeros(len(numbers), dtype=int)
        # The first frame, on its own, shows where the atoms of the others are to be looked for.
        edges = [0, *range(1, len(positions), _CHUNK), len(positions)]
        for begin, end in itertools.pairwise(edges):
            rows = self._placed(self._sites.fractional_of(positions[begin:end], cell), numbers, reference)
            fitting = [row for row in rows if len(row)]
            if fitting:
                reference = np.where(fitting[-1] < 0, -1 - fitting[-1], fitting[-1])
            yield from rows

    def _placed(self, fractional: np.ndarray, numbers: np.ndarray, reference: np.ndarray) -> list[np.ndarray]:
        """Return a chunk of rows for `_occupied`; most atoms are on their sites of reference, but for a drift."""
        sites = self._sites
        offsets = fractional - sites.fractional[reference]
        vectors = (offsets - np.round(offsets)) @ sites.cell
        near = np.square(vectors).sum(axis=2) < (sites.nearest_distance / 2) ** 2
        still = near.mean(axis=1) > 0.5
        # The drift that all atoms have in common, if it is a larger one; a mean of angles does not mind boundaries.
        means = np.exp(2j * np.pi * offsets[~still]).mean(axis=1)
        starts = np.zeros((len(fractional), 3))
        starts[~still] = np.angle(means) / (2 * np.pi) @ sites.cell
        rows = self._fitting(fractional, numbers, starts, reference)
        for frame in [frame for frame, row in enumerate(rows) if not len(row)]:
            # A drift that differs by a translation of the crystal onto itself would not change the centres.
            with contextlib.suppress(InputError):
                site_of_atom, drift = assign_sites(sites, fractional[frame], numbers)
                found, _ = sites.nearest(fractional[frame] @ sites.cell - drift)
                rows[frame] = np.where(site_of_atom < 0, -1 - found, site_of_atom)
        return rows

    def _fitting(
        self, fractional: np.ndarray, numbers: np.ndarray, starts: np.ndarray, reference: np.ndarray
    ) -> list[np.ndarray]:
        """Return rows for `_occupied` of frames whose drifts are near `starts`, empty ones for the others."""
        sites = self._sites
        drifts, found, vectors = refined_drifts(sites, fractional, starts, reference)
        squared = np.square(vectors).sum(axis=2)
        within = squared < sites.reach**2
        offsets = np.arange(len(found))[:, None] * len(sites)
        wanted = np.bincount((found + offsets)[within], minlength=offsets.size * len(sites)).reshape(-1, len(sites))
        # Where no two atoms want the same site, the nearest sites are the least sum of squares.
        rows = list(np.where(within, found, -1 - found))
        for frame in np.flatnonzero((wanted > 1).any(axis=1)):
            placed = fractional[frame] @ sites.cell - drifts[frame]
            site_of_atom = assigned(sites, placed, found[frame], vectors[frame])
            rows[frame] = np.where(site_of_atom < 0, -1 - found[frame], site_of_atom)
        # From afar the median may end between two places that fit; `assign_sites` decides on these, and on what looks
        # molten.
        near = np.linalg.norm(drifts - starts, axis=1) < sites.nearest_distance / 4
        near &= np.median(squared, axis=1) < (MAXIMUM_DISPLACEMENT * sites.nearest_distance) ** 2
        limit = MAXIMUM_CHANGED * len(sites)
        return [
            row if close and count_changed(sites, row, numbers) <= limit else np.empty(0, dtype=int)
            for row, close in zip(rows, near, strict=True)
        ]

    def _around(self, occupied: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Return the centres of a frame from a row of `_occupied`."""
        everyone = np.arange(len(numbers))
        if not len(occupied):
            return everyone
        settled = occupied >= 0
        held = np.zeros(len(self._sites), dtype=int)
        held[occupied[settled]] = numbers[settled]
        defective = held != self._sites.numbers
        defective[-1 - occupied[~settled]] = True
        around = np.logical_or.reduce(self._near[defective], axis=0)
        centres = np.flatnonzero(~settled | around[occupied])
        return centres if len(centres) else everyone
