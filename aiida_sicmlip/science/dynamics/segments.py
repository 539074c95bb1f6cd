"""Segments of molecular dynamics as files: the frames of a DCD with metadata that the file does not contain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from aiida_sicmlip.science.dynamics.dcd import Source, read_dcd
from aiida_sicmlip.science.dynamics.lammps_input import rotation_to_lammps


def frames_of_dcd(
    source: Source, symbols: Sequence[str], cell: np.ndarray, indices: Sequence[int] | None = None
) -> list[Atoms]:
    """Return frames that LAMMPS wrote, wrapped into the cell and turned back into the user's orientation.

    :param symbols: chemical symbol of each atom.
    :param cell: (3, 3) in A in the user's orientation, of all frames.
    :param indices: which frames, from 0; all of them by default.
    :raises InputError: as :func:`~aiida_sicmlip.science.dynamics.dcd.read_dcd`.
    """
    _, rotation = rotation_to_lammps(np.asarray(cell, dtype=float))
    positions, _ = read_dcd(source, indices)
    frames = []
    for coordinates in positions:
        atoms = Atoms(list(symbols), positions=coordinates @ rotation.T, cell=cell, pbc=True)
        atoms.wrap()
        frames.append(atoms)
    return frames


@dataclass(frozen=True)
class SegmentFile:
    """A segment on disk.

    segment: its index among all of the run.
    structure: name of its initial structure.
    trajectory: index of the first segment of its trajectory.
    first_time: time of the first frame since the start of the trajectory, in ps.
    interval: time between two frames, in ps.
    kept: frames that pass a filter, None where all do.
    """

    path: Path
    symbols: tuple[str, ...]
    cell: tuple[tuple[float, ...], ...]
    n_frames: int
    segment: int
    structure: str
    trajectory: int
    first_time: float
    interval: float
    kept: tuple[int, ...] | None = None

    def frames(self, indices: Sequence[int]) -> list[Atoms]:
        """Return the frames with these indices, as :func:`frames_of_dcd`."""
        return frames_of_dcd(self.path, self.symbols, np.array(self.cell), list(indices))

    def times(self) -> np.ndarray:
        """Return the time of each frame in ps, (n_frames,)."""
        return self.first_time + self.interval * np.arange(self.n_frames)
