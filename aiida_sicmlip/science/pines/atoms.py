"""Atoms in the coordination shells of a defect, on which its collective variables depend.

Shells around a defect of several sites are defined in one of two ways:

* `around="defect"` (default): by spheres around the centre of the defect. The n-th sphere is the smallest that contains
  the first n coordination shells of every site; shell n lies between the spheres n - 1 and n. A divacancy in 3C-SiC has
  6, 24 and 6 atoms in its first three shells; for a single site, these are its coordination shells.
* `around="sites"`: the shell of an atom is the nearest one in which it is for any of the sites: 6, 18 and 12 atoms for
  the divacancy. For sites that are far apart, whose common sphere would contain much of the crystal.

Shells are those of the perfect host; atoms keep their shell when they move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.geometry import find_mic

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.science.defects.crystals import coordination_shells, distances_from
from aiida_sicmlip.science.defects.hops import find_defect_sites
from aiida_sicmlip.science.defects.host_sites import HostSites
from aiida_sicmlip.science.pines.layout import PivLayout
from aiida_sicmlip.science.pines.settings import AROUND

# Tolerance of distances from the centre of a defect, A: sites that are equivalent by symmetry are at equal distances.
_SAME_DISTANCE = 0.05
_Sites = Sequence[Mapping[str, Any]]
# Index of the site in the host (-1 for interstitials), and species, of each atom.
_Occupants = tuple[np.ndarray, list[str]]


@dataclass(frozen=True)
class DefectAtoms:
    """Atoms near a defect, in ascending order.

    indices: in the structure with the defect.
    species: chemical symbols.
    shells: shell of each atom; 0 for antisites, which are on a site of the defect, and interstitials.
    """

    indices: tuple[int, ...]
    species: tuple[str, ...]
    shells: tuple[int, ...]

    @property
    def groups(self) -> dict[str, list[int]]:
        """Indices of the atoms of each species and shell, by names such as `Si1`."""
        groups: dict[str, list[int]] = {}
        for index, symbol, shell in zip(self.indices, self.species, self.shells, strict=True):
            groups.setdefault(f"{symbol}{shell}", []).append(index)
        return dict(sorted(groups.items()))

    @property
    def layout(self) -> PivLayout:
        """Layout of the permutation invariant vector of these atoms."""
        return PivLayout.from_groups(self.groups)


def choose_atoms(host: Atoms, sites: _Sites, shells: int = 2, around: str = "defect") -> DefectAtoms:
    """Return the atoms in the first `shells` coordination shells of a defect.

    :param host: the perfect crystal.
    :param sites: all changed sites of the simulated structure, as in
        :class:`~aiida_sicmlip.science.defects.building.DefectStructure` (`site`, `replaced_by`); all are needed, since
        vacancies shift the indices of atoms.
    :param around: `defect` or `sites`; see the module.
    :raises InputError: if a site or `around` is unknown, or there are fewer than two atoms.
    """
    return _atoms_in_shells(_occupants(host, sites), host, sites, range(shells + 1), around)


def atoms_of_shell(host: Atoms, sites: _Sites, shell: int = 3, around: str = "defect") -> DefectAtoms:
    """Return the atoms of one shell, such as the third, whose restraint keeps a defect of several sites together.

    Parameters are those of :func:`choose_atoms`; for the same `around`, the shells of the two are disjoint.

    :raises InputError: as there, and if the cell has no atom in the shell.
    """
    return _atoms_in_shells(_occupants(host, sites), host, sites, range(shell, shell + 1), around)


def choose_atoms_of_structure(structure: Atoms, host: Atoms, shells: int = 2, around: str = "defect") -> DefectAtoms:
    """Return the result of :func:`choose_atoms` for any structure in the host's cell, with atoms in any order.

    The defect is found by :func:`~aiida_sicmlip.science.defects.hops.find_defect_sites`. Interstitials are in shell 0;
    if they are the only defects, shells are counted around the sites nearest to them.

    :raises InputError: as these functions, and if the structure has no defect.
    """
    return _atoms_in_shells(*_defect_of_structure(structure, host), range(shells + 1), around)


def atoms_of_shell_of_structure(structure: Atoms, host: Atoms, shell: int = 3, around: str = "defect") -> DefectAtoms:
    """Return the result of :func:`atoms_of_shell` for any structure in the host's cell, with atoms in any order.

    :raises InputError: as :func:`choose_atoms_of_structure`, and if the cell has no atom in the shell.
    """
    return _atoms_in_shells(*_defect_of_structure(structure, host), range(shell, shell + 1), around)


def _defect_of_structure(structure: Atoms, host: Atoms) -> tuple[_Occupants, Atoms, _Sites]:
    """Return site and species of each atom, the host, and the sites of the defect: arguments of `_atoms_in_shells`."""
    defect = find_defect_sites(structure, host)
    sites: _Sites = defect.sites
    if not sites and defect.interstitials:
        crystal = HostSites(host)
        fractional = crystal.fractional_of(structure.positions[defect.interstitials], structure.cell.array)
        nearest_sites, *_ = crystal.nearest(fractional @ crystal.cell - defect.drift)
        sites = [{"site": int(site)} for site in np.unique(nearest_sites)]
    if not sites:
        raise InputError(
            "The structure has no defect; shells are counted around vacancies, antisites and interstitials."
        )
    return (defect.site_of_atom, structure.get_chemical_symbols()), host, sites


def _atoms_in_shells(occupants: _Occupants, host: Atoms, sites: _Sites, wanted: range, around: str) -> DefectAtoms:
    """Return the atoms of the wanted shells: from 0 for :func:`choose_atoms`, one for :func:`atoms_of_shell`."""
    last = wanted.stop - 1
    shell_of_site = _shells_of_sites(host, sites, last, around)
    # Interstitials, whose site is -1, are part of the defect.
    shells = [0 if site < 0 else shell_of_site.get(int(site), -1) for site in occupants[0]]
    chosen = [atom for atom, shell in enumerate(shells) if shell in wanted]
    if wanted.start and not chosen:
        raise InputError(f"Coordination shell {last} of the defect has no atom in this cell; use a larger cell.")
    if len(chosen) < 2 and not wanted.start:
        raise InputError(f"{last} shells contain {len(chosen)} atoms; use more shells or a larger cell.")
    return DefectAtoms(
        indices=tuple(chosen),
        species=tuple(occupants[1][atom] for atom in chosen),
        shells=tuple(shells[atom] for atom in chosen),
    )


def _shells_of_sites(host: Atoms, sites: _Sites, count: int, around: str) -> dict[int, int]:
    """Return the shell of each site of the host that is in one of the shells 0 to `count`."""
    if around not in AROUND:
        raise InputError(f"`around` is {around!r}. {nearest_name(str(around), AROUND)}")
    # In ascending order, so that the images of sites that are far apart do not depend on the order of `sites`.
    centres = sorted({_nearest_site(host, site) for site in _changed_sites(sites)})
    if not centres:
        raise InputError("`sites` is empty; collective variables need the sites of a defect.")
    shells_of = {centre: coordination_shells(host, centre, count) for centre in centres}
    shell_of_site: dict[int, int] = dict.fromkeys(centres, 0)
    if around == "sites":
        for shell in range(1, count + 1):
            for centre in centres:
                for site in shells_of[centre][shell - 1].indices:
                    shell_of_site.setdefault(site, shell)
        return shell_of_site

    relative = host.positions[centres] - host.positions[centres[0]]
    relative, _ = find_mic(relative, host.cell, host.pbc)
    middle = host.positions[centres[0]] + relative.mean(axis=0)
    extent = float(np.linalg.norm(relative - relative.mean(axis=0), axis=1).max())
    distances = distances_from(host, middle)
    for shell in range(1, count + 1):
        radius = extent + max(shells[shell - 1].outer for shells in shells_of.values())
        for index in np.flatnonzero(distances <= radius + _SAME_DISTANCE):
            shell_of_site.setdefault(int(index), shell)
    return shell_of_site


def _occupants(host: Atoms, sites: _Sites) -> _Occupants:
    """Return site and species of each atom of the host after these changes; interstitials, with site -1, are last."""
    added = [site["replaced_by"] for site in sites if _is_interstitial(site)]
    replaced = {site["site"]: site["replaced_by"] for site in sites if not _is_interstitial(site)}
    symbols = [replaced.get(index, symbol) for index, symbol in enumerate(host.get_chemical_symbols())]
    occupied = [index for index, symbol in enumerate(symbols) if symbol is not None]
    return np.array(occupied + [-1] * len(added), dtype=int), [
        symbol for symbol in symbols if symbol is not None
    ] + added


def _is_interstitial(site: Mapping[str, Any]) -> bool:
    return site.get("kind") == "interstitial"


def _changed_sites(sites: _Sites) -> _Sites:
    """Return the vacancies and antisites, around which shells are counted; the interstitials if there are none."""
    return [site for site in sites if not _is_interstitial(site)] or sites


def _nearest_site(host: Atoms, site: Mapping[str, Any]) -> int:
    """Return the index of a changed site; for an interstitial, of the site nearest to it."""
    if site.get("site") is not None:
        return int(site["site"])
    return int(distances_from(host, np.array(site["position"])).round(3).argmin())
