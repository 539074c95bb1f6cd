"""Output of a biased run: the table of its variables (COLVAR), and the newest state to continue from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias.tables import read_table
from aiida_sicmlip.science.dynamics.plumed_input import BIAS, VARIABLES

#: A restart file of LAMMPS begins and ends with this; a truncated one lacks the end.
RESTART_MAGIC = b"LammpS RestartT\x00"


@dataclass(frozen=True)
class Colvar:
    """The variables of a run and the bias on them, row by row.

    time: (F,) in ps from the start of the production.
    variables: (F, n).
    bias: (F,) in eV, the sum of OPES, walls and restraints.
    quantities: (F,) each: `bias` (of OPES alone, eV), `rct` (eV), `zed`, `neff` and `nker` of OPES, and the energies of
        walls and restraints, such as `upper_walls_0.bias` (eV).
    """

    time: np.ndarray
    variables: np.ndarray
    bias: np.ndarray
    quantities: dict[str, np.ndarray]


def read_colvar(path: Path) -> Colvar:
    """Read the COLVAR of a plumed.dat of :func:`~aiida_sicmlip.science.dynamics.plumed_input.plumed_input`.

    A last row that was truncated when the run was killed is left out.

    :raises InputError: when the file is no table, or holds no variables of such a plumed.dat.
    """
    columns = read_table(path).columns
    numbers = {
        int(found[1]): name for name in columns if (found := re.fullmatch(rf"{re.escape(VARIABLES)}\.node-(\d+)", name))
    }
    if "time" not in columns or sorted(numbers) != list(range(len(numbers))) or not numbers:
        raise InputError(
            f"`{path}` has the columns {', '.join(columns)}; `time` and `{VARIABLES}.node-0`, `{VARIABLES}.node-1`, "
            "... are needed."
        )
    variables = np.stack([columns[numbers[number]] for number in range(len(numbers))], axis=1)
    rest = {name: column for name, column in columns.items() if name != "time" and name not in numbers.values()}
    biases = [column for name, column in rest.items() if name.endswith(".bias")]
    bias = np.sum(biases, axis=0) if biases else np.zeros(len(variables))
    quantities = {name.removeprefix(f"{BIAS}."): column for name, column in rest.items()}
    return Colvar(columns["time"], variables, bias, quantities)


@dataclass(frozen=True)
class SavedState:
    """A step that a later segment can continue from, and its files; an unbiased run has no bias state."""

    step: int
    restart_file: Path
    state_file: Path | None


def newest_state(folder: Path, *, timestep: float, biased: bool) -> SavedState | None:
    """Return the newest step for which ``folder`` contains all files needed to continue, None where there is none.

    That is a complete restart file of LAMMPS and, of a biased run, the state of the bias at the same step, which is the
    last or the last but one that was written. A state of the bias is complete when the restart file of its step is
    complete, which is written after it.

    :param timestep: of the run, ps.
    """
    restarts = {}
    for path in folder.glob(f"{filenames.RESTART_FILE}.*"):
        number = path.name.removeprefix(f"{filenames.RESTART_FILE}.")
        if number.isdecimal() and _is_complete(path):
            restarts[int(number)] = path
    if not biased:
        return SavedState(max(restarts), restarts[max(restarts)], None) if restarts else None
    states = {}
    for name in (filenames.LAST_STATE_FILE, filenames.STATE_FILE):
        time = _time_of_state(folder / name)
        if time is not None:
            states[round(time / timestep)] = folder / name
    both = restarts.keys() & states.keys()
    return SavedState(max(both), restarts[max(both)], states[max(both)]) if both else None


def _is_complete(path: Path) -> bool:
    """Return whether a restart file of LAMMPS is complete."""
    with path.open("rb") as file:
        begins = file.read(len(RESTART_MAGIC)) == RESTART_MAGIC
    size = path.stat().st_size
    if not begins or size < 2 * len(RESTART_MAGIC):
        return False
    with path.open("rb") as file:
        file.seek(-len(RESTART_MAGIC), 2)
        return file.read() == RESTART_MAGIC


def _time_of_state(path: Path) -> float | None:
    """Return the time of a state of the bias in ps; None where it is missing, truncated or without kernels."""
    try:
        times = read_table(path).columns["time"]
        cut = not path.read_bytes().endswith(b"\n")
    except (OSError, InputError, KeyError, UnicodeDecodeError):
        return None
    return None if cut or not len(times) else float(times[-1])
