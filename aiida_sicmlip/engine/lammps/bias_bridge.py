"""The Python side of ``fix plumed``: the functions that the LAMMPS plugin calls (``plugin/callbacks.h``)."""

from __future__ import annotations

import ctypes
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

import aiida_sicmlip
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.engine.lammps.callbacks import guard, load_library, view

if TYPE_CHECKING:
    from aiida_sicmlip.science.bias import Bias

#: Names PLUMED's library, which then evaluates instead of the built-in evaluator; PLUMED's own variable.
KERNEL_VARIABLE = "PLUMED_KERNEL"

_INT32 = ctypes.POINTER(ctypes.c_int32)
_INT64 = ctypes.POINTER(ctypes.c_int64)
_DOUBLE = ctypes.POINTER(ctypes.c_double)
_MESSAGE = (ctypes.c_void_p, ctypes.c_int)
_OPEN = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_int64,
    ctypes.c_double,
    _INT32,
    ctypes.c_void_p,
    _INT64,
    *_MESSAGE,
)
_COMPUTE = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int32,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    _DOUBLE,
    ctypes.c_void_p,
    ctypes.c_void_p,
    _INT32,
    *_MESSAGE,
)
_CLOSE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int32, *_MESSAGE)


class Evaluator(Protocol):
    """What evaluates a plumed.dat. ``atoms`` (M,) are the atoms, from 0, that its actions need."""

    atoms: np.ndarray

    def evaluate(
        self,
        step: int,
        positions: np.ndarray,
        cell: np.ndarray,
        masses: np.ndarray,
        charges: np.ndarray,
        *,
        counted: bool,
    ) -> tuple[float, np.ndarray, np.ndarray, bool]:
        """Return energy (eV), forces (M, 3) (eV/A), virial (3, 3) (eV, sum of r f) and whether the run has to stop.

        ``counted``: whether this is a new step, at which kernels are deposited and files are written.
        """

    def close(self) -> None:
        """Close the files."""


class BuiltIn:
    """The built-in evaluator, which needs no masses and charges."""

    def __init__(self, bias: Bias):
        self.atoms = bias.atoms
        self._bias = bias

    def evaluate(
        self,
        step: int,
        positions: np.ndarray,
        cell: np.ndarray,
        masses: np.ndarray,
        charges: np.ndarray,
        *,
        counted: bool,
    ) -> tuple[float, np.ndarray, np.ndarray, bool]:
        """Do one step; see :class:`Evaluator`."""
        result = self._bias.calculate_selected(step, positions, cell, counted=counted)
        return result.energy, result.forces, result.virial, False

    def close(self) -> None:
        """Close the files."""
        self._bias.close()


class BiasBridge:
    """Gives the plugin its functions and keeps the biases opened by inputs.

    The object must exist as long as LAMMPS may call the plugin.
    """

    def __init__(self, library: str | Path):
        """Load the plugin's shared library and set its functions; LAMMPS' own library has to be loaded before."""
        self._library = load_library(library)
        self._biases: dict[int, Evaluator] = {}
        self._last_steps: dict[int, int] = {}
        self._opened = 0
        self._functions = (_OPEN(guard(self._open)), _COMPUTE(guard(self._compute)), _CLOSE(guard(self._close)))
        set_callbacks = self._library.sicmlip_set_bias_callbacks
        set_callbacks.argtypes = [_OPEN, _COMPUTE, _CLOSE]
        set_callbacks.restype = None
        set_callbacks(*self._functions)

    def close(self) -> None:
        """Close the files of all biases that are open, as after an error in LAMMPS."""
        for number in list(self._biases):
            self._close(number)

    def _open(  # noqa: PLR0917 (the order of callbacks.h)
        self,
        path: bytes,
        log: bytes | None,
        n_atoms: int,
        timestep: float,
        number: ctypes._Pointer[ctypes.c_int32],
        atoms: int,
        n_selected: ctypes._Pointer[ctypes.c_int64],
    ) -> None:
        report = Path(os.fsdecode(log)) if log is not None else None
        kernel = os.environ.get(KERNEL_VARIABLE, "")
        make: Callable[[Path, Path | None, int, float], Evaluator] = open_built_in
        if kernel:
            from aiida_sicmlip.engine.lammps.plumed_library import PlumedLibrary

            make = PlumedLibrary
        evaluator = make(Path(os.fsdecode(path)), report, n_atoms, timestep)
        count = len(evaluator.atoms)
        np.frombuffer(view(atoms, 8 * count), dtype=np.int64)[:] = evaluator.atoms
        n_selected[0] = count
        number[0] = self._opened
        self._biases[self._opened] = evaluator
        self._opened += 1

    def _compute(  # noqa: PLR0917 (the order of callbacks.h)
        self,
        number: int,
        step: int,
        n: int,
        positions: int,
        masses: int,
        charges: int,
        cell: int,
        energy: ctypes._Pointer[ctypes.c_double],
        forces: int,
        virial: int,
        stop: ctypes._Pointer[ctypes.c_int32],
    ) -> None:
        # A run starts with an evaluation of the last step of the previous run, which must not deposit a kernel again.
        counted = self._last_steps.get(number) != step
        answer = self._biases[number].evaluate(
            step,
            _array(positions, 3 * n).reshape(n, 3),
            _array(cell, 9).reshape(3, 3),
            _array(masses, n),
            _array(charges, n),
            counted=counted,
        )
        self._last_steps[number] = step
        energy[0] = answer[0]
        _array(forces, 3 * n)[:] = answer[1].ravel()
        _array(virial, 9)[:] = answer[2].ravel()
        stop[0] = int(answer[3])

    def _close(self, number: int) -> None:
        self._last_steps.pop(number, None)
        bias = self._biases.pop(number, None)
        if bias is not None:
            bias.close()


def open_built_in(path: Path, log: Path | None, n_atoms: int, timestep_ps: float) -> BuiltIn:
    """Read a plumed.dat for the built-in evaluator and write a summary to ``log``.

    Like LAMMPS' own fix plumed, this passes no temperature to PLUMED, so actions need their `TEMP=`.

    :raises InputError: for an action, a keyword or a value that the evaluator does not know, or a log that cannot be
        written.
    """
    from aiida_sicmlip.science.bias import Bias
    from aiida_sicmlip.science.bias.tables import back_up

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bias = Bias.from_file(path, kt_ev=None, timestep_ps=timestep_ps, n_atoms=n_atoms)
    # The evaluator's warnings are UserWarnings; torch's deprecations have other categories.
    notes = [f"WARNING: fix plumed: {warning.message}" for warning in caught if warning.category is UserWarning]
    for note in notes:
        print(note, file=sys.stderr, flush=True)
    actions = ", ".join(f"{count} {name}" for name, count in Counter(bias.actions).items())
    lines = [
        f"aiida-sicmlip {aiida_sicmlip.__version__}: the built-in evaluator, not PLUMED",
        f"Actions of `{path}`: {actions}",
        f"Atoms that they need: {len(bias.atoms)} of {n_atoms}",
        f"Timestep: {timestep_ps:g} ps",
        *notes,
    ]
    if log is not None:
        try:
            back_up(log)
            log.write_text("\n".join(lines) + "\n")
        except OSError as error:
            bias.close()
            raise InputError(f"The outfile `{log}` cannot be written: {error.strerror}.") from error
    return BuiltIn(bias)


def _array(address: int, count: int) -> np.ndarray:
    """An array of doubles on memory that C++ owns."""
    return np.frombuffer(view(address, 8 * count), dtype=np.float64)
