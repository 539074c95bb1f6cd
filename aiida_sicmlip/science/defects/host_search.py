"""Inference of the perfect crystal from structures with defects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.geometry import find_mic, minkowski_reduce

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.host_sites import HostSites, assign_sites

# Lengths are in units of the median nearest-neighbour distance. Two atoms mapped onto each other by a translation
# differ by the thermal displacements of both.
_SAME_ATOM = 0.7
# The error of the median over all atoms is small.
_SAME_TRANSLATION = 0.2
# An atom nearer than this to a site is assigned to it.
_CLOUD = 0.5

# Fraction of atoms that a translation must map onto others: with a divacancy in eight sites, two thirds of six atoms.
_SHARE = 0.6
# Stacked layers, as in 4H-SiC, agree with each other by half.
_SHARE_OF_BEST = 0.8
# With two, a vacancy in one half of the cell could as well be an interstitial in the other.
_FEWEST_TRANSLATIONS = 3

# Number of frames tried for the search of translations.
_BEGINNINGS = 5

_ADVICE = "Give the host, the perfect crystal in the cell of the frames."


def infer_host(frames: Sequence[Atoms]) -> Atoms:
    """Return the perfect crystal in the cell of frames with defects.

    The search is for translations that map a frame (the first, if possible) onto itself, up to defects and thermal
    displacements. Each site is the mean position of the atoms that the translations map onto each other, with the
    species of the majority; sites that are mostly vacant are discarded. Translations need not be along the cell
    vectors, so that every supercell of at least three primitive cells is suitable. The crystal has the origin of that
    frame.

    The error of a site is that of a mean over translations and frames: 0.25 A along each axis, 108 translations of a
    cell of 216 atoms, and one frame give 0.03 A. Cells of a few atoms need several frames when they are hot. One frame
    of 214 atoms takes 0.15 s, ten take 0.8 s.

    :param frames: in one cell, wrapped or not, with any relative drift, atoms in any order.
    :raises InputError: when there are no frames, their cells differ, or no crystal fits them all.
    """
    if not len(frames):
        raise InputError(f"There are no frames to infer a host from. {_ADVICE}")
    first = frames[0]
    if not all(frame.pbc.all() and abs(frame.cell.volume) > 1e-8 and len(frame) > 1 for frame in frames):
        raise InputError(f"Frames need two atoms or more in a periodic cell to infer a host from. {_ADVICE}")
    if any(not np.allclose(frame.cell.array, first.cell.array, atol=1e-3) for frame in frames):
        raise InputError(f"The cells of the frames differ: a host is inferred for one cell. {_ADVICE}")
    failed: list[InputError] = []
    # One frame may be too hot for the search; the next one need not be.
    for beginning in frames[:_BEGINNINGS]:
        try:
            return _inferred(frames, beginning)
        except InputError as exception:
            failed.append(exception)
    raise failed[0]


def _inferred(frames: Sequence[Atoms], first: Atoms) -> Atoms:
    """Return the host of frames from the translations of one of them.

    :raises InputError: when there are too few, or a frame does not fit.
    """
    points = HostSites(first)
    spacing = float(np.median(points.nearest(first.positions, count=2)[1][:, 1]))
    translations = _translations(first, spacing)
    if len(translations) < _FEWEST_TRANSLATIONS:
        raise InputError(
            f"No crystal is found in the frames: {len(translations) - 1} translations map a frame onto itself, up to "
            f"defects. {_ADVICE}"
        )
    host = _crystal([points], first.positions, translations, spacing)
    # In the second iteration, drifts are relative to sites averaged over all frames.
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
    """Return the drift of a frame relative to a host, (3,) in A.

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
    """Return the translations that map a frame onto itself up to defects and heat, (G, 3) fractional, zero first."""
    species = {int(number): frame.positions[frame.numbers == number] for number in np.unique(frame.numbers)}
    sites = {number: HostSites(frame[frame.numbers == number]) for number in species}
    largest = max(species.values(), key=len)
    matches: list[tuple[float, np.ndarray]] = []
    # Three, since an atom may be an interstitial or an antisite, which no translation maps onto another atom.
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
                matches.append((float(near.mean()), translation))
        if len(matches) > len(largest) / 2:
            break
    least = max((share for share, _ in matches), default=1.0) * _SHARE_OF_BEST
    return _group([translation for share, translation in matches if share >= least], frame, spacing)


def _group(translations: Sequence[np.ndarray], frame: Atoms, spacing: float) -> np.ndarray:
    """Return the lattice translations spanned by approximate ones (3,) in A and the cell: (G, 3) fractional.

    The three shortest linearly independent ones are a basis. The cell vectors are integer combinations of it, which
    makes the translations exact. Zero is first.
    """
    # Short vectors first, since errors grow with the multiples.
    cell = np.asarray(minkowski_reduce(frame.cell)[0])
    candidates = cell
    if len(translations):
        candidates = np.concatenate([find_mic(np.array(translations), cell)[0], cell])
    basis = np.empty((0, 3))
    for candidate in candidates[np.argsort(np.linalg.norm(candidates, axis=1), kind="stable")]:
        tried = np.concatenate([basis, [candidate]])
        # For independent vectors the smallest singular value is far above the errors.
        if np.linalg.svd(tried, compute_uv=False)[-1] > spacing / 2:
            basis = tried
        if len(basis) == 3:
            break
    if len(basis) < 3:
        return np.zeros((1, 3))
    multiples = np.round(cell @ np.linalg.inv(basis))
    order = round(abs(np.linalg.det(multiples)))
    # More translations than sites: some of them are spurious.
    if not 1 <= order <= 2 * len(frame):
        return np.zeros((1, 3))
    group = np.zeros((1, 3), dtype=int)
    for step in np.round(np.linalg.inv(multiples) * order).astype(int):
        steps = np.arange(order)[:, None] * step
        group = np.unique((group[:, None] + steps).reshape(-1, 3) % order, axis=0)
    return group / order @ cell @ np.linalg.inv(frame.cell.array)


def _crystal(points: Sequence[HostSites], seeds: np.ndarray, translations: np.ndarray, spacing: float) -> Atoms:
    """Return the crystal of the sites that most translations map onto atoms of the frames.

    :param points: the atoms of frames, without drift and in one cell.
    :param seeds: initial positions of sites, (K, 3) in A.
    """
    cell = points[0].cell
    shifts = translations @ cell
    positions = np.empty((0, 3))
    numbers: list[int] = []
    for seed in seeds:
        if _is_taken(positions, cell, seed, spacing):
            continue
        place, number = _mean_position(points, seed, shifts, spacing)
        if number is not None and not _is_taken(positions, cell, place, spacing):
            positions = np.concatenate([positions, place + shifts])
            numbers += [number] * len(shifts)
    if not numbers:
        raise InputError(
            f"No crystal is found in the frames: no site is mapped onto itself by most translations. {_ADVICE}"
        )
    host = Atoms(numbers, positions, cell=cell, pbc=True)
    host.wrap()
    return host


def _is_taken(positions: np.ndarray, cell: np.ndarray, position: np.ndarray, spacing: float) -> bool:
    """Return whether a position (3,) in A is within the cloud of one of the sites."""
    if not len(positions):
        return False
    return float(find_mic(positions - position, cell)[1].min()) < _CLOUD * spacing


def _mean_position(
    points: Sequence[HostSites], seed: np.ndarray, shifts: np.ndarray, spacing: float
) -> tuple[np.ndarray, int | None]:
    """Return the mean position (3,) of atoms near a seed and its images, and the majority species; None if too few.

    :param shifts: vectors from the seed to its images, (G, 3) in A.
    """
    position = seed
    # The seed is an atom, which may be far from its site.
    for radius in (_SAME_ATOM, _SAME_ATOM, *[_CLOUD] * 6):
        displacements = [sites.displacements(position + shifts) for sites in points]
        vectors = np.concatenate([part[1] for part in displacements])
        near = np.linalg.norm(vectors, axis=1) < radius * spacing
        if not near.any():
            return position, None
        position = position - vectors[near].mean(axis=0)
    if near.mean() <= 0.5:
        return position, None
    numbers = np.concatenate([sites.numbers[part[0]] for sites, part in zip(points, displacements, strict=True)])
    return position, int(np.bincount(numbers[near]).argmax())
