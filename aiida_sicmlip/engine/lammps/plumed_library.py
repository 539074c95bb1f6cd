"""PLUMED's own library as the evaluator of a plumed.dat, through the table of C functions that it exports.

PyPI's package ``plumed`` uses the same table, but its version 2.10 holds Python's global lock during a call. PLUMED's
PYTORCH_MODEL then fails as soon as the potential has imported torch in the same process: torch refuses to differentiate
while the lock is held. ctypes releases it.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import numpy as np

from aiida_sicmlip.common.exceptions import InputError, ProgramError
from aiida_sicmlip.science.bias.units import EV_IN_KJ_MOL, LENGTHS

_ERROR_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class _Nothrow(ctypes.Structure):
    """Error handler that a function of the library calls instead of throwing an exception."""

    _fields_ = [("pointer", ctypes.c_void_p), ("handler", _ERROR_HANDLER)]


_CREATE = ctypes.CFUNCTYPE(ctypes.c_void_p)
_FINALIZE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_COMMAND = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, _Nothrow)


class _SymbolTable(ctypes.Structure):
    """The first entries of PLUMED's ``plumed_symbol_table``; the last one exists from version 2 on."""

    _fields_ = [
        ("version", ctypes.c_int),
        ("create", _CREATE),
        ("command", ctypes.c_void_p),
        ("finalize", _FINALIZE),
        ("command_nothrow", _COMMAND),
    ]


class PlumedLibrary:
    """The library that the environment variable PLUMED_KERNEL names. It may ask for all atoms: ``atoms`` (N,)."""

    def __init__(self, path: Path, log: Path | None, n_atoms: int, timestep_ps: float):
        """Load the library and let it read the actions in ``path``; it writes its own log to ``log``.

        :raises ProgramError: when the library cannot be loaded, or PLUMED refuses the input.
        """
        self.atoms = np.arange(n_atoms)
        self._table = _load(os.environ["PLUMED_KERNEL"])
        self._errors: list[str] = []
        self._nothrow = _Nothrow(None, _ERROR_HANDLER(lambda _pointer, _code, text, _options: self._note(text)))
        self._plumed: int | None = self._table.create()
        try:
            self._command("setRealPrecision", ctypes.c_int(8))
            # One eV, one A and one ps in PLUMED's units: kJ/mol, nm and ps.
            self._command("setMDEnergyUnits", ctypes.c_double(EV_IN_KJ_MOL))
            self._command("setMDLengthUnits", ctypes.c_double(LENGTHS["A"]))
            self._command("setMDTimeUnits", ctypes.c_double(1.0))
            self._command("setMDEngine", ctypes.c_char_p(b"LAMMPS"))
            self._command("setNatoms", ctypes.c_int(n_atoms))
            self._command("setTimestep", ctypes.c_double(timestep_ps))
            self._command("setPlumedDat", ctypes.c_char_p(os.fsencode(path)))
            if log is not None:
                self._command("setLogFile", ctypes.c_char_p(os.fsencode(log)))
            self._command("init")
        except ProgramError:
            self.close()
            raise

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
        """Do one step; arguments and result are those of ``bias_bridge.Evaluator``.

        :raises ProgramError: when PLUMED fails, with its message.
        :raises InputError: for actions that bias the potential energy.
        """
        forces, virial = np.zeros((len(positions), 3)), np.zeros((3, 3))
        stop, needs_energy, bias = ctypes.c_int(0), ctypes.c_int(0), ctypes.c_double(0.0)
        # PLUMED keeps the addresses of these until the end of the step.
        self._command("setStepLong", ctypes.c_long(step))
        self._command("setStopFlag", stop)
        self._command("setPositions", positions)
        self._command("setMasses", masses)
        self._command("setCharges", charges)
        self._command("setBox", cell)
        self._command("setForces", forces)
        self._command("setVirial", virial)
        self._command("prepareCalc")
        self._command("isEnergyNeeded", needs_energy)
        if needs_energy.value:
            raise InputError(
                "An action asks for the potential energy (ENERGY), which sicmlip-lmp does not pass on; leave it out, "
                "or use a LAMMPS that was built with PLUMED."
            )
        self._command("performCalc" if counted else "performCalcNoUpdate")
        self._command("getBias", bias)
        # PLUMED's virial is the derivative of the energy with strain.
        return bias.value, forces, -virial, bool(stop.value)

    def close(self) -> None:
        """Let PLUMED close its files."""
        if self._plumed is not None:
            self._table.finalize(self._plumed)
            self._plumed = None

    def _command(self, name: str, value: Any = None) -> None:
        """Call a command with the address of a ctypes object, of a contiguous array or of a string."""
        if isinstance(value, np.ndarray):
            address = ctypes.c_void_p(value.ctypes.data)
        elif isinstance(value, ctypes.c_char_p):
            address = ctypes.cast(value, ctypes.c_void_p)
        else:
            address = ctypes.c_void_p(None if value is None else ctypes.addressof(value))
        self._table.command_nothrow(self._plumed, name.encode(), address, self._nothrow)
        if self._errors:
            raise ProgramError(f"PLUMED's command {name} fails: {self._errors.pop()}")

    def _note(self, text: bytes | None) -> None:
        self._errors.append((text or b"").decode(errors="replace").strip())


def _load(kernel: str) -> _SymbolTable:
    """Load a library and return its table of functions.

    :raises ProgramError: when it cannot be loaded or has no such table.
    """
    try:
        # Loaded with local symbols: libraries linked to PLUMED must not replace those of the process.
        table = _SymbolTable.in_dll(ctypes.CDLL(kernel, mode=os.RTLD_NOW | os.RTLD_LOCAL), "plumed_symbol_table")
    except (OSError, ValueError) as error:
        raise ProgramError(
            f"PLUMED_KERNEL names `{kernel}`, which cannot be loaded as PLUMED's library ({error}): name its "
            "`libplumedKernel.so`, or unset PLUMED_KERNEL for the built-in evaluator."
        ) from error
    if table.version < 2:
        raise ProgramError(f"PLUMED_KERNEL names `{kernel}`, which is too old; PLUMED 2.6 or newer is needed.")
    return table
