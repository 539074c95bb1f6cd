"""What a data set holds, in numbers: energies, forces, distances, composition and volumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.neighborlist import neighbor_list

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.dataset_comparison import configuration_key
from aiida_sicmlip.science.io.labelled_frames import label_of_frame

# The first reach (A) when nearest pairs are looked for: beyond second neighbours of 3C-SiC.
_FIRST_CUTOFF = 3.5


def dataset_statistics(frames: Sequence[Atoms]) -> dict[str, Any]:
    """Return the statistics of labelled frames as plain values.

    - `n_frames`, `n_atoms` (of all frames), `n_repeated` (configurations that stand more than once, without the first);
    - `formulas`: number of frames of each formula; `species`: number of atoms of each element;
    - `energy_per_atom` (eV): `mean`, `standard_deviation`, `least`, `greatest` over frames;
    - `forces` (eV/A), for `all` atoms and by element: `mean` and `greatest` length of a force, and the root mean square
      `rms` of its Cartesian components;
    - `least_distances` (A) by pair of elements, `C-Si`, periodic images included; absent pairs are left out;
    - `volume` and `volume_per_atom` (A^3): `mean`, `least`, `greatest` over frames with three cell vectors, else None.

    :raises InputError: if there is no frame, or one lacks energy or forces.
    """
    if not len(frames):
        raise InputError("There are no frames to describe: give at least one.")
    labels = [label_of_frame(frame, index) for index, frame in enumerate(frames)]
    sizes = np.array([len(frame) for frame in frames])
    numbers = np.concatenate([frame.numbers for frame in frames])
    forces = np.concatenate([force for _, force in labels])
    energies = np.array([energy for energy, _ in labels]) / sizes
    symbols = {chemical_symbols[number]: numbers == number for number in np.unique(numbers)}
    volumes = np.array([abs(np.linalg.det(frame.cell.array)) for frame in frames])
    has_volume = volumes > 0
    return {
        "n_frames": len(frames),
        "n_atoms": int(sizes.sum()),
        "n_repeated": len(frames) - len({configuration_key(frame) for frame in frames}),
        "formulas": dict(sorted(Counter(frame.get_chemical_formula() for frame in frames).items())),
        "species": {symbol: int(mask.sum()) for symbol, mask in sorted(symbols.items())},
        "energy_per_atom": {**_range(energies), "standard_deviation": float(energies.std())},
        "forces": {
            "all": _force_statistics(forces),
            **{symbol: _force_statistics(forces[mask]) for symbol, mask in sorted(symbols.items())},
        },
        "least_distances": least_distances(frames),
        "volume": _range(volumes[has_volume]) if has_volume.any() else None,
        "volume_per_atom": _range((volumes / sizes)[has_volume]) if has_volume.any() else None,
    }


def grouped_statistics(frames: Sequence[Atoms], groups: Sequence[Hashable]) -> dict[Hashable, dict[str, Any]]:
    """Return :func:`dataset_statistics` of the frames of each group, in the order in which groups first occur.

    :param groups: what each frame belongs to, such as its round.
    :raises InputError: if there are not as many groups as frames, or as :func:`dataset_statistics`.
    """
    if len(frames) != len(groups):
        raise InputError(f"There are {len(frames)} frames, but {len(groups)} groups: name the group of each frame.")
    members: dict[Hashable, list[Atoms]] = {}
    for frame, group in zip(frames, groups, strict=True):
        members.setdefault(group, []).append(frame)
    return {group: dataset_statistics(chosen) for group, chosen in members.items()}


def least_distances(frames: Sequence[Atoms]) -> dict[str, float]:
    """Return the least distance (A) of each pair of elements (`C-C`, `C-Si`) over all frames, periodic images included.

    Pairs that no frame holds, such as the one of a single atom with its own kind where nothing is periodic, are left
    out.
    """
    found: dict[str, float] = {}
    for frame in frames:
        for pair, distance in _least_distances_of_frame(frame).items():
            found[pair] = min(distance, found.get(pair, np.inf))
    return dict(sorted(found.items()))


def _least_distances_of_frame(frame: Atoms) -> dict[str, float]:
    """Return the least distance of each pair of elements of one frame."""
    counts = Counter(frame.get_chemical_symbols())
    wanted = {
        "-".join(pair)
        for pair in combinations_with_replacement(sorted(counts), 2)
        if pair[0] != pair[1] or counts[pair[0]] > 1 or frame.pbc.any()
    }
    found: dict[str, float] = {}
    cutoff = _FIRST_CUTOFF
    symbols = np.array(frame.get_chemical_symbols())
    while not wanted <= set(found):
        first, second, lengths = neighbor_list("ijd", frame, cutoff)
        for pair in wanted - set(found):
            one, other = pair.split("-")
            # Each pair of atoms stands twice, once in each direction.
            chosen = (symbols[first] == one) & (symbols[second] == other)
            if chosen.any():
                found[pair] = float(lengths[chosen].min())
        cutoff *= 2.0
    return found


def _range(values: np.ndarray) -> dict[str, float]:
    """Return mean, least and greatest of some values."""
    return {"mean": float(values.mean()), "least": float(values.min()), "greatest": float(values.max())}


def _force_statistics(forces: np.ndarray) -> dict[str, float]:
    """Return the statistics of forces (N, 3)."""
    lengths = np.linalg.norm(forces, axis=1)
    return {
        "mean": float(lengths.mean()),
        "rms": float(np.sqrt((forces**2).mean())),
        "greatest": float(lengths.max()),
    }
