"""A plumed.dat over a trajectory, with the output of `plumed driver`: `sicmlip driver`."""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias import Bias, BiasResult
from aiida_sicmlip.science.bias.printing import number_format
from aiida_sicmlip.science.bias.units import EV_IN_KJ_MOL, LENGTHS, unit_size
from aiida_sicmlip.science.extended_xyz import read_blocks
from aiida_sicmlip.science.frame_checks import LARGEST_POSITION


def drive(options: argparse.Namespace) -> None:
    """Evaluate the actions of a plumed.dat on each frame of a trajectory; and write their files.

    :raises InputError: when a file or an option cannot be used.
    """
    unit = unit_size(options.length_units, LENGTHS, "The option --length-units") / LENGTHS["A"]
    fmt = number_format(options.dump_forces_fmt, "The option --dump-forces-fmt")
    kt_ev = None if options.kt is None else options.kt / EV_IN_KJ_MOL
    bias: Bias | None = None
    forces_file: TextIO | None = None
    try:
        for index, (positions, cell) in enumerate(read_frames(options.ixyz)):
            if bias is None:
                bias = Bias.from_file(
                    options.plumed,
                    kt_ev=kt_ev,
                    timestep_ps=options.timestep,
                    n_atoms=len(positions),
                    restart=options.restart,
                )
                if options.dump_forces:
                    forces_file = _open_output(options.dump_forces)
            step = options.initial_step + index * options.trajectory_stride
            result = bias.calculate(step, positions * unit, cell * unit)
            if forces_file:
                _write_forces(forces_file, result, unit, fmt, full_virial=options.dump_full_virial)
    finally:
        if bias:
            bias.close()
        if forces_file:
            forces_file.close()


def read_frames(path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield positions (N, 3) and cells (3, 3) of an xyz file whose second lines hold the box, in the file's unit.

    The box is three edges, nine numbers (the vectors one after the other), or zeros for no box.

    :raises InputError: when the file cannot be read, or a frame is truncated, has another number of atoms or a number
        that is not finite; the message names the frame.
    """
    n_atoms = None
    for block in read_blocks(path):
        if n_atoms is not None and len(block.rows) != n_atoms:
            raise InputError(f"{block.where} has {len(block.rows)} atoms, the first has {n_atoms}.")
        n_atoms = len(block.rows)
        cell = _cell(block.comment, block.where)
        try:
            positions = np.array([row.split()[1:4] for row in block.rows], dtype=float).reshape(n_atoms, 3)
        except ValueError as error:
            raise InputError(f"{block.where} must have {n_atoms} lines `name x y z`.") from error
        if not np.abs(positions).max() <= LARGEST_POSITION:
            raise InputError(f"{block.where} has a coordinate that is not finite, or is above {LARGEST_POSITION:g}.")
        yield positions, cell
    if n_atoms is None:
        raise InputError(f"The trajectory `{path}` holds no frame.")


def _cell(line: str, where: str) -> np.ndarray:
    try:
        numbers = [float(word) for word in line.split()]
    except ValueError:
        numbers = []
    if not np.abs(numbers).max(initial=0.0) <= LARGEST_POSITION:
        raise InputError(f"{where} has the box `{line.strip()}`; give finite numbers below {LARGEST_POSITION:g}.")
    if len(numbers) == 3:
        return np.diag(numbers)
    if len(numbers) == 9:
        return np.array(numbers).reshape(3, 3)
    raise InputError(f"{where} has `{line.strip()}` as its second line; it must be the box, 3 or 9 numbers.")


def _open_output(path: Path) -> TextIO:
    try:
        return gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w")  # type: ignore[return-value]
    except OSError as error:
        raise InputError(f"The forces cannot be written to `{path}`: {error.strerror}.") from error


def _write_forces(file: TextIO, result: BiasResult, unit: float, fmt: str, *, full_virial: bool) -> None:
    """Write one frame: number of atoms, virial in kJ/mol, and a line `X fx fy fz` for each atom."""
    virial = -EV_IN_KJ_MOL * result.virial  # PLUMED's has the sign of the derivative of the energy with strain
    forces = result.forces * (EV_IN_KJ_MOL * unit)
    numbers = virial.ravel() if full_virial else np.diag(virial)
    row = f"X {fmt} {fmt} {fmt}\n"
    file.write(f"{len(forces)}\n" + " ".join(fmt % number for number in numbers) + "\n")
    file.write((row * len(forces)) % tuple(forces.ravel()))
