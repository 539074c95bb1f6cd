"""PLUMED's own library as the evaluator of a plumed.dat, through the Python package ``plumed``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from aiida_sicmlip.common.exceptions import InputError, ProgramError
from aiida_sicmlip.science.bias.units import EV_IN_KJ_MOL, LENGTHS


class PlumedLibrary:
    """The library that the environment variable PLUMED_KERNEL names. It may ask for all atoms: ``atoms`` (N,)."""

    def __init__(self, path: Path, log: Path | None, n_atoms: int, timestep_ps: float):
        """Load the library and let it read the actions in ``path``; it writes its own log to ``log``.

        :raises ProgramError: when the package or the library is missing, or PLUMED refuses the input; the message says
            which.
        """
        kernel = os.environ["PLUMED_KERNEL"]
        try:
            import plumed
        except ImportError as error:
            raise ProgramError(
                f"PLUMED_KERNEL names `{kernel}`, but the Python package `plumed`, which speaks to it, is not "
                "installed: `pip install plumed`; or unset PLUMED_KERNEL for the built-in evaluator."
            ) from error
        self.atoms = np.arange(n_atoms)
        try:
            self._plumed: Any = plumed.Plumed()
        except RuntimeError as error:
            raise ProgramError(
                f"PLUMED_KERNEL names `{kernel}`, which cannot be loaded as PLUMED's library: name its "
                "`libplumedKernel.so`, or unset PLUMED_KERNEL for the built-in evaluator."
            ) from error
        # One eV, one A and one ps in PLUMED's units: kJ/mol, nm and ps.
        self._command("setMDEnergyUnits", EV_IN_KJ_MOL)
        self._command("setMDLengthUnits", LENGTHS["A"])
        self._command("setMDTimeUnits", 1.0)
        self._command("setMDEngine", "LAMMPS")
        self._command("setNatoms", n_atoms)
        self._command("setTimestep", timestep_ps)
        self._command("setPlumedDat", str(path))
        if log is not None:
            self._command("setLogFile", str(log))
        self._command("init")

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
        stop, needs_energy = np.zeros(1, dtype=np.intc), np.zeros(1, dtype=np.intc)
        bias = np.zeros(1)
        # PLUMED keeps the addresses of these arrays until it is done with the step.
        self._command("setStep", step)
        self._command("setStopFlag", stop)
        self._command("setPositions", positions)
        self._command("setMasses", masses)
        self._command("setCharges", charges)
        self._command("setBox", cell)
        self._command("setForces", forces)
        self._command("setVirial", virial)
        self._command("prepareCalc")
        self._command("isEnergyNeeded", needs_energy)
        if needs_energy[0]:
            raise InputError(
                "An action asks for the potential energy (ENERGY), which sicmlip-lmp does not hand on; leave it out, "
                "or use a LAMMPS that was built with PLUMED."
            )
        self._command("performCalc" if counted else "performCalcNoUpdate")
        self._command("getBias", bias)
        # PLUMED's virial is the derivative of the energy with strain.
        return float(bias[0]), forces, -virial, bool(stop[0])

    def close(self) -> None:
        """Let PLUMED close its files."""
        self._plumed.finalize()

    def _command(self, name: str, value: Any = None) -> None:
        try:
            self._plumed.cmd(name, value)
        except Exception as error:
            raise ProgramError(f"PLUMED refuses `{name}`: {error}") from error
