"""Trajectories in DCD, as `dump dcd` of LAMMPS writes them: read frame by frame, anywhere in the file.

A DCD is a sequence of Fortran records (a 4-byte length, the content, the length again): a header of 84 bytes, a title,
the number of atoms; then for each frame the cell (six float64) and x, y, z (float32 each). Every frame has the same
size, so that the position of frame k is known. Atoms are in the order of their ids. Positions are in the orientation of
LAMMPS; :func:`aiida_sicmlip.science.dynamics.lammps_input.rotation_to_lammps` gives the rotation to the user's.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aiida_sicmlip.common.exceptions import InputError

Source = str | PathLike[str] | BinaryIO

_HEADER_RECORD = 84
_CELL_RECORD = 48
_LONGEST_HEADER_RECORD = 1 << 20


@dataclass(frozen=True)
class DcdHeader:
    """Header of a DCD: sizes, and the simulation step of each frame.

    `n_frames` is the number of complete frames in the file, independent of the file's own counter: a killed run leaves
    the counter and the last frame incomplete.
    """

    n_atoms: int
    n_frames: int
    first_step: int
    steps_between_frames: int
    has_cell: bool
    offset: int  # bytes before the first frame
    byte_order: str  # `<` or `>`

    @property
    def frame_bytes(self) -> int:
        """Size of one frame in bytes."""
        return (8 + _CELL_RECORD if self.has_cell else 0) + 3 * (8 + 4 * self.n_atoms)

    @property
    def steps(self) -> np.ndarray:
        """Simulation steps of the frames, (F,) int64."""
        return self.first_step + self.steps_between_frames * np.arange(self.n_frames, dtype=np.int64)


def read_dcd_header(source: Source) -> DcdHeader:
    """Read the header and count the complete frames.

    :raises InputError: when the file is no DCD, holds fixed atoms or a fourth dimension, or is truncated within its
        header.
    """
    with _opened(source) as handle:
        return _read_header(handle)


def count_dcd_frames(source: Source) -> int:
    """Return the number of complete frames; a frame that a killed run left unfinished does not count.

    An empty file, which LAMMPS leaves when it stops before the first frame, has none.

    :raises InputError: as :func:`read_dcd_header` for any other file without a header.
    """
    with _opened(source) as handle:
        return _read_header(handle).n_frames if handle.seek(0, os.SEEK_END) else 0


def read_dcd(source: Source, indices: Sequence[int] | np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read frames, all of them or those of the given indices in the order given.

    :param indices: frame numbers from 0; negative ones are refused.
    :return: positions (F, N, 3) in A as float64 of the file's float32 (24 bytes an atom and frame in memory), and cells
        (F, 6): lengths a, b, c in A and angles alpha, beta, gamma in degrees; NaN where the file has no cells.
    :raises InputError: as :func:`read_dcd_header`, and when an index is outside the file or a frame is damaged.
    """
    with _opened(source) as handle:
        header = _read_header(handle)
        wanted = np.arange(header.n_frames) if indices is None else np.asarray(indices)
        if wanted.size and (wanted.dtype.kind not in "iu" or wanted.min() < 0 or wanted.max() >= header.n_frames):
            raise InputError(
                f"`indices` must be whole numbers from 0 to {header.n_frames - 1}, as the trajectory has "
                f"{header.n_frames} complete frames; given are values from {wanted.min()} to {wanted.max()}."
            )
        positions = np.empty((wanted.size, header.n_atoms, 3))
        cells = np.full((wanted.size, 6), np.nan)
        layout = _frame_layout(header)
        for place, index in enumerate(wanted):
            handle.seek(header.offset + int(index) * header.frame_bytes)
            frames = np.frombuffer(handle.read(header.frame_bytes), dtype=layout, count=1)
            _check_frames(frames, header, int(index))
            frame = frames[0]
            for axis, name in enumerate("xyz"):
                positions[place, :, axis] = frame[name]
            if header.has_cell:
                cells[place] = _cell_parameters(frame["cell"])
    return positions, cells


def read_dcd_pieces(source: Source, n_frames: int | None = None, size: int = 256) -> Iterator[np.ndarray]:
    """Yield the positions of consecutive frames from the first on, in chunks of bounded memory.

    :param n_frames: number of frames; all complete ones by default.
    :param size: frames per chunk; the last one may have fewer.
    :return: (F, N, 3) float32 in A each.
    :raises InputError: as :func:`read_dcd`.
    """
    with _opened(source) as handle:
        header = _read_header(handle)
        layout = _frame_layout(header)
        end = header.n_frames if n_frames is None else min(n_frames, header.n_frames)
        for begin in range(0, end, size):
            count = min(size, end - begin)
            handle.seek(header.offset + begin * header.frame_bytes)
            frames = np.frombuffer(handle.read(count * header.frame_bytes), dtype=layout, count=count)
            _check_frames(frames, header, begin)
            positions = np.empty((count, header.n_atoms, 3), dtype=np.float32)
            for axis, name in enumerate("xyz"):
                positions[:, :, axis] = frames[name]
            yield positions


@contextlib.contextmanager
def _opened(source: Source) -> Iterator[BinaryIO]:
    """Yield a binary handle for a path; a given handle is not closed."""
    if isinstance(source, (str, PathLike)):
        with Path(source).open("rb") as handle:
            yield handle
    else:
        yield source


def _read_record(handle: BinaryIO, order: str) -> bytes:
    """Read one Fortran record at the current position."""
    marker = handle.read(4)
    if len(marker) == 4:
        (length,) = struct.unpack(order + "i", marker)
        # A longer record is damaged: those of the header are its title and a few numbers.
        content = handle.read(length) if 0 <= length <= _LONGEST_HEADER_RECORD else b""
        if len(content) == length and handle.read(4) == marker:
            return content
    raise InputError("The DCD file ends within its header or is damaged there: it holds no frame.")


def _read_header(handle: BinaryIO) -> DcdHeader:
    """Read the three header records from the beginning of the file and measure the rest."""
    size = handle.seek(0, os.SEEK_END)
    if not size:
        raise InputError("The DCD file is empty: the run ended before it wrote its first frame.")
    handle.seek(0)
    start = handle.read(8)
    orders = [order for order in "<>" if start == struct.pack(order + "i4s", _HEADER_RECORD, b"CORD")]
    if not orders:
        raise InputError("The file is no DCD trajectory: it does not begin with the record `CORD`.")
    order = orders[0]
    handle.seek(0)
    control = struct.unpack(order + "9if10i", _read_record(handle, order)[4:])
    if control[8] or control[11]:
        raise InputError("The DCD holds fixed atoms or a fourth dimension, which this reader does not know.")
    _read_record(handle, order)
    counted = _read_record(handle, order)
    (n_atoms,) = struct.unpack(order + "i", counted) if len(counted) == 4 else (0,)
    if n_atoms < 1:
        raise InputError("The DCD file is damaged in its header: it has no number of atoms.")
    offset = handle.tell()
    empty = DcdHeader(n_atoms, 0, control[1], control[2], bool(control[10]), offset, order)
    return DcdHeader(
        n_atoms, (size - offset) // empty.frame_bytes, control[1], control[2], bool(control[10]), offset, order
    )


def _frame_layout(header: DcdHeader) -> np.dtype:
    """Return the structured type of one frame with the record lengths around each part."""
    order, fields = header.byte_order, []
    if header.has_cell:
        fields += [("cell_begin", order + "i4"), ("cell", order + "f8", (6,)), ("cell_end", order + "i4")]
    for name in "xyz":
        fields += [
            (f"{name}_begin", order + "i4"),
            (name, order + "f4", (header.n_atoms,)),
            (f"{name}_end", order + "i4"),
        ]
    return np.dtype(fields)


def _check_frames(frames: np.ndarray, header: DcdHeader, first: int) -> None:
    """Raise InputError unless the record lengths of frames, from frame ``first`` on, are those of the header."""
    expected = dict.fromkeys("xyz", 4 * header.n_atoms) | ({"cell": _CELL_RECORD} if header.has_cell else {})
    for name, length in expected.items():
        damaged = np.flatnonzero((frames[f"{name}_begin"] != length) | (frames[f"{name}_end"] != length))
        if len(damaged):
            index = first + int(damaged[0])
            raise InputError(f"Frame {index} of the DCD is damaged: its record `{name}` has a wrong length.")


def _cell_parameters(record: np.ndarray) -> np.ndarray:
    """Return a, b, c, alpha, beta, gamma (A, degrees) of the record a, gamma, b, beta, alpha, c.

    LAMMPS writes cosines of the angles, other programs degrees; no cell has three angles of at most one degree.
    """
    a, gamma, b, beta, alpha, c = record.astype(np.float64)
    angles = np.array([alpha, beta, gamma])
    if (np.abs(angles) <= 1.0).all():
        angles = np.degrees(np.arccos(angles))
    return np.array([a, b, c, *angles])
