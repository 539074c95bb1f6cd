"""Regions of the atoms of labelled frames: distance from the nearest defect, and region of a rare event.

A defect is a site that is vacant or holds another species, or an atom without a site, as identified by
:func:`~aiida_sicmlip.science.defects.hops.find_defect_sites`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.host_sites import HostSites, first_host_that_fits
from aiida_sicmlip.science.defects.migrating_atoms import REGIONS, DefectFinder, FrameDefects

UNKNOWN = -1
"""Region of the atoms of frames that fit no host."""


@dataclass(frozen=True)
class AtomRegions:
    """Regions of the A atoms of F frames.

    region: index in :data:`~aiida_sicmlip.science.defects.migrating_atoms.REGIONS` of each atom, (A,) int;
        :data:`UNKNOWN` where the frame fits no host.
    distance: from the nearest defect or an image of it, (A,) A; not a number where the frame fits no host or has no
        defect.
    near: within :data:`~aiida_sicmlip.science.defects.host_sites.NEAR_DEFECT` of a defect, (A,) bool.
    hosts: name of the host that each frame fits, None where it fits none.
    """

    region: np.ndarray
    distance: np.ndarray
    near: np.ndarray
    hosts: list[str | None]

    @property
    def n_without_host(self) -> int:
        """The number of frames that fit no host."""
        return self.hosts.count(None)

    @property
    def known(self) -> np.ndarray:
        """The atoms of frames that fit a host, (A,) bool."""
        return np.asarray(self.region != UNKNOWN)

    @property
    def of_rare_events(self) -> dict[str, np.ndarray]:
        """The atoms of each of the regions of a rare event, (A,) bool."""
        return {name: self.region == place for place, name in enumerate(REGIONS)}

    @property
    def by_distance(self) -> dict[str, np.ndarray]:
        """The atoms near a defect, and all others with a host, the bulk."""
        return {"near_defect": self.near, "bulk": self.known & ~self.near}


def regions_of_frames(frames: Sequence[Atoms], hosts: Mapping[str, Atoms]) -> AtomRegions:
    """Return the regions of the atoms of frames; each frame is compared with the first host that it fits.

    Costs on one core: 6 ms a frame of 214 atoms with a divacancy, 7 ms more where an atom is migrating.

    :param hosts: perfect crystals by name.
    :raises InputError: when a host is no crystal.
    """
    finders = {name: DefectFinder(host) for name, host in hosts.items()}
    regions, distances, near = [np.empty(0, dtype=int)], [np.empty(0)], [np.empty(0, dtype=bool)]
    fitted: list[str | None] = []
    for frame in frames:
        try:
            name, defects = first_host_that_fits(finders, frame, DefectFinder.find)
        except InputError:
            fitted.append(None)
            regions.append(np.full(len(frame), UNKNOWN))
            distances.append(np.full(len(frame), np.nan))
            near.append(np.zeros(len(frame), dtype=bool))
            continue
        fitted.append(name)
        regions.append(np.argmax(list(defects.regions.values()), axis=0))
        distances.append(distances_from_defects(frame, finders[name], defects))
        near.append(distances[-1] <= finders[name].sites.near_defect)
    return AtomRegions(np.concatenate(regions), np.concatenate(distances), np.concatenate(near), fitted)


def distances_from_defects(frame: Atoms, finder: DefectFinder, defects: FrameDefects) -> np.ndarray:
    """Return the distance of each atom from the nearest defect or an image of it, (N,) in A of the frame's cell.

    Changed sites are at the positions of the sites, moved with the crystal, interstitials at those of the atoms. NaN
    where there is no defect.
    """
    sites = finder.sites
    changed = [*defects.vacancies, *defects.antisites, *defects.substitutions]
    places = (sites.fractional[changed] + defects.assignment.drift @ np.linalg.inv(sites.cell)) @ frame.cell.array
    places = np.concatenate([places, frame.positions[defects.interstitials]])
    if not len(places):
        return np.full(len(frame), np.nan)
    # The species is arbitrary: these are points.
    points = HostSites(Atoms(f"X{len(places)}", places, cell=frame.cell, pbc=True))
    return points.nearest(frame.positions)[1]
