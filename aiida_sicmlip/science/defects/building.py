"""Point defects placed in a host crystal: vacancies, divacancies, antisites and sets of them.

A defect description is a mapping of plain values. `kind` chooses what is made; all but `complex` are short forms of it:

* `{kind: vacancy, species: Si}`: an atom is removed.
* `{kind: antisite, species: Si, on: C}`: a Si atom is put in the place of a C atom.
* `{kind: divacancy, species: [Si, C], shell: 1}`: two atoms are removed, the second in the given coordination shell of
  the first. Both values are the defaults.
* `{kind: vacancy_antisite, vacancy: C, species: C, on: Si, shell: 1}`: a vacancy of C, and C on a Si site around it.
* `{kind: complex, parts: [{vacancy: Si}, {vacancy: C, shell: 1}, {antisite: C, on: Si, shell: 2}]}`: any number of
  parts. `shell` (default 1) is that of the part around the first part.

Where defects go, for all kinds:

* `site`: index of the host's atom that the first part takes. Without it:
* `placement: nearest` (default): the free site nearest to the defects that are there already; the very first defect
  goes to the site nearest to the centre of the cell. `placement: shell` with `placement_shell: n`: a site in the n-th
  coordination shell of the first part of the defect placed before (for a vacancy or an antisite `shell` may be written
  for `placement_shell`). `placement: random`: any site, drawn with the seed.
* `count` (default 1): how many of this kind.
* `least_distance` (A, default 0): no site of the defect is nearer than this to a site of any earlier defect.

Among equally near sites the lowest index is taken, with random placement a random one. Distances are to the nearest
periodic image in the perfect host, before anything is removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.science.defects.crystals import coordination_shells, distances_from

PLACEMENTS = ("nearest", "shell", "random")
_KEYS_OF_PLACE = ("kind", "count", "placement", "placement_shell", "least_distance", "site")
_KEYS = {
    "vacancy": ("species", "shell"),
    "antisite": ("species", "on", "shell"),
    "divacancy": ("species", "shell"),
    "vacancy_antisite": ("vacancy", "species", "on", "shell"),
    "complex": ("parts",),
}
# Random sets are drawn anew when an early choice leaves no room for a later one.
_RANDOM_TRIES = 200
# Distances that differ by less than this (A) are equal: those of a crystal are so up to rounding.
_SAME_DISTANCE = 1e-4


@dataclass(frozen=True)
class DefectStructure:
    """A structure with defects, and where they are.

    atoms: the host without the vacant atoms and with the antisites' species; the order of the rest is kept.
    sites: one dict for each changed site, in order of placement, of plain values: `defect` (number of the defect from
        0), `defect_kind`, `kind` (`vacancy` or `antisite`), `site` (index in the host), `species` (of the host's atom),
        `replaced_by` (species, None for a vacancy) and `position` (three numbers, A).
    """

    atoms: Atoms
    sites: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class _Part:
    """One changed site of a defect: which species goes, what comes, and in which shell of the first part."""

    species: str
    replaced_by: str | None
    shell: int


@dataclass(frozen=True)
class _Defect:
    """One checked description."""

    label: str
    kind: str
    parts: tuple[_Part, ...]
    count: int
    placement: str
    placement_shell: int | None
    least_distance: float
    site: int | None


# A defect with its sites in the host, in the order of its parts.
_Placed = tuple[_Defect, list[int]]


class _NoRoom(Exception):
    """No site satisfies a description with the defects placed so far."""


def build_defects(host: Atoms, defects: Sequence[Mapping[str, Any]], seed: int) -> DefectStructure:
    """Place defects, described as in the module's text, in a host one after the other.

    :param host: any crystal; it is left as it is.
    :param seed: of the generator (PCG64) that random placements draw from.
    :raises InputError: when a description is wrong, a site is used twice, or there is no room.
    """
    checked = [_checked(description, f"defects[{number}]", host) for number, description in enumerate(defects)]
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"`seed` is {seed!r}: give a whole number from 0.")
    placement = _Placement(host, np.random.Generator(np.random.PCG64(seed)))
    random = any(defect.placement == "random" and defect.site is None for defect in checked)
    tries = _RANDOM_TRIES if random else 1
    for left in reversed(range(tries)):
        try:
            return _applied(host, placement.place_all(checked))
        except _NoRoom as exception:
            if not left:
                said = f" in {tries} tries" if random else ""
                raise InputError(f"{exception} No place was found{said}.") from None
    raise AssertionError("unreachable")  # pragma: no cover


class _Placement:
    """Places checked defects in a host; distances in the host are worked out once for all tries."""

    def __init__(self, host: Atoms, generator: np.random.Generator) -> None:
        self._host = host
        self._symbols = np.array(host.get_chemical_symbols())
        self._generator = generator
        self._distances: dict[int, np.ndarray] = {}
        self._shells: dict[tuple[int, int], tuple[int, ...]] = {}

    def place_all(self, defects: Sequence[_Defect]) -> list[_Placed]:
        """Return the sites of every defect, in order of placement.

        :raises _NoRoom: when a defect finds no place.
        """
        placed: list[_Placed] = []
        for defect in defects:
            for _ in range(defect.count):
                placed.append((defect, self._place(defect, placed)))
        return placed

    def _place(self, defect: _Defect, placed: Sequence[_Placed]) -> list[int]:
        """Return the sites of one defect, first part first."""
        used = [site for _, sites in placed for site in sites]
        # Distance of every atom of the host from the nearest site used so far.
        clearance = np.full(len(self._host), np.inf)
        for site in used:
            clearance = np.minimum(clearance, self._distances_from(site))
        free = clearance >= max(defect.least_distance - _SAME_DISTANCE, _SAME_DISTANCE)
        for first in self._first_sites(defect, placed, clearance):
            if free[first]:
                sites = self._whole_defect(defect, first, free)
                if sites is not None:
                    return sites
            elif first in used and defect.site is not None:
                raise InputError(f"`{defect.label}.site` is {first}, which an earlier defect has taken: give another.")
        distance = f" at least {defect.least_distance} A from all others" if defect.least_distance else ""
        raise _NoRoom(
            f"`{defect.label}` ({defect.kind}) finds no free site{distance} in a host of {len(self._host)} atoms with "
            f"{len(used)} sites changed already: use a larger cell, fewer defects or a smaller `least_distance`."
        )

    def _first_sites(self, defect: _Defect, placed: Sequence[_Placed], clearance: np.ndarray) -> list[int]:
        """Return the sites that the first part may take, in the order in which to try them."""
        if defect.site is not None:
            return [defect.site]
        candidates = np.flatnonzero(self._symbols == defect.parts[0].species)
        if defect.placement == "random":
            return [int(site) for site in self._generator.permutation(candidates)]
        if placed and defect.placement_shell is not None:
            part = _Part(defect.parts[0].species, None, defect.placement_shell)
            return self._in_shell(defect.label, placed[-1][1][0], part)
        centre = self._host.cell.array.sum(axis=0) / 2
        measure = clearance if placed else distances_from(self._host, centre)
        # Rounded, so that equal distances are equal and the stable sort leaves the lowest index first.
        steps = np.round(measure[candidates] / _SAME_DISTANCE)
        return [int(site) for site in candidates[np.argsort(steps, kind="stable")]]

    def _whole_defect(self, defect: _Defect, first: int, free: np.ndarray) -> list[int] | None:
        """Return the sites of all parts around a first site; None when one of them finds no free site."""
        sites = [first]
        for part in defect.parts[1:]:
            candidates = [
                index for index in self._in_shell(defect.label, first, part) if free[index] and index not in sites
            ]
            if not candidates:
                return None
            randomly = defect.placement == "random"
            sites.append(int(self._generator.choice(candidates)) if randomly else candidates[0])
        return sites

    def _in_shell(self, label: str, site: int, part: _Part) -> list[int]:
        """Return the atoms of a part's species in its shell around a site.

        :raises InputError: when there are none.
        """
        if (site, part.shell) not in self._shells:
            self._shells[site, part.shell] = coordination_shells(self._host, site, part.shell)[-1].indices
        chosen = [index for index in self._shells[site, part.shell] if self._symbols[index] == part.species]
        if not chosen:
            raise InputError(_wrong_shell(self._host, label, site, part))
        return chosen

    def _distances_from(self, site: int) -> np.ndarray:
        """Return the distance of every atom of the host from one of them."""
        if site not in self._distances:
            self._distances[site] = distances_from(self._host, self._host.positions[site])
        return self._distances[site]


def _applied(host: Atoms, placed: Sequence[_Placed]) -> DefectStructure:
    """Return the host with the placed defects made."""
    atoms = host.copy()
    sites: list[dict[str, Any]] = []
    for number, (defect, indices) in enumerate(placed):
        for part, index in zip(defect.parts, indices, strict=True):
            sites.append(
                {
                    "defect": number,
                    "defect_kind": defect.kind,
                    "kind": "vacancy" if part.replaced_by is None else "antisite",
                    "site": index,
                    "species": part.species,
                    "replaced_by": part.replaced_by,
                    "position": [float(x) for x in host.positions[index]],
                }
            )
            if part.replaced_by is not None:
                atoms.numbers[index] = atomic_numbers[part.replaced_by]
                if "masses" in atoms.arrays:
                    atoms.arrays["masses"][index] = atomic_masses[atomic_numbers[part.replaced_by]]
    vacant = sorted(site["site"] for site in sites if site["kind"] == "vacancy")
    if len(vacant) == len(atoms):
        raise InputError("`defects` removes every atom of the host: use a larger cell or fewer vacancies.")
    del atoms[vacant]
    return DefectStructure(atoms, sites)


def _checked(description: Mapping[str, Any], label: str, host: Atoms) -> _Defect:
    """Return a description with its defaults filled in and every value checked."""
    if not isinstance(description, Mapping):
        raise InputError(f"`{label}` is {description!r}: give a mapping with the key `kind`.")
    kind = description.get("kind")
    if kind not in _KEYS:
        raise InputError(f"`{label}.kind` is {kind!r}. {nearest_name(str(kind), _KEYS)}")
    _refuse_unknown(description, (*_KEYS_OF_PLACE, *_KEYS[kind]), label)
    parts = tuple(_parts(kind, description, label))
    present = set(host.get_chemical_symbols())
    for part in parts:
        if part.species not in present:
            raise InputError(
                f"`{label}` needs a site of {part.species!r}, but the host holds {', '.join(sorted(present))} only."
            )
        if part.replaced_by is not None and atomic_numbers.get(part.replaced_by, 0) == 0:
            raise InputError(f"`{label}` puts {part.replaced_by!r} on a site, which is no chemical symbol.")
        if part.replaced_by == part.species:
            raise InputError(f"`{label}` puts {part.species} on a site of {part.species}: that is no antisite.")
    placement = description.get("placement", "nearest")
    if placement not in PLACEMENTS:
        raise InputError(f"`{label}.placement` is {placement!r}. {nearest_name(str(placement), PLACEMENTS)}")
    least_distance = description.get("least_distance", 0.0)
    if isinstance(least_distance, bool) or not isinstance(least_distance, (int, float)) or not least_distance >= 0:
        raise InputError(f"`{label}.least_distance` is {least_distance!r}: give a distance in A, 0 or more.")
    return _Defect(
        label=label,
        kind=kind,
        parts=parts,
        count=_whole(description.get("count", 1), f"{label}.count"),
        placement=placement,
        placement_shell=_placement_shell(description, label, placement),
        least_distance=float(least_distance),
        site=_site(description, label, host, parts[0].species),
    )


def _parts(kind: str, description: Mapping[str, Any], label: str) -> list[_Part]:
    """Return the parts of a description, which for all kinds but `complex` follow from the kind."""
    shell = _whole(description.get("shell", 1), f"{label}.shell")
    if kind == "vacancy":
        return [_Part(_species(description, "species", label), None, 0)]
    if kind == "antisite":
        return [_Part(_species(description, "on", label), _species(description, "species", label), 0)]
    if kind == "divacancy":
        pair = description.get("species", ["Si", "C"])
        if isinstance(pair, str) or len(pair) != 2:
            raise InputError(f"`{label}.species` is {pair!r}: a divacancy needs two, such as [Si, C].")
        return [_Part(str(pair[0]), None, 0), _Part(str(pair[1]), None, shell)]
    if kind == "vacancy_antisite":
        antisite = _Part(_species(description, "on", label), _species(description, "species", label), shell)
        return [_Part(_species(description, "vacancy", label), None, 0), antisite]
    entries = description.get("parts")
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
        raise InputError(f"`{label}.parts` is {entries!r}: give a list such as [{{vacancy: Si}}, {{vacancy: C}}].")
    return [_part(entry, f"{label}.parts[{number}]", number == 0) for number, entry in enumerate(entries)]


def _part(entry: Mapping[str, Any], label: str, first: bool) -> _Part:
    """Return one part of a `complex`."""
    if not isinstance(entry, Mapping) or ("vacancy" in entry) == ("antisite" in entry):
        raise InputError(f"`{label}` is {entry!r}: give either `vacancy: X` or `antisite: X` with `on: Y`.")
    vacancy = "vacancy" in entry
    _refuse_unknown(entry, ("vacancy", "shell") if vacancy else ("antisite", "on", "shell"), label)
    if first and "shell" in entry:
        raise InputError(f"`{label}.shell` is given, but shells count around this first part: leave it out.")
    shell = 0 if first else _whole(entry.get("shell", 1), f"{label}.shell")
    if vacancy:
        return _Part(_species(entry, "vacancy", label), None, shell)
    return _Part(_species(entry, "on", label), _species(entry, "antisite", label), shell)


def _placement_shell(description: Mapping[str, Any], label: str, placement: str) -> int | None:
    """Return the shell of a placement by shells; None for the others."""
    single = description["kind"] in ("vacancy", "antisite")
    keys = ("placement_shell", "shell") if single else ("placement_shell",)
    given = [key for key in keys if key in description]
    if placement != "shell":
        if given:
            raise InputError(
                f"`{label}.{given[0]}` is given, but `placement` is {placement!r}: set `placement: shell`."
            )
        return None
    if len(given) != 1:
        raise InputError(f"`{label}` has `placement: shell`: give the number of the shell as `placement_shell`, once.")
    return _whole(description[given[0]], f"{label}.{given[0]}")


def _site(description: Mapping[str, Any], label: str, host: Atoms, species: str) -> int | None:
    """Return the given site of the first part; None when there is none."""
    if "site" not in description:
        return None
    site = description["site"]
    if isinstance(site, bool) or not isinstance(site, (int, np.integer)) or not 0 <= site < len(host):
        raise InputError(f"`{label}.site` is {site!r}: give the index of an atom of the host, 0 to {len(host) - 1}.")
    if description.get("count", 1) != 1:
        raise InputError(f"`{label}` has both `site` and a `count` above 1: one site holds one defect.")
    if host.symbols[site] != species:
        raise InputError(f"`{label}.site` is {site}, an atom of {host.symbols[site]}; needed is one of {species}.")
    return int(site)


def _species(entry: Mapping[str, Any], key: str, label: str) -> str:
    """Return a chemical symbol of a description."""
    value = entry.get(key)
    if not isinstance(value, str):
        raise InputError(f"`{label}.{key}` is {value!r}: give one chemical symbol, such as Si.")
    return value


def _whole(value: Any, label: str) -> int:
    """Return a whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"`{label}` is {value!r}: give a whole number from 1.")
    return int(value)


def _refuse_unknown(entry: Mapping[str, Any], known: Sequence[str], label: str) -> None:
    """Raise InputError for a key that the description does not know."""
    for key in entry:
        if key not in known:
            raise InputError(f"`{label}` has the unknown key `{key}`. {nearest_name(str(key), known)}")


def _wrong_shell(host: Atoms, label: str, site: int, part: _Part) -> str:
    """Return a sentence on a shell without the wanted species, with the shells that have it."""
    shells = coordination_shells(host, site, max(8, part.shell))
    found = {
        number: sorted({host.symbols[index] for index in shell.indices}) for number, shell in enumerate(shells, start=1)
    }
    good = [str(number) for number, species in found.items() if part.species in species]
    here = ", ".join(found[part.shell]) or "only images of atoms that are nearer elsewhere"
    advice = f"{part.species} is in shells {', '.join(good)}." if good else "Use a larger cell."
    return (
        f"`{label}` wants {part.species} in coordination shell {part.shell} of the {host.symbols[site]} atom {site}, "
        f"which holds {here}. {advice}"
    )
