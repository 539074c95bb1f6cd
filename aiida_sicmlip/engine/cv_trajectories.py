"""Trajectories for `sicmlip cv`: the chosen atoms of every n-th frame, file by file and in chunks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.geometry import cellpar_to_cell

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.engine.frames import read_structures
from aiida_sicmlip.science.archives import read_array
from aiida_sicmlip.science.dynamics.dcd import count_dcd_frames, read_dcd, read_dcd_header
from aiida_sicmlip.science.extended_xyz import read_extended_xyz

# 216 atoms in double precision: 5 MB.
_FRAMES_AT_ONCE = 1000


@dataclass(frozen=True)
class Frames:
    """Frames of the chosen atoms: positions (F, N, 3) and cells (F, 3, 3) in A, periodic axes (3,)."""

    positions: np.ndarray
    cells: np.ndarray
    pbc: np.ndarray


@dataclass(frozen=True)
class ChosenAtoms:
    """The atoms to read, and the group of each, whose atoms must be of one element.

    symbols: of all atoms, where a structure file gives them.
    """

    atoms: Sequence[int]
    groups: Mapping[str, Sequence[int]]
    symbols: Sequence[str] | None = None

    def check(self, n_atoms: int, symbols: Sequence[str] | None, what: str) -> None:
        """Raise InputError unless a frame holds the atoms, and they are of the groups' elements."""
        if self.symbols is not None and len(self.symbols) != n_atoms:
            raise InputError(f"{what} has {n_atoms} atoms, but the structure file has {len(self.symbols)}.")
        if max(self.atoms) >= n_atoms:
            raise InputError(
                f"`groups` names atom {max(self.atoms)}, but {what} has atoms 0 to {n_atoms - 1}: indices start at 0."
            )
        if symbols is not None and self.symbols is not None and list(symbols) != list(self.symbols):
            raise InputError(f"{what} has other species, or another order of atoms, than the first structure given.")
        for name, members in self.groups.items():
            elements = {(symbols or self.symbols or ["X"] * n_atoms)[member] for member in members}
            if len(elements) > 1:
                raise InputError(
                    f"`groups.{name}` holds atoms of {' and '.join(sorted(elements))} in {what}: identical atoms are "
                    f"of one element."
                )


def read_structure(path: Path) -> Atoms:
    """Return the last structure of a file that ASE reads.

    :raises InputError: when it cannot be read.
    """
    return read_structures(path, "structure")[-1]


def read_kept(path: Path) -> np.ndarray:
    """Return the numbers of the frames to use, (K,) int64 ascending, of a `.npy` file.

    :raises InputError: when it does not hold different numbers from 0.
    """
    kept = read_array(path, f"The frames to use, `{path}`,")
    if kept.ndim != 1 or (len(kept) and (kept.dtype.kind not in "iu" or kept[0] < 0 or (np.diff(kept) <= 0).any())):
        raise InputError(f"`{path}` must hold numbers of frames from 0 in ascending order.")
    return kept.astype(np.int64)


def read_frames(
    path: Path, chosen: ChosenAtoms, every: int, n_frames: int | None = None, kept: np.ndarray | None = None
) -> Iterator[Frames]:
    """Yield the frames 0, `every`, 2 `every`, ... of one file in chunks.

    :param n_frames: number of frames to use, from the first; all of them by default.
    :param kept: numbers, ascending, of the frames to use, of which every n-th is yielded; all of them by default.
    :raises InputError: when the file cannot be read or does not hold the chosen atoms.
    """
    if not path.is_file():
        raise InputError(f"The trajectory `{path}` does not exist: give a file.")
    wanted = kept
    if kept is not None:
        wanted = (kept if n_frames is None else kept[kept < n_frames])[::every]
    yield from (_from_dcd if path.suffix == ".dcd" else _from_xyz)(path, chosen, every, n_frames, wanted)


def _from_dcd(
    path: Path, chosen: ChosenAtoms, every: int, n_frames_given: int | None, wanted: np.ndarray | None
) -> Iterator[Frames]:
    n_frames = count_dcd_frames(path)
    what = f"the trajectory `{path}`"
    if n_frames_given is not None and n_frames_given > n_frames:
        raise InputError(f"`n_frames` says {n_frames_given} for {what}, which has {n_frames}.")
    _check_kept(wanted, n_frames, what)
    if not n_frames:
        return
    header = read_dcd_header(path)
    chosen.check(header.n_atoms, None, what)
    if not header.has_cell:
        raise InputError(f"{what.capitalize()} has no cells, which distances to the nearest image need.")
    wanted = np.arange(0, n_frames_given or n_frames, every) if wanted is None else wanted
    for begin in range(0, len(wanted), _FRAMES_AT_ONCE):
        positions, parameters = read_dcd(path, wanted[begin : begin + _FRAMES_AT_ONCE])
        cells = np.stack([cellpar_to_cell(row) for row in parameters])
        yield _checked(Frames(positions[:, list(chosen.atoms)], cells, np.array([True] * 3)), what)


def _from_xyz(
    path: Path, chosen: ChosenAtoms, every: int, n_frames_given: int | None, wanted: np.ndarray | None
) -> Iterator[Frames]:
    what = f"the trajectory `{path}`"
    piece: list[Atoms] = []
    numbers = None if wanted is None else set(wanted.tolist())
    frames = itertools.islice(read_extended_xyz(path), 0, n_frames_given, every if numbers is None else 1)
    n_read = 0
    while True:
        frame = next(frames, None)
        if frame is not None:
            chosen.check(len(frame), frame.get_chemical_symbols(), what)
            if numbers is None or n_read in numbers:
                piece.append(frame)
            n_read += 1
        if piece and (frame is None or len(piece) == _FRAMES_AT_ONCE):
            if any((other.pbc != piece[0].pbc).any() for other in piece):
                raise InputError(f"Frames of {what} differ in their periodic axes.")
            positions = np.stack([part.positions[list(chosen.atoms)] for part in piece])
            yield _checked(Frames(positions, np.stack([part.cell.array for part in piece]), piece[0].pbc), what)
            piece = []
        if frame is None:
            _check_kept(wanted, n_read, what)
            return


def _check_kept(wanted: np.ndarray | None, n_frames: int, what: str) -> None:
    """Raise InputError when a frame is to be used that a file does not have."""
    if wanted is not None and len(wanted) and wanted[-1] >= n_frames:
        raise InputError(f"`kept` names frame {wanted[-1]} of {what}, which has frames 0 to {n_frames - 1}.")


def _checked(frames: Frames, what: str) -> Frames:
    """Return the frames, or raise InputError when they hold not-a-number."""
    if not (np.isfinite(frames.positions).all() and np.isfinite(frames.cells).all()):
        raise InputError(f"Frames of {what} hold positions or cells that are not finite: cut the run before them.")
    return frames
