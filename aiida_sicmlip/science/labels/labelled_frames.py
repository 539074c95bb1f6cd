"""The file of labelled configurations: NumPy's npz at full precision, whose bytes depend on the data alone.

Arrays of the file (F frames, A atoms in all of them together), little-endian and in C order:

============= =========== ======= ====================================================
name          shape       type    meaning
============= =========== ======= ====================================================
n_atoms       (F,)        int64   number of atoms of each frame
numbers       (A,)        int64   atomic numbers, frame after frame
positions     (A, 3)      float64 Cartesian positions in A, as given (not wrapped)
cells         (F, 3, 3)   float64 cell vectors as rows, A
pbc           (F, 3)      bool    periodic directions
energies      (F,)        float64 total energy in eV
forces        (A, 3)      float64 forces in eV/A
charges       (F,)        int64   total charge in e; 0 where there is none
charge_known  (F,)        bool    whether there is a charge
spins         (F,)        int64   number of unpaired electrons; 0 where there is none
spin_known    (F,)        bool    whether there is a spin
levels        (F,)        int64   index of the level of theory
============= =========== ======= ====================================================

The last five are optional: frames of a file without them have neither charge nor spin. Charge, spin and level are
defined in :mod:`aiida_sicmlip.science.labels.states`.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import BinaryIO

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.common.exceptions import InputError, NoForcesError
from aiida_sicmlip.common.new_files import write_new
from aiida_sicmlip.science.archives import array_archive
from aiida_sicmlip.science.labels.states import LabelState, set_state, state_of_frame

LABEL_ARRAYS: dict[str, str] = {
    "n_atoms": "<i8",
    "numbers": "<i8",
    "positions": "<f8",
    "cells": "<f8",
    "pbc": "|b1",
    "energies": "<f8",
    "forces": "<f8",
}
STATE_ARRAYS: dict[str, str] = {
    "charges": "<i8",
    "charge_known": "|b1",
    "spins": "<i8",
    "spin_known": "|b1",
    "levels": "<i8",
}
ARRAY_TYPES = LABEL_ARRAYS | STATE_ARRAYS
Source = str | PathLike[str] | BinaryIO


def write_labelled_frames(target: Source, frames: Sequence[Atoms], states: Sequence[LabelState] | None = None) -> None:
    """Write labelled frames to a path or a binary file; equal data give equal bytes, whenever they are written.

    Stored are species, positions, cell, periodicity, energy, forces, charge, spin and index of the level of theory.
    Velocities, constraints, magnetic moments and the rest of `info` are no part of a label and are not stored. Forces
    are those of the calculator, without constraints.

    :param states: charge, spin and level of each frame; by default those in `info`.
    :raises InputError: when there is no frame, or a frame lacks a finite energy or forces.
    """
    content = serialise_labelled_frames(frames, states)
    if isinstance(target, (str, PathLike)):
        write_new(target, content)
    else:
        target.write(content)


def serialise_labelled_frames(frames: Sequence[Atoms], states: Sequence[LabelState] | None = None) -> bytes:
    """Return the bytes of the file that :func:`write_labelled_frames` writes."""
    arrays = pack_frames(frames, states)
    return array_archive({name: arrays[name] for name in ARRAY_TYPES})


def read_labelled_frames(source: Source) -> list[Atoms]:
    """Read the frames, each with energy (eV) and forces (eV/A) in a SinglePointCalculator, and its state in `info`.

    :raises InputError: when the file holds no labelled frames, holds pickled objects or is inconsistent;
        :class:`NoForcesError` when forces are missing.
    """
    return unpack_frames(read_arrays(source))


def read_states(source: Source) -> list[LabelState]:
    """Read only charge, spin and level of the frames.

    :raises InputError: as :func:`read_labelled_frames`.
    """
    with _opened(source) as archive:
        return _states(_state_arrays(archive))


def read_arrays(source: Source) -> dict[str, np.ndarray]:
    """Read the arrays of the module's table and check that they are consistent.

    :raises InputError: as :func:`read_labelled_frames`.
    """
    with _opened(source) as archive:
        arrays = _read(archive, LABEL_ARRAYS) | _state_arrays(archive)
    _check_arrays(arrays)
    return arrays


def pack_frames(frames: Sequence[Atoms], states: Sequence[LabelState] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of the module's table for labelled frames.

    :param states: as of :func:`write_labelled_frames`.
    :raises InputError: when there is no frame, or a frame lacks a finite energy or forces.
    """
    if not len(frames):
        raise InputError("There are no frames to write: give at least one labelled frame.")
    labels = [label_of_frame(frame, index) for index, frame in enumerate(frames)]
    arrays = {
        "n_atoms": np.array([len(frame) for frame in frames]),
        "numbers": np.concatenate([frame.numbers for frame in frames]),
        "positions": np.concatenate([frame.positions for frame in frames]),
        "cells": np.array([frame.cell.array for frame in frames]),
        "pbc": np.array([frame.pbc for frame in frames]),
        "energies": np.array([energy for energy, _ in labels]),
        "forces": np.concatenate([forces for _, forces in labels]),
        **_pack_states([state_of_frame(frame) for frame in frames] if states is None else states),
    }
    return {name: np.ascontiguousarray(arrays[name], dtype=kind) for name, kind in ARRAY_TYPES.items()}


def unpack_frames(arrays: Mapping[str, np.ndarray]) -> list[Atoms]:
    """Return the labelled frames that the arrays of the module's table describe."""
    ends = np.cumsum(arrays["n_atoms"])
    states = _states(arrays)
    frames = []
    for index, (end, count) in enumerate(zip(ends, arrays["n_atoms"], strict=True)):
        span = slice(int(end - count), int(end))
        frame = Atoms(
            numbers=arrays["numbers"][span],
            positions=arrays["positions"][span],
            cell=arrays["cells"][index],
            pbc=arrays["pbc"][index],
        )
        frame.calc = SinglePointCalculator(
            frame, energy=float(arrays["energies"][index]), forces=arrays["forces"][span].copy()
        )
        set_state(frame, states[index])
        frames.append(frame)
    return frames


def label_of_frame(frame: Atoms, index: int) -> tuple[float, np.ndarray]:
    """Return energy (eV) and forces (N, 3) (eV/A) stored in the frame; nothing is computed.

    :param index: of the frame, for the error message.
    :raises InputError: when energy or forces are missing, not finite or of the wrong shape.
    """
    if not len(frame):
        raise InputError(f"Frame {index} has no atoms.")
    values = {}
    for name in ("energy", "forces"):
        # With `allow_calculation=False`, a calculator whose results belong to other positions returns None.
        value = None if frame.calc is None else frame.calc.get_property(name, frame, allow_calculation=False)
        if value is None:
            raise InputError(
                f"Frame {index} ({frame.get_chemical_formula()}) has no {name}: attach a SinglePointCalculator with "
                "the energy (eV) and the forces (eV/A) of exactly these positions."
            )
        values[name] = np.asarray(value, dtype=np.float64)
        if not np.isfinite(values[name]).all():
            raise InputError(f"Frame {index} ({frame.get_chemical_formula()}) has a {name} value that is not finite.")
    if values["forces"].shape != (len(frame), 3):
        raise InputError(
            f"Frame {index} has {len(frame)} atoms, but forces of shape {values['forces'].shape}; expected is "
            f"({len(frame)}, 3)."
        )
    return float(values["energy"]), values["forces"]


@contextlib.contextmanager
def _opened(source: Source) -> Iterator[np.lib.npyio.NpzFile]:
    """Open an npz archive for reading, from a path or from a binary file at its current position."""
    try:
        archive = np.load(source, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as exception:
        # np.load raises ValueError for pickles, and for anything that it takes for one.
        raise InputError(
            "The file of labelled frames is not an npz archive, or it holds pickled objects, which are never loaded; "
            "write it with write_labelled_frames."
        ) from exception
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise InputError("The file of labelled frames is a single array (npy); expected is an npz archive.")
    with archive:
        yield archive


def _read(archive: np.lib.npyio.NpzFile, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Read arrays of an archive.

    :raises InputError: if one is missing, cannot be read or is of another type.
    """
    missing = sorted(set(names) - set(archive.files))
    if missing:
        kind_of_error = NoForcesError if "forces" in missing else InputError
        raise kind_of_error(
            f"The file of labelled frames lacks the array(s) {', '.join(missing)}; it was not written by this package."
        )
    arrays = {}
    for name in names:
        try:
            arrays[name] = archive[name]
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as exception:
            raise InputError(
                f"The array `{name}` of the file of labelled frames cannot be read ({exception}); write it again."
            ) from exception
        if arrays[name].dtype != np.dtype(ARRAY_TYPES[name]):
            raise InputError(
                f"The array `{name}` of the file of labelled frames is of type {arrays[name].dtype}, expected is "
                f"{np.dtype(ARRAY_TYPES[name])}."
            )
    return arrays


def _state_arrays(archive: np.lib.npyio.NpzFile) -> dict[str, np.ndarray]:
    """Read charges, spins and levels; by default none, and a single level."""
    if set(STATE_ARRAYS) & set(archive.files):
        return _read(archive, STATE_ARRAYS)
    return _pack_states([LabelState()] * len(_read(archive, ["n_atoms"])["n_atoms"]))


def _pack_states(states: Sequence[LabelState]) -> dict[str, np.ndarray]:
    """Return the arrays of charges, spins and levels."""
    return {
        "charges": np.array([state.charge or 0 for state in states], dtype="<i8"),
        "charge_known": np.array([state.charge is not None for state in states]),
        "spins": np.array([state.spin or 0 for state in states], dtype="<i8"),
        "spin_known": np.array([state.spin is not None for state in states]),
        "levels": np.array([state.level for state in states], dtype="<i8"),
    }


def _states(arrays: Mapping[str, np.ndarray]) -> list[LabelState]:
    """Return the states that arrays of charges, spins and levels describe."""
    columns = (arrays[name].tolist() for name in STATE_ARRAYS)
    return [
        LabelState(charge if has_charge else None, spin if has_spin else None, level)
        for charge, has_charge, spin, has_spin, level in zip(*columns, strict=True)
    ]


def _check_arrays(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise InputError unless the shapes agree with each other and all numbers are finite."""
    n_frames = arrays["n_atoms"].size
    total = int(arrays["n_atoms"].sum())
    shapes: dict[str, tuple[int, ...]] = {
        "n_atoms": (n_frames,),
        "numbers": (total,),
        "positions": (total, 3),
        "cells": (n_frames, 3, 3),
        "pbc": (n_frames, 3),
        "energies": (n_frames,),
        "forces": (total, 3),
        **dict.fromkeys(STATE_ARRAYS, (n_frames,)),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise InputError(
                f"The array `{name}` of the file of labelled frames has the shape {arrays[name].shape}; with "
                f"{n_frames} frames and {total} atoms it must be {shape}."
            )
        if arrays[name].dtype.kind == "f" and not np.isfinite(arrays[name]).all():
            raise InputError(f"The array `{name}` of the file of labelled frames holds numbers that are not finite.")
    if (arrays["n_atoms"] <= 0).any():
        raise InputError("The array `n_atoms` of the file of labelled frames holds a number that is not positive.")
