"""Descriptions of defects, checked against a host; the format is in :mod:`~aiida_sicmlip.science.defects.building`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.science.defects.interstitial_sites import NAMED_SITES
from aiida_sicmlip.science.defects.polytypes import matches_label, site_labels
from aiida_sicmlip.science.value_tests import is_symbol

PLACEMENTS = ("nearest", "shell", "random")
SPLIT = "split"
"""Position of an interstitial that shares a site with the host's atom."""

_KEYS_OF_PLACE = ("count", "placement", "placement_shell", "min_distance", "site")
_KEYS_OF_INTERSTITIALS = ("position", "cage", "on", "direction", "separation", "fractional", "cartesian")
_KEYS = {
    "vacancy": ("species", "shell"),
    "antisite": ("species", "on", "shell"),
    "substitution": ("species", "on", "shell"),
    "interstitial": ("species", *_KEYS_OF_INTERSTITIALS),
    "divacancy": ("species", "shell"),
    "vacancy_antisite": ("vacancy", "species", "on", "shell"),
    "complex": ("parts",),
}
# Kinds of the parts of a `complex`, and their options.
_KEYS_OF_PARTS = {
    "vacancy": ("shell", "site"),
    "antisite": ("on", "shell", "site"),
    "substitution": ("on", "shell", "site"),
    "interstitial": ("shell", "site", *_KEYS_OF_INTERSTITIALS),
}
_NAME = re.compile(r"(?P<added>[A-Z][a-z]?)_(?P<on>[A-Z][a-z]?|i)(?:\((?P<where>\w+)\))?")
_DIVACANCY = re.compile(r"VV(?:\((?P<first>h|k\d?)(?P<second>h|k\d?)\))?")
_EXAMPLES = "V_C, C_Si, N_C, V_C(k), VV, VV(hk), V_Si-N_C or H_i(bond_centred)"


@dataclass(frozen=True)
class Part:
    """One part of a defect.

    kind: `vacancy`, `antisite`, `substitution` or `interstitial`.
    species: of the host's atom whose site it occupies; None for an interstitial between sites.
    added: species added; None for a vacancy.
    shell: coordination shell of the first part; 0 for the first part itself.
    site_label: `h` or `k` where only such sites are allowed, else None.
    position: name of an interstitial's site; None where `point` gives it, and for other kinds.
    cage: of tetrahedral sites.
    point: position of the interstitial, (3,) in A.
    axis: half of the vector between the atoms of a split interstitial, (3,) in A.
    """

    kind: str
    species: str | None
    added: str | None
    shell: int = 0
    site_label: str | None = None
    position: str | None = None
    cage: str | None = None
    point: np.ndarray | None = None
    axis: np.ndarray | None = None

    @property
    def takes_site(self) -> bool:
        """Whether it occupies a site of the host, not a position between sites."""
        return self.species is not None


@dataclass(frozen=True)
class Defect:
    """One checked description."""

    label: str
    kind: str
    parts: tuple[Part, ...]
    count: int
    placement: str
    placement_shell: int | None
    min_distance: float
    site: int | None


class DescribedHost:
    """A host, with the properties that descriptions are checked against."""

    def __init__(self, atoms: Atoms) -> None:
        self.atoms = atoms
        self.symbols: list[str] = atoms.get_chemical_symbols()

    @cached_property
    def site_labels(self) -> list[str]:
        """Labels of the sites, see :func:`~aiida_sicmlip.science.defects.polytypes.site_labels`."""
        return site_labels(self.atoms)

    @property
    def species(self) -> list[str]:
        """Species in the order of first occurrence."""
        return list(dict.fromkeys(self.symbols))

    def sites(self, part: Part) -> np.ndarray:
        """Return the sites allowed for a part, ascending."""
        return np.flatnonzero([self.allows(part, site) for site in range(len(self.symbols))])

    def allows(self, part: Part, site: int) -> bool:
        """Return whether a site is allowed for a part."""
        if self.symbols[site] != part.species:
            return False
        return part.site_label is None or matches_label(self.site_labels[site], part.site_label)


def with_named_keys(description: Any) -> Any:
    """Return a description with the key `on` restored, which YAML reads as true."""
    if isinstance(description, Mapping):
        return {"on" if key is True else key: with_named_keys(value) for key, value in description.items()}
    if isinstance(description, (list, tuple)):
        return [with_named_keys(entry) for entry in description]
    return description


def read_defect(description: Any, label: str, host: DescribedHost) -> Defect:
    """Return a description with its defaults filled in and every value checked.

    :raises InputError: when it is invalid.
    """
    if isinstance(description, str):
        description = {"name": description}
    if not isinstance(description, Mapping):
        raise InputError(f"`{label}` is {description!r}: give a name such as V_C, or a mapping with the key `kind`.")
    description = with_named_keys(description)
    if "name" in description:
        description = _of_name(description, label, host)
    kind = description.get("kind")
    if kind not in _KEYS:
        raise InputError(f"`{label}.kind` is {kind!r}. {nearest_name(str(kind), _KEYS)}")
    _refuse_unknown(description, ("kind", *_KEYS_OF_PLACE, *_KEYS[kind]), label)
    parts = tuple(_parts(kind, description, label, host))
    for part in parts:
        _check_part(part, label, host)
    placement = description.get("placement", "nearest")
    if placement not in PLACEMENTS:
        raise InputError(f"`{label}.placement` is {placement!r}. {nearest_name(str(placement), PLACEMENTS)}")
    if not parts[0].takes_site and (placement == "shell" or (parts[0].point is not None and placement != "nearest")):
        raise InputError(
            f"`{label}.placement` is {placement!r}, which only split interstitials among the interstitials can have."
        )
    min_distance = description.get("min_distance", 0.0)
    if isinstance(min_distance, bool) or not isinstance(min_distance, (int, float)) or not min_distance >= 0:
        raise InputError(f"`{label}.min_distance` is {min_distance!r}: give a distance in A, 0 or more.")
    count = _whole(description.get("count", 1), f"{label}.count")
    if parts[0].point is not None and count > 1:
        raise InputError(f"`{label}` has both coordinates and a `count` above 1: one position holds one atom.")
    return Defect(
        label=label,
        kind=kind,
        parts=parts,
        count=count,
        placement=placement,
        placement_shell=_placement_shell(description, label, placement),
        min_distance=float(min_distance),
        site=_site(description, label, host, parts[0]),
    )


def _of_name(description: Mapping[str, Any], label: str, host: DescribedHost) -> dict[str, Any]:
    """Return the description that a name stands for, merged with the other keys given."""
    name = description["name"]
    rest = {key: value for key, value in description.items() if key != "name"}
    allowed = ("name", *_KEYS_OF_PLACE, "shell", *_KEYS_OF_INTERSTITIALS)
    _refuse_unknown(rest, allowed, label)
    divacancy = _DIVACANCY.fullmatch(str(name))
    if divacancy:
        labels = {"site": [divacancy["first"], divacancy["second"]]} if divacancy["first"] else {}
        return {"kind": "divacancy", **labels, **rest}
    parts = []
    for word in str(name).split("-"):
        match = _NAME.fullmatch(word)
        if match is None:
            raise InputError(f"`{label}.name` is {name!r}, which is no name of a defect: give one such as {_EXAMPLES}.")
        added, on, where = match["added"], match["on"], match["where"]
        if on == "i":
            parts.append({"interstitial": added, **({"position": where} if where else {})})
        elif added == "V" and "V" not in host.species:
            parts.append({"vacancy": on, **({"site": where} if where else {})})
        else:
            kind = "antisite" if added in host.species else "substitution"
            parts.append({kind: added, "on": on, **({"site": where} if where else {})})
    if len(parts) > 1:
        return {"kind": "complex", "parts": parts, **rest}
    ((kind, species), *others) = parts[0].items()
    twice = [key for key, _ in others if key in rest]
    if twice:
        raise InputError(f"`{label}` has `{twice[0]}` beside the name {name}, which implies it: leave it out.")
    return {"kind": kind, "species": species, **dict(others), **rest}


def _parts(kind: str, description: Mapping[str, Any], label: str, host: DescribedHost) -> list[Part]:
    """Return the parts of a description, which for all kinds but `complex` follow from the kind."""
    shell = _whole(description.get("shell", 1), f"{label}.shell")
    site = description.get("site")
    site_label = site if isinstance(site, str) else None
    if kind == "divacancy":
        pair = description.get("species", (host.species * 2)[:2])
        if isinstance(pair, str) or len(pair) != 2:
            raise InputError(f"`{label}.species` is {pair!r}: a divacancy needs two, such as [Si, C].")
        labels = site if isinstance(site, Sequence) and not isinstance(site, str) else [site_label, None]
        if len(labels) != 2:
            raise InputError(f"`{label}.site` is {site!r}: give two of the labels h and k, in the order of `species`.")
        shells = (0, shell)
        return [Part("vacancy", str(pair[n]), None, shells[n], site_label=labels[n]) for n in (0, 1)]
    if kind == "complex":
        entries = description.get("parts")
        if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
            raise InputError(f"`{label}.parts` is {entries!r}: give a list such as [{{vacancy: Si}}, {{vacancy: C}}].")
        parts = [_part(entry, f"{label}.parts[{number}]", number == 0, host) for number, entry in enumerate(entries)]
        if not parts[0].takes_site:
            raise InputError(f"`{label}.parts[0]` is between sites: begin with a part that takes a site of the host.")
        return parts
    if kind == "vacancy_antisite":
        second = _exchange(_symbol(description, "species", label), _symbol(description, "on", label), shell, None, host)
        return [Part("vacancy", _symbol(description, "vacancy", label), None, site_label=site_label), second]
    species = _symbol(description, "species", label)
    if kind == "vacancy":
        return [Part("vacancy", species, None, site_label=site_label)]
    if kind == "interstitial":
        return [_interstitial(species, description, 0, label, host)]
    return [_exchange(species, _symbol(description, "on", label), 0, site_label, host)]


def _part(entry: Any, label: str, first: bool, host: DescribedHost) -> Part:
    """Return one part of a `complex`."""
    kinds = [kind for kind in _KEYS_OF_PARTS if isinstance(entry, Mapping) and kind in entry]
    if len(kinds) != 1:
        raise InputError(
            f"`{label}` is {entry!r}: give either `vacancy: X`, `antisite: X` or `substitution: X` with `on: Y`, or "
            "`interstitial: X` with `position`."
        )
    (kind,) = kinds
    _refuse_unknown(entry, (kind, *_KEYS_OF_PARTS[kind]), label)
    if first and "shell" in entry:
        raise InputError(f"`{label}.shell` is given, but shells count around this first part: leave it out.")
    shell = 0 if first else _whole(entry.get("shell", 1), f"{label}.shell")
    species, site_label = _symbol(entry, kind, label), entry.get("site")
    if site_label is not None and not isinstance(site_label, str):
        raise InputError(f"`{label}.site` is {site_label!r}: give a label, h or k; an index stands beside `parts`.")
    if kind == "vacancy":
        return Part("vacancy", species, None, shell, site_label=site_label)
    if kind == "interstitial":
        return _interstitial(species, entry, shell, label, host)
    return _exchange(species, _symbol(entry, "on", label), shell, site_label, host)


def _exchange(species: str, on: str, shell: int, site_label: str | None, host: DescribedHost) -> Part:
    """Return a part that replaces a species by another: an antisite if the host contains it, else a substitution."""
    kind = "antisite" if species in host.species else "substitution"
    return Part(kind, on, species, shell, site_label=site_label)


def _interstitial(species: str, entry: Mapping[str, Any], shell: int, label: str, host: DescribedHost) -> Part:
    """Return an added atom: between sites by name or coordinates, or sharing a site."""
    coordinates = [key for key in ("position", "fractional", "cartesian") if entry.get(key) is not None]
    names = (*NAMED_SITES, SPLIT)
    if len(coordinates) != 1:
        raise InputError(
            f"`{label}` gives {' and '.join(coordinates) or 'nothing'} for the position of the interstitial: give "
            f"one of `position` ({', '.join(names)}), `fractional` or `cartesian`."
        )
    position = entry.get("position")
    if coordinates == ["position"] and position not in names:
        raise InputError(f"`{label}.position` is {position!r}. {nearest_name(str(position), names)}")
    for keys, of in ((("on", "direction", "separation"), SPLIT), (("cage",), "tetrahedral")):
        for key in keys:
            if key in entry and position != of:
                raise InputError(f"`{label}.{key}` is given, which goes with `position: {of}` only: leave it out.")
    site = entry.get("site")
    if position == SPLIT:
        on = entry.get("on", species)
        if on not in host.species:
            raise InputError(f"`{label}.on` is {on!r}: give the species of the site that {species} shares.")
        radii = covalent_radii[[atomic_numbers.get(symbol, 0) for symbol in (species, on)]]
        separation = entry.get("separation", float(radii.sum()))
        if isinstance(separation, bool) or not isinstance(separation, (int, float)) or not separation > 0:
            raise InputError(f"`{label}.separation` is {separation!r}: give the distance of the two atoms in A.")
        direction = _three(entry.get("direction"), f"{label}.direction", "such as [1, 1, 0]")
        if not direction.any():
            raise InputError(f"`{label}.direction` is zero: give one such as [1, 1, 0].")
        axis = direction / np.linalg.norm(direction) * separation / 2
        site_label = site if isinstance(site, str) else None
        return Part("interstitial", on, species, shell, site_label=site_label, position=SPLIT, axis=axis)
    if site is not None:
        raise InputError(f"`{label}.site` is {site!r}, but the interstitial is between sites: give its coordinates.")
    if position is not None:
        return Part("interstitial", None, species, shell, position=position, cage=entry.get("cage"))
    point = _three(entry[coordinates[0]], f"{label}.{coordinates[0]}", "such as [0.5, 0.5, 0.5]")
    if coordinates == ["fractional"]:
        point = point @ host.atoms.cell.array
    return Part("interstitial", None, species, shell, point=point)


def _check_part(part: Part, label: str, host: DescribedHost) -> None:
    """Raise InputError where the host has no such site, or the added species is no element."""
    if part.added is not None and not is_symbol(part.added):
        raise InputError(f"`{label}` puts {part.added!r} on a site, which is no chemical symbol.")
    if not part.takes_site:
        return
    if part.species not in host.species:
        raise InputError(
            f"`{label}` needs a site of {part.species!r}, but the host holds {', '.join(sorted(host.species))} only."
        )
    if part.added == part.species and part.kind != "interstitial":
        raise InputError(f"`{label}` puts {part.added} on a site of {part.species}: that is no antisite.")
    if part.site_label is not None and not len(host.sites(part)):
        labels = {host.site_labels[site] for site in host.sites(Part("vacancy", part.species, None))} - {""}
        advice = f"give one of {', '.join(sorted(labels))}" if labels else "all are alike: leave it out"
        raise InputError(f"`{label}.site` is {part.site_label!r}, but of the host's sites of {part.species} {advice}.")


def _placement_shell(description: Mapping[str, Any], label: str, placement: str) -> int | None:
    """Return the shell of a placement by shells; None for the others."""
    single = description["kind"] in ("vacancy", "antisite", "substitution")
    keys = ("placement_shell", "shell") if single else ("placement_shell",)
    given_keys = [key for key in keys if key in description]
    if placement != "shell":
        if given_keys:
            raise InputError(
                f"`{label}.{given_keys[0]}` is given, but `placement` is {placement!r}: set `placement: shell`."
            )
        return None
    if len(given_keys) != 1:
        raise InputError(f"`{label}` has `placement: shell`: give the number of the shell as `placement_shell`, once.")
    return _whole(description[given_keys[0]], f"{label}.{given_keys[0]}")


def _site(description: Mapping[str, Any], label: str, host: DescribedHost, first: Part) -> int | None:
    """Return the site given for the first part; None when there is none."""
    site = description.get("site")
    labelled = isinstance(site, str) and description["kind"] != "complex"
    if site is None or labelled or (isinstance(site, Sequence) and description["kind"] == "divacancy"):
        return None
    last = len(host.symbols) - 1
    if isinstance(site, bool) or not isinstance(site, (int, np.integer)) or not 0 <= site <= last:
        raise InputError(f"`{label}.site` is {site!r}: give the index of an atom of the host, 0 to {last}.")
    if description.get("count", 1) != 1:
        raise InputError(f"`{label}` has both `site` and a `count` above 1: one site holds one defect.")
    if host.symbols[site] != first.species:
        raise InputError(f"`{label}.site` is {site}, an atom of {host.symbols[site]}: give one of {first.species}.")
    return int(site)


def _symbol(entry: Mapping[str, Any], key: str, label: str) -> str:
    """Return a chemical symbol of a description."""
    value = entry.get(key)
    if not isinstance(value, str):
        raise InputError(f"`{label}.{key}` is {value!r}: give one chemical symbol, such as Si.")
    return value


def _three(value: Any, label: str, example: str) -> np.ndarray:
    """Return three numbers."""
    try:
        numbers = np.array(value, dtype=float)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (3,) or not np.isfinite(numbers).all():
        raise InputError(f"`{label}` is {value!r}: give three numbers, {example}.")
    return numbers


def _whole(value: Any, label: str) -> int:
    """Return a whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"`{label}` is {value!r}: give a whole number from 1.")
    return int(value)


def _refuse_unknown(entry: Mapping[str, Any], known: Sequence[str], label: str) -> None:
    """Raise InputError for an unknown key of a description."""
    for key in entry:
        if key not in known:
            raise InputError(f"`{label}` has the unknown key `{key}`. {nearest_name(str(key), known)}")
