"""The perfect crystal behind structures with defects, where nobody gave it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.geometry import find_mic, minkowski_reduce

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.host_sites import HostSites, assign_sites

# All in the median distance of an atom to its nearest neighbour.
# Two atoms that a translation leads to each other differ by the thermal displacements of both.
_SAME_ATOM = 0.7
# Of the median over all atoms little is left.
_SAME_TRANSLATION = 0.2
# An atom that is nearer than this to a site belongs there.
_CLOUD = 0.5

# The share of atoms that a translation must lead to others: a divacancy in eight sites leaves two thirds of six atoms.
_SHARE = 0.6
# Stacked layers, such as those of 4H-SiC, agree by half with each other.
_SHARE_OF_BEST = 0.8
# With two, a vacancy in one half of the cell could as well be an interstitial in the other.
_FEWEST_TRANSLATIONS = 3

# How many frames are tried as the one that shows the translations.
_BEGINNINGS = 5

_ADVICE = "Give the host, the perfect crystal in the cell of the frames."


def infer_host(frames: Sequence[Atoms]) -> Atoms:
    """Return the perfect crystal in the cell of frames with defects.

    The translations that lead a frame, the first if it will do, onto itself but for defects and thermal displacements
    are searched for. Each site then is where atoms are on average in all places that the translations lead to, with
    the species of the majority; sites that are mostly vacant do not exist. Translations need not lie along the vectors
    of the cell, so that every supercell will do that holds three primitive cells or more. The crystal lies where that
    frame does.

    The error of a site is that of a mean over translations and frames: 0.25 A along each axis, 108 translations of a
    cell of 216 atoms, and one frame give 0.03 A. Cells of a few atoms need several frames when they are hot. One frame
    of 214 atoms takes 0.15 s, ten take 0.8 s.

    :param frames: in one cell, wrapped or not, displaced against each other or not, atoms in any order.
    :raises InputError: when there are no frames, their cells differ, or no crystal is found that they all fit.
    """
    if not len(frames):
        raise InputError(f"There are no frames to infer a host from. {_ADVICE}")
    first = frames[0]
    if not all(frame.pbc.all() and abs(frame.cell.volume) > 1e-8 and len(frame) > 1 for frame in frames):
        raise InputError(f"Frames need two atoms or more in a periodic cell to infer a host from. {_ADVICE}")
    if any(not np.allclose(frame.cell.array, first.cell.array, atol=1e-3) for frame in frames):
        raise InputError(f"The cells of the frames differ: a host is inferred for one cell. {_ADVICE}")
    failed: list[InputError] = []
    # A frame may be too hot to begin with; the next one need not be.
    for beginning in frames[:_BEGINNINGS]:
        try:
            return _inferred(frames, beginning)
        except InputError as exception:
            failed.append(exception)
    raise failed[0]


def _inferred(frames: Sequence[Atoms], first: Atoms) -> Atoms:
    """Return the host of frames whose translations one of them shows.

    :raises InputError: when there are too few, or a frame does not fit.
    """
    points = HostSites(first)
    spacing = float(np.median(points.nearest(first.positions, count=2)[1][:, 1]))
    translations = _translations(first, spacing)
    if len(translations) < _FEWEST_TRANSLATIONS:
        raise InputError(
            f"No crystal is found in the frames: {len(translations) - 1} translations lead one onto itself, but for "
            f"defects. {_ADVICE}"
        )
    host = _crystal([points], first.positions, translations, spacing)
    # The second time, drifts are those from sites that are means over all frames.
    for _ in range(2 if len(frames) > 1 else 0):
        placed = [frame.copy() for frame in frames]
        for frame in placed:
            frame.positions -= _drift(host, frame)
        seeds = host.positions[:: len(translations)]
        host = _crystal([HostSites(frame) for frame in placed], seeds, translations, spacing)
    for frame in frames:
        _drift(host, frame)
    return host


def _drift(host: Atoms, frame: Atoms) -> np.ndarray:
    """Return by how much a frame is displaced against a host, (3,) in A.

    :raises InputError: when it does not fit.
    """
    sites = HostSites(host)
    fractional = sites.fractional_of(frame.positions, frame.cell.array)
    try:
        _, drift = assign_sites(sites, fractional, frame.numbers)
    except InputError as exception:
        raise InputError(f"No crystal is found that all frames fit: {exception} {_ADVICE}") from None
    return drift


def _translations(frame: Atoms, spacing: float) -> np.ndarray:
    """Return the translations that lead a frame onto itself but for defects and heat, (G, 3) fractional, zero first."""
    species = {int(number): frame.positions[frame.numbers == number] for number in np.unique(frame.numbers)}
    sites = {number: HostSites(frame[frame.numbers == number]) for number in species}
    largest = max(species.values(), key=len)
    found: list[tuple[float, np.ndarray]] = []
    # Three, since an atom may be an interstitial or an antisite, from which no translation starts.
    for origin in np.linspace(0, len(largest) - 1, 3).astype(int):
        for end in np.delete(largest, origin, axis=0):
            translation = end - largest[origin]
            for _ in range(2):
                vectors = [sites[number].displacements(places + translation)[1] for number, places in species.items()]
                moved = np.concatenate(vectors)
                near = np.linalg.norm(moved, axis=1) < _SAME_ATOM * spacing
                if near.mean() < _SHARE / 2:
                    break
                offset = np.median(moved[near], axis=0)
                translation = translation - offset
            if near.mean() >= _SHARE and np.linalg.norm(offset) < _SAME_TRANSLATION * spacing:
                found.append((float(near.mean()), translation))
        if len(found) > len(largest) / 2:
            break
    least = max((share for share, _ in found), default=1.0) * _SHARE_OF_BEST
    return _group([translation for share, translation in found if share >= least], frame, spacing)


def _group(found: Sequence[np.ndarray], frame: Atoms, spacing: float) -> np.ndarray:
    """Return the translations of the lattice that inexact ones (3,) in A span with the cell: (G, 3) fractional.

    The three shortest that are independent are a basis. Its multiples that the cell consists of are whole numbers,
    which makes them exact. Zero stands first.
    """
    # By short vectors, since errors grow with the multiples.
    cell = np.asarray(minkowski_reduce(frame.cell)[0])
    candidates = cell
    if len(found):
        candidates = np.concatenate([find_mic(np.array(found), cell)[0], cell])
    basis = np.empty((0, 3))
    for candidate in candidates[np.argsort(np.linalg.norm(candidates, axis=1), kind="stable")]:
        tried = np.concatenate([basis, [candidate]])
        # The least thickness of what the vectors span is far above the errors for independent ones.
        if np.linalg.svd(tried, compute_uv=False)[-1] > spacing / 2:
            basis = tried
        if len(basis) == 3:
            break
    if len(basis) < 3:
        return np.zeros((1, 3))
    multiples = np.round(cell @ np.linalg.inv(basis))
    order = round(abs(np.linalg.det(multiples)))
    # More translations than sites: some of them are none.
    if not 1 <= order <= 2 * len(frame):
        return np.zeros((1, 3))
    group = np.zeros((1, 3), dtype=int)
    for step in np.round(np.linalg.inv(multiples) * order).astype(int):
        steps = np.arange(order)[:, None] * step
        group = np.unique((group[:, None] + steps).reshape(-1, 3) % order, axis=0)
    return group / order @ cell @ np.linalg.inv(frame.cell.array)


def _crystal(points: Sequence[HostSites], seeds: np.ndarray, translations: np.ndarray, spacing: float) -> Atoms:
    """Return the crystal of sites that most translations lead atoms of frames to.

    :param points: the atoms of frames, in one place and cell.
    :param seeds: where sites are looked for, (K, 3) in A.
    """
    cell = points[0].cell
    shifts = translations @ cell
    positions = np.empty((0, 3))
    numbers: list[int] = []
    for seed in seeds:
        if _is_taken(positions, cell, seed, spacing):
            continue
        place, number = _mean_place(points, seed, shifts, spacing)
        if number is not None and not _is_taken(positions, cell, place, spacing):
            positions = np.concatenate([positions, place + shifts])
            numbers += [number] * len(shifts)
    if not numbers:
        raise InputError(f"No crystal is found in the frames: there is no site that most translations keep. {_ADVICE}")
    host = Atoms(numbers, positions, cell=cell, pbc=True)
    host.wrap()
    return host


def _is_taken(positions: np.ndarray, cell: np.ndarray, place: np.ndarray, spacing: float) -> bool:
    """Return whether a place (3,) in A lies in the cloud of a site that is known."""
    if not len(positions):
        return False
    return float(find_mic(positions - place, cell)[1].min()) < _CLOUD * spacing


def _mean_place(
    points: Sequence[HostSites], seed: np.ndarray, shifts: np.ndarray, spacing: float
) -> tuple[np.ndarray, int | None]:
    """Return where atoms are on average near a seed and all its images (3,), and the species of most: None if too few.

    :param shifts: from the seed to its images, (G, 3) in A.
    """
    place = seed
    # The seed is an atom that may be far from its site.
    for radius in (_SAME_ATOM, _SAME_ATOM, *[_CLOUD] * 6):
        found = [sites.displacements(place + shifts) for sites in points]
        vectors = np.concatenate([part[1] for part in found])
        near = np.linalg.norm(vectors, axis=1) < radius * spacing
        if not near.any():
            return place, None
        place = place - vectors[near].mean(axis=0)
    if near.mean() <= 0.5:
        return place, None
    numbers = np.concatenate([sites.numbers[part[0]] for sites, part in zip(points, found, strict=True)])
    return place, int(np.bincount(numbers[near]).argmax())
