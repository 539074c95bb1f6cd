"""Hops along trajectories of any length, chunk by chunk; a fast bound excludes hops in most chunks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.hops import CORE_RADIUS, Hops, count_hops
from aiida_sicmlip.science.defects.host_sites import HostSites

# Positions are single precision (A).
_TOLERANCE = 1e-3


def follow_hops(pieces: Iterable[np.ndarray], cell: np.ndarray, host: Atoms, species: Sequence[str]) -> Hops:
    """Follow atoms from site to site along consecutive chunks of a trajectory.

    The events are those of :func:`~aiida_sicmlip.science.defects.hops.count_hops` on all frames at once; an atom at the
    edge of a core may come a frame earlier or later, since the drift is that of the atoms that are on sites when a
    chunk begins. Only chunks in which an atom may have come near another site are searched. Memory is that of one
    chunk.

    :param pieces: positions (F, N, 3) in A; fastest where they are float32 and not wrapped into the cell.
    :param cell: (3, 3) in A, of all frames.
    :param species: of the N atoms.
    :raises InputError: as `count_hops`, for the first chunk.
    """
    sites = HostSites(host)
    glance: _Glance | None = None
    first: np.ndarray | None = None
    last: np.ndarray | None = None
    events: list[np.ndarray] = []
    n_frames = 0
    for piece in pieces:
        if not len(piece):
            continue
        if glance is None or glance.may_hold_hops(piece, last):
            hops = count_hops(piece, cell, host, species, last, sites=sites)
            first = hops.first_sites if first is None else first
            last = hops.last_sites
            glance = glance or _Glance(sites, cell)
            events.append(hops.events + np.array([n_frames, 0, 0, 0]))
        n_frames += len(piece)
    if first is None or last is None:
        raise InputError("There is no frame to follow atoms in: give at least one.")
    return Hops(np.concatenate(events), first, last, n_frames, len(sites))


class _Glance:
    """Fast test for chunks of a trajectory in which no atom can have reached the core of another site than its own."""

    def __init__(self, sites: HostSites, cell: np.ndarray) -> None:
        self.sites = sites
        self.cell = np.asarray(cell, dtype=float)
        self.inverse = np.linalg.inv(self.cell)
        # Distances are measured in the host; the cell may be strained against it.
        self.strain = float(np.linalg.svd(self.inverse @ sites.cell, compute_uv=False).max())
        self.core = CORE_RADIUS * sites.nearest_distance
        self.reach = (sites.nearest_distance - self.core) / self.strain - _TOLERANCE

    def may_hold_hops(self, piece: np.ndarray, site_of_atom: np.ndarray | None) -> bool:
        """Return whether an atom may have reached another site; False is always correct.

        An atom that stays within the reach of its site, relative to the median displacement of all atoms on sites,
        cannot have reached another core. A bound of the median is tested first: along each axis it is within one
        standard deviation of the mean. An interstitial may be in a core wherever it is.
        """
        if site_of_atom is None:
            return True
        on_site = site_of_atom >= 0
        interstitials = piece[:, ~on_site]
        if interstitials.size:
            piece, site_of_atom = piece[:, on_site], site_of_atom[on_site]
        references = self.sites.fractional[site_of_atom]
        start = np.asarray(piece[0], dtype=float) @ self.inverse - references
        start -= np.round(start - start[0])
        # Positions with all atoms on their sites: the drift and the periodic images of the atoms.
        drift = np.median(start, axis=0)
        rest = (np.round(start - drift) + references + drift) @ self.cell
        vectors = piece - rest.astype(piece.dtype)
        n_atoms = vectors.shape[1]
        means = vectors.sum(axis=1) / n_atoms
        squares = np.einsum("fni,fni->fn", vectors, vectors)
        spreads = np.sqrt(np.maximum(np.einsum("fni,fni->fi", vectors, vectors) / n_atoms - means**2, 0.0))
        bounds = self.reach - np.linalg.norm(np.abs(means) + spreads, axis=1)
        suspect = (bounds <= 0) | (squares.max(axis=1) >= bounds**2)
        if interstitials.size:
            suspect |= self._in_cores(interstitials, drift, means, np.linalg.norm(spreads, axis=1))
        frames = np.flatnonzero(suspect)
        if not len(frames):
            return False
        moved = vectors[frames].astype(float)
        medians = np.median(moved, axis=1)
        if interstitials.size and self._in_cores(interstitials[frames], drift, medians, np.zeros(len(frames))).any():
            return True
        moved -= medians[:, None]
        far, atoms = np.nonzero(np.einsum("fni,fni->fn", moved, moved) >= self.reach**2)
        points = (moved[far, atoms] @ self.inverse + references[atoms]) @ self.sites.cell
        nearest, distances = self.sites.nearest(points)
        return bool(((distances < self.core + _TOLERANCE) & (nearest != site_of_atom[atoms])).any())

    def _in_cores(
        self, positions: np.ndarray, drift: np.ndarray, offsets: np.ndarray, errors: np.ndarray
    ) -> np.ndarray:
        """Return in which frames an atom may be in the core of any site, (F,) bool.

        :param positions: (F, K, 3) in A.
        :param drift: (3,), as a fraction of the cell.
        :param offsets: what the drift is more than that, (F, 3) in A, with errors (F,) in A.
        """
        points = ((positions - offsets[:, None]) @ self.inverse - drift) @ self.sites.cell
        distances = self.sites.nearest(points.reshape(-1, 3))[1].reshape(points.shape[:2])
        return np.asarray(distances.min(axis=1) < self.core + self.strain * errors + _TOLERANCE)
