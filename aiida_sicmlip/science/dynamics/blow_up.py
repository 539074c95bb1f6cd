"""Detection of runs whose potential has failed from their logs, during the run or afterwards."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase.units import kB

from aiida_sicmlip.common import filenames
from aiida_sicmlip.science.dynamics.lammps_log import find_errors, parse_thermo
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.settings import Settings, integer, number

TAIL_BYTES = 65536
"""Bytes of the end of a log that are fetched at a time: about a hundred rows."""


@dataclass(frozen=True)
class MonitorSettings(Settings):
    """When a monitor stops a run. The limits have to be exceeded in all of the last ``rows`` rows of the log."""

    PREFIX = "exploration.monitor."

    minimum_poll_interval: int = integer(
        60,
        "minimum time between two checks of a log; AiiDA checks no more often than it polls the scheduler",
        unit="s",
        at_least=1,
    )
    maximum_temperature: float | None = number(
        None,
        "temperature above which a run has blown up; null for that at which the run stops by itself",
        unit="K",
        above=0,
    )
    energy_window: float = number(
        2.0,
        "potential energy per atom that a run may be below its first row, or above it and the 3/2 kT of heating",
        unit="eV/atom",
        above=0,
    )
    rows: int = integer(3, "number of rows of the log that have to agree", at_least=1)


def excerpt_command(log: str = filenames.LAMMPS_LOG_FILE, tail: int = TAIL_BYTES) -> str:
    """Return the shell command that prints what :func:`describe_blow_up` needs of a log of any length.

    That is the first row with the names of its columns, the names of the columns last printed, and the last ``tail``
    bytes. Nothing is printed where there is no log yet.
    """
    file = shlex.quote(log)
    names = "grep -a '^keywords:'"
    # Non-ASCII bytes are removed, since the tail may start within a multi-byte character.
    return (
        f"{{ {names} -m 1 -A 2 {file}; {names} {file} | tail -n 1; tail -c {tail} {file}; }} 2>/dev/null "
        "| LC_ALL=C tr -d '\\200-\\377'"
    )


def describe_blow_up(excerpt: str, limits: MonitorSettings, settings: ExplorationSettings, n_atoms: int) -> str | None:
    """Return a message on how a run has blown up, or ``None`` where its log shows no sign of it.

    Atoms are lost; temperature or potential energy is not a number; or, in all of the last rows, the temperature is
    above its limit or the potential energy per atom E is outside `E_0 - w <= E <= E_0 + 3/2 k T + w`. E_0 is that of
    the first row, T the thermostat's temperature, w the window; a harmonic crystal gains 3/2 k T on average when it
    is heated from rest (equipartition).

    :param excerpt: output of :func:`excerpt_command`.
    """
    if find_errors(excerpt).lost_atoms:
        return "atoms were lost"
    thermo = parse_thermo(excerpt)
    if not {"Step", "Temp", "PotEng"} <= set(thermo):
        return None
    last_step = int(thermo["Step"][-1])
    for column, name in (("Temp", "temperature"), ("PotEng", "potential energy")):
        if not np.isfinite(thermo[column][-1]):
            return f"the {name} is not a number at step {last_step}"
    if len(thermo["Step"]) < limits.rows:
        return None
    return _beyond_limits(thermo, limits, settings, n_atoms, f"in the last {limits.rows} rows up to step {last_step}")


def _beyond_limits(
    thermo: Mapping[str, np.ndarray], limits: MonitorSettings, settings: ExplorationSettings, n_atoms: int, where: str
) -> str | None:
    """Return a message where the last rows are all too hot or too far from the energy of the first row."""
    own = settings.maximum_temperature(n_atoms)
    hottest = own if limits.maximum_temperature is None else limits.maximum_temperature
    temperatures = thermo["Temp"][-limits.rows :]
    if hottest is not None and (temperatures > hottest).all():
        return f"the temperature is above {hottest:g} K {where}, {temperatures[-1]:.6g} K at last"
    changes = (thermo["PotEng"][-limits.rows :] - thermo["PotEng"][0]) / n_atoms
    if (changes < -limits.energy_window).all():
        return (
            f"the potential energy is more than {limits.energy_window:g} eV per atom below that of the first row "
            f"{where}, {changes[-1]:.3g} eV per atom at last"
        )
    highest = 1.5 * kB * settings.temperature + limits.energy_window
    if (changes > highest).all():
        return (
            f"the potential energy is more than {highest:.3g} eV per atom above that of the first row {where}, "
            f"{changes[-1]:.3g} eV per atom at last"
        )
    return None
