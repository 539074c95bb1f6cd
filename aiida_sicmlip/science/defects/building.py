"""Point defects placed in a host crystal: vacancies, antisites, substitutions, interstitials, and complexes of them.

A defect description is a conventional name or a mapping of plain values. Names, as text or under `name` in a mapping:

* `V_C`: a vacancy. `C_Si`: an antisite. `N_C`: a substitution by any element.
* `H_i`: an interstitial, with `position` and its options beside `name`, or `H_i(bond_centred)`.
* `VV`: a divacancy.
* `V_C(k)`, `N_C(h)`: on a cubic or a hexagonal site, of hosts that have both. `VV(hk)`: the site of the first species
  of the host (Si in SiC) before that of the second.
* `V_Si-N_C`: the parts of a complex, each in the first coordination shell of the first.

Mappings have more options. `kind` selects the defect; all but `interstitial` and `complex` are short forms of the
latter:

* `{kind: vacancy, species: Si}`: an atom is removed.
* `{kind: antisite, species: Si, on: C}`, `{kind: substitution, species: N, on: C}`: an atom is replaced.
* `{kind: interstitial, species: H, position: bond_centred}`: an atom is added on a site named in
  :mod:`~aiida_sicmlip.science.defects.interstitial_sites`; `cage` goes with `position: tetrahedral`. `fractional` (of
  the host's cell) or `cartesian` (A) gives the position in numbers instead.
* `{kind: interstitial, species: Si, position: split, direction: [1, 1, 0]}`: the added atom shares a site with an atom
  of the species `on` (its own by default), which is displaced by the opposite vector. `direction` is from the host's
  atom to the added one, along the Cartesian axes: the cubic ones of zincblende and diamond; in wurtzite a is x and c is
  z. `separation` (A) is by default the sum of the covalent radii.
* `{kind: divacancy, species: [Si, C], shell: 1}`: two atoms are removed, the second in the given coordination shell of
  the first. By default the species are the host's, in the order of its atoms, and the shell is the first.
* `{kind: vacancy_antisite, vacancy: C, species: C, on: Si, shell: 1}`: a vacancy of C, and C on a Si site around it.
* `{kind: complex, parts: [{vacancy: Si}, {vacancy: C, shell: 1}, {antisite: C, on: Si, shell: 2}, {interstitial: H,
  position: hexagonal}]}`: any number of parts, of which the first occupies a site. `shell` (default 1) is that of the
  part around the first part; interstitial sites are counted by their own shells.

Placement, for all kinds:

* `site`: index of the host's atom whose site the first part occupies; or `h` or `k` (`k1` and `k2` in 6H, see
  :mod:`~aiida_sicmlip.science.defects.polytypes`) where only such sites are allowed. Two of these, in the order of
  `species`, for a divacancy; one for each part of a complex.
* `placement: nearest` (default): the free site nearest to the defects placed before; the very first defect is placed at
  the site nearest to the centre of the cell. `placement: shell` with `placement_shell: n`: a site in the n-th
  coordination shell of the first part of the defect placed before (for a vacancy, an antisite or a substitution `shell`
  may be written for `placement_shell`). `placement: random`: any site, drawn with the seed.
* `count` (default 1): number of defects of this kind.
* `min_distance` (A, default 0): minimum distance of the sites of the defect from those of all earlier defects.

Among equally near sites the first in the order of the host is taken, with random placement a random one. Distances are
to the nearest periodic image in the perfect host, before anything is removed or added.

Order of atoms: those of the host in its order, without the removed ones and with the substituted ones at their indices;
then the interstitials in order of placement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from ase.geometry import find_mic

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.crystals import SHELL_GAP, coordination_shells, nearest_distance
from aiida_sicmlip.science.defects.descriptions import Defect, DescribedHost, Part, read_defect
from aiida_sicmlip.science.defects.interstitial_sites import interstitial_sites

# Random placements are drawn again when an early choice leaves no free site for a later one.
_RANDOM_TRIES = 200
# Distances that differ by less than this (A) are equal: symmetry-equivalent distances differ by rounding.
_SAME_DISTANCE = 1e-4


@dataclass(frozen=True)
class DefectStructure:
    """A structure with defects, and their sites.

    atoms: the structure, its atoms in the order of the module's docstring.
    sites: one dict for each changed site and added atom, in order of placement, of plain values: `defect` (number of
        the defect from 0), `defect_kind`, `kind` (`vacancy`, `antisite`, `substitution` by a species that the host does
        not have, or `interstitial`), `site` (index in the host, None between sites), `species` (of the host's atom,
        None between sites), `replaced_by` (the new species, None for a vacancy) and `position` (three numbers in A; of
        a split interstitial that of the added atom).
    """

    atoms: Atoms
    sites: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class _Place:
    """Position of a part of a defect: the index of its site (None between sites), and the position in the host in A."""

    part: Part
    site: int | None
    position: np.ndarray


# A defect with the positions of its parts in the host.
_Placed = tuple[Defect, list[_Place]]


class _NoRoom(Exception):
    """No site satisfies a description with the defects placed so far."""


def build_defects(host: Atoms, defects: Sequence[Mapping[str, Any] | str], seed: int) -> DefectStructure:
    """Place defects, described as in the module's docstring, in a host one after the other.

    :param host: any crystal; it is not modified. Named interstitial sites, `h` and `k` need four bonds at each atom.
    :param seed: of the generator (PCG64) that random placements draw from.
    :raises InputError: when a description is invalid, a site is used twice, or no free site is left.
    """
    described = DescribedHost(host)
    checked = [read_defect(description, f"defects[{number}]", described) for number, description in enumerate(defects)]
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"`seed` is {seed!r}: give a whole number from 0.")
    placement = _Placement(described, np.random.Generator(np.random.PCG64(seed)))
    random = any(defect.placement == "random" and defect.site is None for defect in checked)
    tries = _RANDOM_TRIES if random else 1
    for left in reversed(range(tries)):
        try:
            return _applied(host, placement.place_all(checked))
        except _NoRoom as exception:
            if not left:
                tried = f" in {tries} tries" if random else ""
                raise InputError(f"{exception} No site was found{tried}.") from None
    raise AssertionError("unreachable")  # pragma: no cover


class _Placement:
    """Places checked defects in a host; distances in the host are computed once for all attempts.

    The candidate positions of a part are numbered: sites by the host's atoms, interstitial sites in the order in which
    :func:`~aiida_sicmlip.science.defects.interstitial_sites.interstitial_sites` returns them.
    """

    def __init__(self, host: DescribedHost, generator: np.random.Generator) -> None:
        self._described = host
        self._host = host.atoms
        self._generator = generator
        self._distances: dict[tuple[str | None, str | None, bytes], np.ndarray] = {}
        self._named: dict[tuple[str, str | None], np.ndarray] = {}
        self._shells: dict[tuple[int, int], tuple[int, ...]] = {}

    def place_all(self, defects: Sequence[Defect]) -> list[_Placed]:
        """Return the positions of the parts of every defect, in order of placement.

        :raises _NoRoom: when there is no free site for a defect.
        """
        placed: list[_Placed] = []
        for defect in defects:
            for _ in range(defect.count):
                placed.append((defect, self._place(defect, placed)))
        return placed

    def _place(self, defect: Defect, placed: Sequence[_Placed]) -> list[_Place]:
        """Return the positions of the parts of one defect, first part first."""
        used = [place for _, places in placed for place in places]
        head = defect.parts[0]
        free = self._is_free(head, defect, used)
        for first in self._first_places(defect, placed, used):
            if free[first]:
                places = self._whole_defect(defect, first, used)
                if places is not None:
                    return places
            elif defect.site is not None and first in [place.site for place in used]:
                raise InputError(f"`{defect.label}.site` is {first}, which an earlier defect has taken: give another.")
        distance = f" at least {defect.min_distance} A from all others" if defect.min_distance else ""
        raise _NoRoom(
            f"`{defect.label}` ({defect.kind}) finds no free site{distance} in a host of {len(self._host)} atoms with "
            f"{len(used)} sites changed already: use a larger cell, fewer defects or a smaller `min_distance`."
        )

    def _first_places(self, defect: Defect, placed: Sequence[_Placed], used: Sequence[_Place]) -> list[int]:
        """Return the numbers of the positions allowed for the first part, in the order in which to try them."""
        if defect.site is not None:
            return [defect.site]
        head = defect.parts[0]
        points = self._points(head)
        candidates = self._described.sites(head) if head.takes_site else np.arange(len(points))
        if defect.placement == "random":
            return [int(place) for place in self._generator.permutation(candidates)]
        if placed and defect.placement_shell is not None:
            around = placed[-1][1][0]
            if around.site is None:
                raise InputError(f"`{defect.label}` counts shells around an interstitial, which has no site.")
            return self._in_shell(defect.label, around.site, replace(head, shell=defect.placement_shell))
        centre = self._host.cell.array.sum(axis=0) / 2
        measure = self._clearance(head, used) if placed else self._distances_from(head, centre)
        # Rounded, so that the stable sort puts the lowest index first among equal distances.
        steps = np.round(measure[candidates] / _SAME_DISTANCE)
        return [int(place) for place in candidates[np.argsort(steps, kind="stable")]]

    def _whole_defect(self, defect: Defect, first: int, used: Sequence[_Place]) -> list[_Place] | None:
        """Return the positions of all parts around a first one; None when there is no free site for one of them."""
        places = [self._at(defect.parts[0], first)]
        for part in defect.parts[1:]:
            free = self._is_free(part, defect, used)
            taken = self._clearance(part, places) < _SAME_DISTANCE
            candidates = [place for place in self._around(defect, places[0], part) if free[place] and not taken[place]]
            if not candidates:
                return None
            randomly = defect.placement == "random"
            chosen = int(self._generator.choice(candidates)) if randomly else candidates[0]
            places.append(self._at(part, chosen))
        return places

    def _around(self, defect: Defect, first: _Place, part: Part) -> list[int]:
        """Return the numbers of the positions of a part in its shell around the first part of a defect.

        :raises InputError: when there are none.
        """
        if part.takes_site and first.site is not None:
            return self._in_shell(defect.label, first.site, part)
        if part.point is not None:
            return [0]
        distances = self._distances_from(part, first.position)
        order = np.argsort(np.round(distances / _SAME_DISTANCE), kind="stable")
        gaps = np.diff(distances[order], prepend=distances[order[0]]) > SHELL_GAP * nearest_distance(self._host)
        members = order[np.cumsum(gaps) == part.shell - 1]
        if not len(members):
            raise InputError(f"`{defect.label}` wants shell {part.shell} of sites that this cell has no such shell of.")
        return sorted(int(member) for member in members)

    def _in_shell(self, label: str, site: int, part: Part) -> list[int]:
        """Return the sites allowed for a part in its shell around a site.

        :raises InputError: when there are none.
        """
        if (site, part.shell) not in self._shells:
            self._shells[site, part.shell] = coordination_shells(self._host, site, part.shell)[-1].indices
        chosen = [index for index in self._shells[site, part.shell] if self._described.allows(part, index)]
        if not chosen:
            raise InputError(_wrong_shell(self._described, label, site, part))
        return chosen

    def _at(self, part: Part, place: int) -> _Place:
        return _Place(part, place if part.takes_site else None, self._points(part)[place])

    def _points(self, part: Part) -> np.ndarray:
        """Return all positions of the kind of site that a part occupies, (K, 3) in A."""
        if part.takes_site:
            return np.asarray(self._host.positions)
        if part.point is not None:
            return part.point[None]
        key = (str(part.position), part.cage)
        if key not in self._named:
            self._named[key] = interstitial_sites(self._host, *key)
        return self._named[key]

    def _is_free(self, part: Part, defect: Defect, used: Sequence[_Place]) -> np.ndarray:
        """Return which positions of a part are at least `min_distance` from earlier defects, (K,) bool."""
        least = max(defect.min_distance - _SAME_DISTANCE, _SAME_DISTANCE)
        return np.asarray(self._clearance(part, used) >= least)

    def _clearance(self, part: Part, used: Sequence[_Place]) -> np.ndarray:
        """Return the distance of each position of a part from the nearest occupied one, (K,) in A."""
        clearance = np.full(len(self._points(part)), np.inf)
        for place in used:
            clearance = np.minimum(clearance, self._distances_from(part, place.position))
        return clearance

    def _distances_from(self, part: Part, position: np.ndarray) -> np.ndarray:
        """Return the distance of each position of a part from a point, (K,) in A."""
        points = self._points(part)
        if part.point is not None:
            return np.asarray(find_mic(points - position, self._host.cell, self._host.pbc)[1])
        key = (None if part.takes_site else part.position, part.cage, np.asarray(position).tobytes())
        if key not in self._distances:
            self._distances[key] = np.asarray(find_mic(points - position, self._host.cell, self._host.pbc)[1])
        return self._distances[key]


def _applied(host: Atoms, placed: Sequence[_Placed]) -> DefectStructure:
    """Return the host with the placed defects."""
    atoms = host.copy()
    added = Atoms(cell=host.cell, pbc=host.pbc)
    sites: list[dict[str, Any]] = []
    for number, (defect, places) in enumerate(placed):
        for place in places:
            part, site, position = place.part, place.site, place.position
            if part.axis is not None:
                position = position + part.axis
                atoms.positions[site] -= part.axis
            sites.append(
                {
                    "defect": number,
                    "defect_kind": defect.kind,
                    "kind": part.kind,
                    "site": site,
                    "species": part.species,
                    "replaced_by": part.added,
                    "position": [float(x) for x in position],
                }
            )
            if part.kind == "interstitial":
                added += Atoms(part.added, [position])
            elif part.added is not None:
                atoms.numbers[site] = atomic_numbers[part.added]
                if "masses" in atoms.arrays:
                    atoms.arrays["masses"][site] = atomic_masses[atomic_numbers[part.added]]
    vacant = sorted(site["site"] for site in sites if site["kind"] == "vacancy")
    if len(vacant) == len(atoms):
        raise InputError("`defects` removes every atom of the host: use a larger cell or fewer vacancies.")
    del atoms[vacant]
    return DefectStructure(atoms + added if len(added) else atoms, sites)


def _wrong_shell(host: DescribedHost, label: str, site: int, part: Part) -> str:
    """Return the message for a shell without the required sites, with the shells that have them."""

    def named(index: int) -> str:
        kind = host.site_labels[index] if part.site_label else ""
        return f"{host.symbols[index]} ({kind})" if kind else host.symbols[index]

    shells = coordination_shells(host.atoms, site, max(8, part.shell))
    symbols_of_shell = {
        number: sorted({named(index) for index in shell.indices}) for number, shell in enumerate(shells, start=1)
    }
    good = [
        str(number)
        for number, shell in enumerate(shells, start=1)
        if any(host.allows(part, index) for index in shell.indices)
    ]
    wanted = f"{part.species} ({part.site_label})" if part.site_label else part.species
    here = ", ".join(symbols_of_shell[part.shell]) or "only images of atoms that are nearer elsewhere"
    advice = f"{wanted} is in shells {', '.join(good)}." if good else "Use a larger cell."
    return (
        f"`{label}` wants {wanted} in coordination shell {part.shell} of the {named(site)} atom {site}, which holds "
        f"{here}. {advice}"
    )
