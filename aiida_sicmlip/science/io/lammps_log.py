"""The log of LAMMPS: thermodynamic output, and how the run ended. Logs that a kill cut off anywhere are read too."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

PRODUCTION_MARK = "Production from step"
"""Inputs of this package print it, and the step, before the run whose frames are kept."""

_KEYWORDS = re.compile(r"^keywords: \[(.*?),?\s*\]\s*$")
_ROW = re.compile(r"^\s+- \[(.*?),?\s*\]\s*$")
_HALT = re.compile(r"Fix halt condition for fix-id \S+ met on step (\d+) with value (\S+)")
_LOST = re.compile(r"(?:ERROR|WARNING).*: Lost atoms|ERROR.*Non-numeric (?:atom coords|box)", re.IGNORECASE)


@dataclass(frozen=True)
class RunEnd:
    """How a run of LAMMPS ended, as far as its log tells.

    finished: LAMMPS reached the end of its input, though perhaps with fewer steps than asked for.
    halted_temperature: `fix halt` stopped it; then `halted_step` and `halted_value` (K) say where.
    walltime: `timer timeout` stopped it.
    lost_atoms: atoms left the box or their coordinates became non-numeric.
    not_a_number: a thermodynamic value, or the temperature at which `fix halt` stopped, is not finite.
    errors: the texts after `ERROR`, in order, each once.
    """

    finished: bool
    halted_temperature: bool
    halted_step: int | None
    halted_value: float | None
    walltime: bool
    lost_atoms: bool
    not_a_number: bool
    errors: tuple[str, ...]


def parse_thermo(log: str) -> dict[str, np.ndarray]:
    """Return the columns of `thermo_modify line yaml` output of all runs of a log, one after the other.

    Keys are LAMMPS's own (`Step`, `Temp`, `PotEng`, ...), plus `Run`, the number of the run from 0. Arrays are (L,)
    float64, `Step` and `Run` int64. A row whose step ended the run before is left out, and so is a row that was cut.
    Columns that a run does not print are NaN there. A log without rows gives an empty dict.
    """
    rows: list[dict[str, float]] = []
    names: list[str] = []
    run = -1
    for line in log.splitlines():
        found = _KEYWORDS.match(line)
        if found:
            names = re.findall(r"'([^']+)'", found[1])
            run += 1
            continue
        row = _ROW.match(line)
        values = _numbers(row[1]) if row and names else None
        if values is None or len(values) != len(names):
            continue
        entry = dict(zip(names, values, strict=True))
        if rows and rows[-1]["Run"] != run and rows[-1].get("Step") == entry.get("Step", np.nan):
            continue
        rows.append({**entry, "Run": run})
    columns = dict.fromkeys(name for row in rows for name in row)
    table = {name: np.array([row.get(name, np.nan) for row in rows]) for name in columns}
    return {name: table[name].astype(np.int64) if name in ("Step", "Run") else table[name] for name in table}


def find_errors(log: str) -> RunEnd:
    """Return how the run ended; an empty or cut log gives a run that is not finished."""
    halt = _HALT.search(log)
    thermo = parse_thermo(log)
    errors = dict.fromkeys(
        match[1].strip() for match in re.finditer(r"^ERROR(?: on proc \d+)?: (.*)$", log, re.MULTILINE)
    )
    return RunEnd(
        finished="Total wall time:" in log and not errors,
        halted_temperature=halt is not None,
        halted_step=int(halt[1]) if halt else None,
        halted_value=float(halt[2]) if halt else None,
        walltime="Wall time limit reached" in log,
        lost_atoms=_LOST.search(log) is not None,
        not_a_number=any(not np.isfinite(column).all() for column in thermo.values())
        or (halt is not None and not np.isfinite(float(halt[2]))),
        errors=tuple(errors),
    )


def _numbers(text: str) -> list[float] | None:
    """Return the numbers of a comma-separated list; None when an entry is none."""
    try:
        return [float(entry) for entry in text.split(",")]
    except ValueError:
        return None
