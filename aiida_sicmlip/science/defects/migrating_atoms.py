"""The defects of a frame, and its migrating atoms, which are between two sites.

Vacant sites are identified by two criteria, which answer different questions:

- By assignment (:func:`~aiida_sicmlip.science.defects.hops.find_defect_sites`) each atom has one site at most, and each
  site one atom. There are as many vacancies as the frame lacks atoms, and one more for each interstitial. Defects are
  tracked by this criterion.
- By distance a site is vacant where no atom of any species is within :data:`VACANCY_RADIUS`. An atom in the middle of a
    hop leaves both of its sites vacant; an interstitial nearby may fill a vacant site. This is the published criterion.

Published for elemental Si by Y. Liu, X. He and Y. Mo, npj Comput. Mater. 9, 174 (2023), Methods. Lengths are scaled
here with the distance of nearest sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.hops import DefectSites, find_defect_sites
from aiida_sicmlip.science.defects.host_sites import HostSites

# Distance of nearest sites (A) in the crystal that the lengths were published for.
_SILICON_BOND = 2.35

VACANCY_RADIUS = 1.1 / _SILICON_BOND
"""A site without an atom within this distance is vacant by distance. In distances of nearest sites: 0.90 A in 3C-SiC.

It is below one half, so that an atom can only fill its nearest site.
"""

MIGRATION_DIFFERENCE = 0.75 / _SILICON_BOND
"""An atom whose distances from its nearest and its second nearest site differ by less is migrating. In distances of
nearest sites: 0.61 A in 3C-SiC. On the straight path between nearest sites that is the middle 32 %.
"""

SURROUNDINGS_RADIUS = 1.57
"""Radius of the surroundings of a migrating atom: its bonded neighbours and few atoms beyond. In distances of
nearest sites: 3.0 A in 3C-SiC, just below the second shell (1.63).
"""

_STILL = 0.5 * (1.0 - MIGRATION_DIFFERENCE) - 0.03
"""An atom nearer to a site than this, in distances of nearest sites, is not migrating: it is farther from any other
site by at least the distance of the two less twice its own. The margin is for the drift, which is a median here."""

REGIONS = ("migrating", "surroundings", "elsewhere")
"""Every atom of a frame belongs to one of these."""


@dataclass(frozen=True)
class FrameDefects:
    """Differences of a frame of N atoms from its host, and its migrating atoms.

    assignment: the sites of the atoms, and which sites are vacant or hold another species, by assignment.
    nearest_sites: the nearest and the second nearest site of each atom, (N, 2) int, of any species and occupation. In
        small cells both may be images of one site.
    distances: distances from these sites, (N, 2) in A, in the host's cell and without the drift.
    vacant_sites: sites that are vacant by distance, ascending.
    migrating: whether an atom is between two sites, (N,) bool.
    surroundings: whether an atom is near a migrating one and not migrating itself, (N,) bool.
    """

    assignment: DefectSites
    nearest_sites: np.ndarray
    distances: np.ndarray
    vacant_sites: np.ndarray
    migrating: np.ndarray
    surroundings: np.ndarray

    @property
    def vacancies(self) -> list[int]:
        """Sites that are vacant by assignment, ascending."""
        return [site["site"] for site in self.assignment.sites if site["kind"] == "vacancy"]

    @property
    def antisites(self) -> list[int]:
        """Sites that hold an atom of another species of the host by assignment, ascending."""
        return [site["site"] for site in self.assignment.sites if site["kind"] == "antisite"]

    @property
    def substitutions(self) -> list[int]:
        """Sites that hold an atom of a species that the host does not have by assignment, ascending."""
        return [site["site"] for site in self.assignment.sites if site["kind"] == "substitution"]

    @property
    def interstitials(self) -> list[int]:
        """Atoms that have no site by assignment, ascending."""
        return self.assignment.interstitials

    @property
    def regions(self) -> dict[str, np.ndarray]:
        """The atoms of each of the :data:`REGIONS`, (N,) bool."""
        elsewhere = ~(self.migrating | self.surroundings)
        return dict(zip(REGIONS, (self.migrating, self.surroundings, elsewhere), strict=True))


def frames_with_migrating_atoms(frames: Sequence[Atoms], finder: DefectFinder) -> np.ndarray:
    """Return in which frames an atom is migrating, (F,) bool; False for a frame that does not fit the host.

    As :meth:`DefectFinder.find`, which is asked only for frames in which an atom has left its site, as the last such
    frame had it: 0.1 ms a frame of 214 atoms for the others. Fast where frames follow each other in time, with their
    atoms in one order.
    """
    sites = finder.sites
    limit = _STILL * sites.nearest_distance
    reference: np.ndarray | None = None
    found = np.zeros(len(frames), dtype=bool)
    for index, frame in enumerate(frames):
        if reference is not None and len(reference) == len(frame):
            offsets = sites.fractional_of(frame.positions, frame.cell.array) - sites.fractional[reference]
            offsets -= np.round(offsets - offsets[0])
            offsets -= np.median(offsets, axis=0)
            moved = (offsets - np.round(offsets)) @ sites.cell
            if np.square(moved).sum(axis=1).max() < limit**2:
                continue
        try:
            defects = finder.find(frame)
        except InputError:
            continue
        found[index] = defects.migrating.any()
        reference = defects.nearest_sites[:, 0]
    return found


class DefectFinder:
    """Finds the defects and the migrating atoms of frames of one host.

    An atom is migrating where its distances from its nearest and second nearest site differ by less than
    :data:`MIGRATION_DIFFERENCE`. As in the paper, all sites count, vacant or not, with their periodic images; in a
    compound this means those of all sublattices. An atom that hops to a vacant neighbouring site is migrating on the
    middle 32 % of the straight path. A hop within a sublattice of 3C-SiC passes a site of the other sublattice, which
    is then one of the two nearest sites; the atom is migrating on the middle 51 % of the straight path, and on the
    middle 37 % of a path that bends by 0.6 A. In the middle the atom is out of reach of both ends, and has no site by
    assignment.

    By the same criterion an interstitial at rest between sites is migrating, since it is equally far from several
    sites; one that shares a site along <100> is not. `interstitials` lists the atoms without a site.
    """

    def __init__(self, host: Atoms, surroundings_radius: float | None = None) -> None:
        """Prepare for frames in the cell of a host.

        :param host: the perfect crystal.
        :param surroundings_radius: in A; by default :data:`SURROUNDINGS_RADIUS`.
        :raises InputError: when the host is not periodic or the radius is not above zero.
        """
        self.host = host
        self.sites = HostSites(host)
        if surroundings_radius is None:
            surroundings_radius = SURROUNDINGS_RADIUS * self.sites.nearest_distance
        if not np.isfinite(surroundings_radius) or surroundings_radius <= 0:
            raise InputError(f"`surroundings_radius` is {surroundings_radius}: give a length in A above zero.")
        self.surroundings_radius = surroundings_radius

    def find(self, frame: Atoms) -> FrameDefects:
        """Return the defects of a frame, wrapped or not, drifted or not, its atoms in any order.

        The frame's cell is the host's up to rotation and a small strain. Distances from sites are measured in the
        host's cell, those between atoms in the frame's.

        Costs on one core: 2 ms with 214 atoms, 30 ms with 4096; 7 ms more where an atom is migrating.

        :raises InputError: when the frame is not periodic, or as
            :func:`~aiida_sicmlip.science.defects.hops.find_defect_sites`.
        """
        if not frame.pbc.all():
            raise InputError("The structure is no crystal: it must be periodic along three vectors.")
        sites = self.sites
        assignment = find_defect_sites(frame, self.host, sites)
        placed = sites.fractional_of(frame.positions, frame.cell.array) @ sites.cell - assignment.drift
        nearest, distances = sites.nearest(placed, count=2)
        filled = nearest[distances[:, 0] < VACANCY_RADIUS * sites.nearest_distance, 0]
        migrating = distances[:, 1] - distances[:, 0] < MIGRATION_DIFFERENCE * sites.nearest_distance
        return FrameDefects(
            assignment=assignment,
            nearest_sites=nearest,
            distances=distances,
            vacant_sites=np.setdiff1d(np.arange(len(sites)), filled),
            migrating=migrating,
            surroundings=self._near(frame, migrating) & ~migrating,
        )

    def _near(self, frame: Atoms, migrating: np.ndarray) -> np.ndarray:
        """Return which atoms are near a migrating atom or an image of it, (N,) bool."""
        if not migrating.any():
            return np.zeros(len(frame), dtype=bool)
        _, distances = HostSites(frame[migrating]).nearest(frame.positions)
        return distances <= self.surroundings_radius
