"""States of a defect that trajectories visit: which sites are vacant or hold another species, up to symmetry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import numpy as np
from ase import Atoms

from aiida_sicmlip.science.defects.hops import Hops
from aiida_sicmlip.science.defects.polytypes import site_labels
from aiida_sicmlip.science.defects.types import PERFECT

SHORTEST_VISIT = 0.5
"""ps; a few vibrations: an atom that is thrown out of its place and falls back has not been in another state."""
_SAME_DISTANCE = 0.1
"""A; distances between sites of one crystal that differ by less are equal by symmetry."""
Key = tuple[tuple[str, ...], tuple[tuple[str, str, int], ...]]
"""Names of the changed sites, and the distances of each pair of them."""


@dataclass(frozen=True)
class Visit:
    """A stretch of a trajectory in one state.

    name: the point defects by kind and number, as :func:`~aiida_sicmlip.science.defects.types.defect_type` names them.
    key: equal for states that a symmetry of the crystal maps on each other.
    begin: first frame.
    end: frame after the last.
    """

    name: str
    key: Key
    begin: int
    end: int


@dataclass(frozen=True)
class State:
    """A state that was found.

    name: of its point defects.
    segment: in which it is to be started from.
    frame: where it is to be started from, in the middle of its longest visit.
    longest: length of that visit, in frames.
    total: length of all visits, in frames.
    """

    name: str
    segment: str
    frame: int
    longest: int
    total: int


def visits(hops: Hops, host: Atoms, species: Sequence[str]) -> list[Visit]:
    """Return the states of a trajectory in the order of time.

    An atom between two sites is still at the one that it came from; interstitials of the first frame have no site, and
    so no place in the state.

    :param hops: of the whole trajectory.
    :param species: of its atoms.
    """
    describe = _Description(host, species)
    sites = hops.first_sites.copy()
    found: list[Visit] = []
    changes = hops.events[np.argsort(hops.events[:, 0], kind="stable")]
    edges = np.unique([0, *changes[:, 0], hops.n_frames]).tolist()
    for begin, end in pairwise(edges):
        for _, atom, _, site in changes[changes[:, 0] == begin]:
            sites[atom] = site
        name, key = describe(sites)
        if found and found[-1].key == key:
            found[-1] = Visit(name, key, found[-1].begin, end)
        else:
            found.append(Visit(name, key, begin, end))
    return found


def distinct_states(
    trajectories: Mapping[str, Sequence[Visit]],
    kept: Mapping[str, np.ndarray],
    start: Key,
    shortest: Mapping[str, int],
    count: int,
) -> list[State]:
    """Return the states other than that of the start, those in which trajectories were longest first.

    :param trajectories: visits by segment.
    :param kept: frames that may be used, ascending, by segment; all where a segment has none.
    :param start: of the start structure.
    :param shortest: frames of the shortest visit that counts, by segment: an atom on its way may touch a site.
    :param count: number of states to return at most.
    """
    totals: dict[Key, int] = {}
    best: dict[Key, State] = {}
    for segment in sorted(trajectories):
        for visit in trajectories[segment]:
            length = visit.end - visit.begin
            if visit.key == start or length < shortest[segment]:
                continue
            frames = kept.get(segment, np.arange(visit.begin, visit.end))
            frames = frames[(frames >= visit.begin) & (frames < visit.end)]
            if not len(frames):
                continue
            totals[visit.key] = totals.get(visit.key, 0) + length
            if visit.key not in best or length > best[visit.key].longest:
                middle = frames[np.argmin(np.abs(frames - (visit.begin + visit.end - 1) / 2))]
                best[visit.key] = State(visit.name, segment, int(middle), length, 0)
    ordered = sorted(best, key=lambda key: (-totals[key], key))
    return [replace(best[key], total=totals[key]) for key in ordered[:count]]


def state_of_sites(site_of_atom: np.ndarray, host: Atoms, species: Sequence[str]) -> tuple[str, Key]:
    """Return name and key of the state in which each atom is at a site, (N,); -1 for interstitials."""
    return _Description(host, species)(site_of_atom)


class _Description:
    """Names occupations of the sites of a host; those that were seen before at once."""

    def __init__(self, host: Atoms, species: Sequence[str]) -> None:
        self.host = host
        self.own = np.array(host.get_chemical_symbols())
        self.species = np.array(species)
        self.labels = [f"({label})" if label else "" for label in site_labels(host)]
        self._known: dict[tuple[tuple[int, str], ...], tuple[str, Key]] = {}

    def __call__(self, site_of_atom: np.ndarray) -> tuple[str, Key]:
        occupant = np.full(len(self.own), "V", dtype=object)
        at_sites = site_of_atom >= 0
        occupant[site_of_atom[at_sites]] = self.species[at_sites]
        changed = tuple((int(site), str(occupant[site])) for site in np.flatnonzero(occupant != self.own))
        if changed not in self._known:
            self._known[changed] = self._describe(changed)
        return self._known[changed]

    def _describe(self, changed: Sequence[tuple[int, str]]) -> tuple[str, Key]:
        names = [f"{occupant}_{self.own[site]}{self.labels[site]}" for site, occupant in changed]
        pairs = []
        for (first, (one, _)), (second, (other, _)) in combinations(enumerate(changed), 2):
            distance = self.host.get_distance(one, other, mic=True)
            kinds = sorted((names[first], names[second]))
            pairs.append((kinds[0], kinds[1], round(distance / _SAME_DISTANCE)))
        counts = {name: names.count(name) for name in sorted(names)}
        text = " + ".join(name if number == 1 else f"{number} {name}" for name, number in counts.items())
        return text or PERFECT, (tuple(sorted(names)), tuple(sorted(pairs)))
