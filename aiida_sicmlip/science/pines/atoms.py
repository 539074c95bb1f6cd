"""Which atoms the collective variables of a defect see: those in the coordination shells of its sites.

Two ways of counting shells around a defect of several sites:

* `around="defect"` (default): spheres around the defect's centre. The n-th sphere is the smallest that holds the first
  n coordination shells of every site, shell n is what lies between two spheres. A divacancy in 3C-SiC has 6, 24 and 6
  atoms in its first three shells; a single site has its own coordination shells.
* `around="sites"`: each atom belongs to the nearest shell that any of the sites finds it in: 6, 18 and 12 for the
  divacancy. For sites that are far from each other, whose common sphere would hold much of the crystal.

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

# Distances from a defect's centre that differ by less than this (A) are equal: those of a crystal are so by symmetry.
_SAME_DISTANCE = 0.05
_Sites = Sequence[Mapping[str, Any]]
# The site in the host and the species of each atom.
_Occupants = tuple[np.ndarray, list[str]]


@dataclass(frozen=True)
class DefectAtoms:
    """Atoms near a defect, in ascending order: indices in the structure with the defect, species and shells.

    Shell 0 is that of atoms on the defect's own sites, which antisites have, and of interstitials.
    """

    indices: tuple[int, ...]
    species: tuple[str, ...]
    shells: tuple[int, ...]

    @property
    def groups(self) -> dict[str, list[int]]:
        """Atoms of one species and shell, by names such as `Si1`."""
        found: dict[str, list[int]] = {}
        for index, symbol, shell in zip(self.indices, self.species, self.shells, strict=True):
            found.setdefault(f"{symbol}{shell}", []).append(index)
        return dict(sorted(found.items()))

    @property
    def layout(self) -> PivLayout:
        """The layout of the permutation invariant vector of these atoms."""
        return PivLayout.from_groups(self.groups)


def choose_atoms(host: Atoms, sites: _Sites, shells: int = 2, around: str = "defect") -> DefectAtoms:
    """Return the atoms within the first `shells` coordination shells of a defect.

    :param host: the perfect crystal.
    :param sites: the changed sites of one defect, as :class:`~aiida_sicmlip.science.defects.building.DefectStructure`
        lists them (`site`, `replaced_by`); all sites of the structure that is simulated, since vacant ones shift
        indices.
    :raises InputError: when a site or `around` is unknown, or fewer than two atoms are found.
    """
    return _choose(_built(host, sites), host, sites, range(shells + 1), around)


def atoms_of_shell(host: Atoms, sites: _Sites, shell: int = 3, around: str = "defect") -> DefectAtoms:
    """Return the atoms of one shell: the third is what restraints hold in place, so that a defect stays together.

    Arguments as those of :func:`choose_atoms`; with the same `around` no atom of a nearer shell is among them.

    :raises InputError: as there, and when the cell has no atom in the shell.
    """
    return _choose(_built(host, sites), host, sites, range(shell, shell + 1), around)


def choose_atoms_of_structure(structure: Atoms, host: Atoms, shells: int = 2, around: str = "defect") -> DefectAtoms:
    """Return what :func:`choose_atoms` does for any structure of the host's cell, with atoms in any order.

    The defect is found by :func:`~aiida_sicmlip.science.defects.hops.find_defect_sites`; interstitials count to shell
    0, and shells are counted around the sites nearest to them where no site is changed.

    :raises InputError: as both, and when the structure has no defect.
    """
    return _choose(*_found(structure, host), range(shells + 1), around)


def atoms_of_shell_of_structure(structure: Atoms, host: Atoms, shell: int = 3, around: str = "defect") -> DefectAtoms:
    """Return what :func:`atoms_of_shell` does for any structure of the host's cell, with atoms in any order.

    :raises InputError: as :func:`choose_atoms_of_structure`, and when the cell has no atom in the shell.
    """
    return _choose(*_found(structure, host), range(shell, shell + 1), around)


def _found(structure: Atoms, host: Atoms) -> tuple[_Occupants, Atoms, _Sites]:
    """Return what :func:`_choose` needs to know of a structure."""
    found = find_defect_sites(structure, host)
    sites: _Sites = found.sites
    if not sites and found.interstitials:
        crystal = HostSites(host)
        places = crystal.fractional_of(structure.positions[found.interstitials], structure.cell.array) @ crystal.cell
        sites = [{"site": int(site)} for site in np.unique(crystal.nearest(places - found.drift)[0])]
    if not sites:
        raise InputError(
            "The structure has no defect: shells are counted around vacant and replaced sites and interstitials."
        )
    return (found.site_of_atom, structure.get_chemical_symbols()), host, sites


def _choose(occupants: _Occupants, host: Atoms, sites: _Sites, wanted: range, around: str) -> DefectAtoms:
    """Return the atoms of the wanted shells: from 0 for :func:`choose_atoms`, one for :func:`atoms_of_shell`."""
    last = wanted.stop - 1
    shell_of_site = _by_shell(host, sites, last, around)
    # Interstitials, whose site is -1, are part of the defect.
    shells = [0 if site < 0 else shell_of_site.get(int(site), -1) for site in occupants[0]]
    chosen = [atom for atom, shell in enumerate(shells) if shell in wanted]
    if wanted.start and not chosen:
        raise InputError(f"Coordination shell {last} of the defect holds no atom of this cell: use a larger cell.")
    if len(chosen) < 2 and not wanted.start:
        raise InputError(f"{last} shells hold {len(chosen)} atoms: use more shells or a larger cell.")
    return DefectAtoms(
        indices=tuple(chosen),
        species=tuple(occupants[1][atom] for atom in chosen),
        shells=tuple(shells[atom] for atom in chosen),
    )


def _by_shell(host: Atoms, sites: _Sites, count: int, around: str) -> dict[int, int]:
    """Return the shell, from 0 to `count`, of each atom of the host that has one."""
    if around not in AROUND:
        raise InputError(f"`around` is {around!r}. {nearest_name(str(around), AROUND)}")
    # Ascending, so that their order does not decide which images of sites that are far apart go together.
    numbers = sorted({_own_site(host, site) for site in _centres(sites)})
    if not numbers:
        raise InputError("`sites` is empty: collective variables need the sites of a defect.")
    shells_of = {number: coordination_shells(host, number, count) for number in numbers}
    found: dict[int, int] = dict.fromkeys(numbers, 0)
    if around == "sites":
        for shell in range(1, count + 1):
            for number in numbers:
                for atom in shells_of[number][shell - 1].indices:
                    found.setdefault(atom, shell)
        return found

    relative = host.positions[numbers] - host.positions[numbers[0]]
    relative, _ = find_mic(relative, host.cell, host.pbc)
    centre = host.positions[numbers[0]] + relative.mean(axis=0)
    extent = float(np.linalg.norm(relative - relative.mean(axis=0), axis=1).max())
    distances = distances_from(host, centre)
    for shell in range(1, count + 1):
        radius = extent + max(shells[shell - 1].outer for shells in shells_of.values())
        for index in np.flatnonzero(distances <= radius + _SAME_DISTANCE):
            found.setdefault(int(index), shell)
    return found


def _built(host: Atoms, sites: _Sites) -> _Occupants:
    """Return the site and the species of each atom of the structure that these changes make of the host.

    Interstitials, with site -1, are the last.
    """
    added = [site["replaced_by"] for site in sites if _is_interstitial(site)]
    replaced = {site["site"]: site["replaced_by"] for site in sites if not _is_interstitial(site)}
    symbols = [replaced.get(index, symbol) for index, symbol in enumerate(host.get_chemical_symbols())]
    left = [index for index, symbol in enumerate(symbols) if symbol is not None]
    return np.array(left + [-1] * len(added), dtype=int), [symbol for symbol in symbols if symbol is not None] + added


def _is_interstitial(site: Mapping[str, Any]) -> bool:
    return site.get("kind") == "interstitial"


def _centres(sites: _Sites) -> _Sites:
    """Return the changed sites, around which shells are counted; where there are none, the interstitials."""
    return [site for site in sites if not _is_interstitial(site)] or sites


def _own_site(host: Atoms, site: Mapping[str, Any]) -> int:
    """Return the site of a change, for an interstitial between sites the one nearest to it."""
    if site.get("site") is not None:
        return int(site["site"])
    return int(distances_from(host, np.array(site["position"])).round(3).argmin())
