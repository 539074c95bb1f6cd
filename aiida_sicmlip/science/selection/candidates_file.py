"""The file of a round's candidates: an npz archive whose bytes depend on the candidates alone."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from os import PathLike
from typing import BinaryIO

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.new_files import write_new
from aiida_sicmlip.science.archives import array_archive

ARRAY_TYPES = {
    "n_atoms": "<i8",
    "numbers": "|u1",
    "positions": "<f8",
    "cells": "<f8",
    "descriptors": "<f4",
    "segment": "<i8",
    "frame": "<i8",
    "trajectory": "<i8",
    "time": "<f8",
    "held_out": "|b1",
    "migrating": "|b1",
    "reference_distance": "<f8",
    "for_training": "|b1",
    "for_validation": "|b1",
    "keys": "<f8",
    "represents": "<i8",
    "disagreement": "<f8",
    "max_force": "<f8",
    "earlier_disagreement": "<f8",
    "earlier_max_force": "<f8",
    "earlier_reference_distance": "<f8",
    "earlier_for_training": "|b1",
    "earlier_for_validation": "|b1",
    "asked": "<i8",
    "centres": "<f8",
    "cluster_sizes": "<f8",
    "mean": "<f8",
    "axes": "<f8",
    "pool_map": "<f4",
    "reference_map": "<f4",
}


PREDICTED = ("disagreement", "max_force", "earlier_disagreement", "earlier_max_force")
"""Arrays that files of earlier versions lack; then nothing of this is known."""


@dataclass(frozen=True)
class Candidates:
    """C candidates of a round, updated properties of E candidates of earlier rounds, and clusters of all frames.

    Arrays are (C,) unless stated otherwise; those of earlier candidates, `earlier_...`, are (E,) in their order.

    n_atoms: number of atoms of each candidate; N in total.
    numbers: atomic numbers of all candidates, concatenated, (N,).
    positions: (N, 3) in A, at the full precision of the trajectories, wrapped into the cells.
    cells: (C, 3, 3) in A.
    descriptors: (C, D) of unit length.
    segment: as in :class:`~aiida_sicmlip.science.selection.picks.Picks`.
    frame: likewise.
    trajectory: likewise.
    time: likewise, in ps.
    held_out: whether its trajectory is never trained on.
    migrating: whether it has a migrating atom; False for all where no share of the picks was asked for these.
    reference_distance: distance from the training set.
    for_training: whether a candidate may be picked as a training configuration.
    for_validation: likewise.
    keys: random numbers in [0, 1).
    represents: number of frames of the round that each represents.
    disagreement: largest disagreement of the exploring potential's committee on the force on an atom, in eV/A; not a
        number where it is not known.
    max_force: largest force on an atom that a member predicts, in eV/A; likewise.
    asked: numbers of training, validation and fixed validation configurations to pick, (3,).
    centres: (K, D) of clusters of all frames sampled so far.
    cluster_sizes: number of frames of each, (K,).
    mean: of the round's descriptors, (D,).
    axes: directions of the map, (2, D).
    pool_map: coordinates of frames on it, (M, 2).
    reference_map: likewise of the training set, (T, 2).
    """

    n_atoms: np.ndarray
    numbers: np.ndarray
    positions: np.ndarray
    cells: np.ndarray
    descriptors: np.ndarray
    segment: np.ndarray
    frame: np.ndarray
    trajectory: np.ndarray
    time: np.ndarray
    held_out: np.ndarray
    migrating: np.ndarray
    reference_distance: np.ndarray
    for_training: np.ndarray
    for_validation: np.ndarray
    keys: np.ndarray
    represents: np.ndarray
    disagreement: np.ndarray
    max_force: np.ndarray
    earlier_disagreement: np.ndarray
    earlier_max_force: np.ndarray
    earlier_reference_distance: np.ndarray
    earlier_for_training: np.ndarray
    earlier_for_validation: np.ndarray
    asked: np.ndarray
    centres: np.ndarray
    cluster_sizes: np.ndarray
    mean: np.ndarray
    axes: np.ndarray
    pool_map: np.ndarray
    reference_map: np.ndarray

    def __len__(self) -> int:
        return len(self.n_atoms)

    def structure(self, row: int) -> Atoms:
        """Return a candidate as a periodic structure."""
        end = int(self.n_atoms[: row + 1].sum())
        span = slice(end - int(self.n_atoms[row]), end)
        return Atoms(
            numbers=self.numbers[span].astype(int),
            positions=self.positions[span],
            cell=self.cells[row],
            pbc=True,
        )


def pack_structures(structures: Sequence[Atoms]) -> dict[str, np.ndarray]:
    """Return the arrays `n_atoms`, `numbers`, `positions` and `cells` of structures."""
    return {
        "n_atoms": np.array([len(atoms) for atoms in structures], dtype=np.int64),
        "numbers": np.concatenate([np.empty(0, dtype=int), *(atoms.numbers for atoms in structures)]),
        "positions": np.concatenate([np.empty((0, 3)), *(atoms.positions for atoms in structures)]),
        "cells": np.array([atoms.cell.array for atoms in structures]).reshape(-1, 3, 3),
    }


def write_candidates(path: str | PathLike[str], candidates: Candidates) -> None:
    """Write candidates; equal ones give equal bytes, whenever they are written."""
    arrays = {name: np.ascontiguousarray(getattr(candidates, name), dtype=kind) for name, kind in ARRAY_TYPES.items()}
    write_new(path, array_archive(arrays))


def read_candidates(source: str | PathLike[str] | BinaryIO) -> Candidates:
    """Read candidates.

    :raises InputError: when the file holds no candidates, or its arrays are inconsistent.
    """
    try:
        archive = np.load(source, allow_pickle=False)
        added = ("migrating", *PREDICTED)
        arrays = {field.name: archive[field.name] for field in fields(Candidates) if field.name not in added}
        # Files of earlier versions do not tell.
        arrays["migrating"] = archive["migrating"] if "migrating" in archive else np.zeros(len(arrays["time"]), bool)
        for name in PREDICTED:
            like = arrays["earlier_reference_distance" if name.startswith("earlier_") else "reference_distance"]
            arrays[name] = archive[name] if name in archive else np.full(len(like), np.nan)
    except (OSError, ValueError, EOFError, KeyError, IndexError, zipfile.BadZipFile) as error:
        raise InputError(
            f"The file of candidates cannot be read ({error}): give one that this package wrote."
        ) from error
    candidates = Candidates(**arrays)
    count = len(candidates)
    per_candidate = (
        *("descriptors", "segment", "frame", "trajectory", "time", "held_out", "migrating", "keys", "represents"),
        *("cells", *PREDICTED[:2]),
    )
    if (
        any(len(arrays[name]) != count for name in per_candidate)
        or len(candidates.positions) != arrays["n_atoms"].sum()
    ):
        raise InputError("The arrays of the file of candidates are inconsistent: compute the candidates again.")
    return candidates
