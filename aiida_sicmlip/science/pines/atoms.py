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
from aiida_sicmlip.science.crystals import coordination_shells, distances_from
from aiida_sicmlip.science.pines.layout import PivLayout

AROUND = ("defect", "sites")
# Distances that differ by less than this (A) are equal; shells of 3C-SiC are half an angstrom apart or more.
_SAME_DISTANCE = 0.05


@dataclass(frozen=True)
class DefectAtoms:
    """Atoms near a defect, in ascending order: indices in the structure with the defect, species and shells.

    Shell 0 is that of atoms on the defect's own sites, which antisites have.
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


def choose_atoms(
    host: Atoms, sites: Sequence[Mapping[str, Any]], shells: int = 2, around: str = "defect"
) -> DefectAtoms:
    """Return the atoms within the first `shells` coordination shells of a defect.

    :param host: the perfect crystal.
    :param sites: the changed sites of one defect, as :class:`~aiida_sicmlip.science.defects.DefectStructure` lists them
        (`site`, `replaced_by`); all sites of the structure that is simulated, since vacant ones shift indices.
    :raises InputError: when a site or `around` is unknown, or fewer than two atoms are found.
    """
    found = _by_shell(host, sites, shells, around)
    chosen = _in_structure(host, sites, {atom: shell for atom, shell in found.items() if shell <= shells})
    if len(chosen.indices) < 2:
        raise InputError(f"{shells} shells hold {len(chosen.indices)} atoms: use more shells or a larger cell.")
    return chosen


def atoms_of_shell(
    host: Atoms, sites: Sequence[Mapping[str, Any]], shell: int = 3, around: str = "defect"
) -> DefectAtoms:
    """Return the atoms of one shell: the third is what restraints hold in place, so that a defect stays together.

    Arguments as those of :func:`choose_atoms`; with the same `around` no atom of a nearer shell is among them.

    :raises InputError: as there, and when the cell has no atom in the shell.
    """
    found = _by_shell(host, sites, shell, around)
    chosen = _in_structure(host, sites, {atom: number for atom, number in found.items() if number == shell})
    if not chosen.indices:
        raise InputError(f"Coordination shell {shell} of the defect holds no atom of this cell: use a larger cell.")
    return chosen


def _by_shell(host: Atoms, sites: Sequence[Mapping[str, Any]], count: int, around: str) -> dict[int, int]:
    """Return the shell, from 0 to `count`, of each atom of the host that has one."""
    if around not in AROUND:
        raise InputError(f"`around` is {around!r}. {nearest_name(str(around), AROUND)}")
    numbers = [site["site"] for site in sites]
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
        radius = extent + max(shells[shell - 1].distance for shells in shells_of.values())
        for index in np.flatnonzero(distances <= radius + _SAME_DISTANCE):
            found.setdefault(int(index), shell)
    return found


def _in_structure(host: Atoms, sites: Sequence[Mapping[str, Any]], shells: Mapping[int, int]) -> DefectAtoms:
    """Return atoms of the host by their indices in the structure with the defect, which lacks the vacant ones."""
    replaced = {site["site"]: site["replaced_by"] for site in sites}
    vacant = np.array(sorted(site for site, symbol in replaced.items() if symbol is None))
    kept = [atom for atom in sorted(shells) if replaced.get(atom, "") is not None]
    return DefectAtoms(
        indices=tuple(atom - int(np.count_nonzero(vacant < atom)) for atom in kept),
        species=tuple(str(replaced.get(atom, host.symbols[atom])) for atom in kept),
        shells=tuple(shells[atom] for atom in kept),
    )
