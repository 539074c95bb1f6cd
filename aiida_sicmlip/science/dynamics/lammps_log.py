"""The log of LAMMPS: thermodynamic output, and how the run ended. Truncated logs of killed runs are read too."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from aiida_sicmlip.science.dynamics.brake import Halt, find_halt

PRODUCTION_MARK = "Production from step"
"""Inputs of this package print it, and the step, before the run whose frames are kept."""

_KEYWORDS = re.compile(r"^keywords: \[(.*?),?\s*\]\s*$")
_ROW = re.compile(r"^\s+- \[(.*?),?\s*\]\s*$")
_PRODUCTION = re.compile(rf"^{PRODUCTION_MARK} (\d+)\s*$", re.MULTILINE)
_LOST = re.compile(r"(?:ERROR|WARNING).*: Lost atoms|ERROR.*Non-numeric (?:atom coords|box)", re.IGNORECASE)
_ERROR = re.compile(r"^ERROR(?: on proc \d+)?: (.*)$", re.MULTILINE)
# PLUMED's messages on an invalid input, and the first line of its exceptions.
_ERROR_OF_PLUMED = re.compile(
    r"^.*(ERROR in input to action .*)$|^\+{3} message follows \+{3}\s*\n(.*)$|^(\(\w+/\w+\.cpp:\d+\).*)$", re.MULTILINE
)
_OF_BIAS = re.compile(r"^fix plumed: |^Unrecognized fix style 'plumed'", re.IGNORECASE)
_OF_SPECIES = re.compile(
    r"which the model does not know|Potential file is missing an entry|"
    r"Number of element to type mappings does not match|No matching element in .* potential file"
)


@dataclass(frozen=True)
class RunEnd:
    """How a run of LAMMPS ended, according to its log.

    finished: LAMMPS reached the end of its input, possibly with fewer steps than requested.
    halt: the condition on which `fix halt` stopped it, and whether that was in the production (`halted_in_production`).
    walltime: `timer timeout` stopped it.
    lost_atoms: atoms left the box, or have non-numeric coordinates.
    not_a_number: a thermodynamic value, or the value at which `fix halt` stopped, is not finite.
    bias_failed: PLUMED or the built-in evaluator refused its input or failed.
    species_disagree: the potential has no entry for a species of the structure.
    killed: there is neither an end nor an error: the run was killed, or crashed.
    errors: the texts after `ERROR` and those of PLUMED, in order, without duplicates.
    """

    finished: bool
    halt: Halt | None
    halted_in_production: bool
    walltime: bool
    lost_atoms: bool
    not_a_number: bool
    bias_failed: bool
    species_disagree: bool
    killed: bool
    errors: tuple[str, ...]


def parse_thermo(log: str) -> dict[str, np.ndarray]:
    """Return the columns of `thermo_modify line yaml` output of all runs of a log, one after the other.

    Keys are LAMMPS's own (`Step`, `Temp`, `PotEng`, ...), plus `Run`, the number of the run from 0, and `Production`,
    whether the input had printed :data:`PRODUCTION_MARK` before. Arrays are (L,) float64, `Step` and `Run` int64,
    `Production` bool. A row whose step ended the run before is left out, and so is a truncated row. Columns that a run
    does not print are NaN there. A log without rows gives an empty dict.
    """
    rows: list[dict[str, float]] = []
    names: list[str] = []
    run = -1
    production = False
    for line in log.splitlines():
        production = production or _PRODUCTION.match(line) is not None
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
        rows.append({**entry, "Run": run, "Production": production})
    columns = dict.fromkeys(name for row in rows for name in row)
    table = {name: np.array([row.get(name, np.nan) for row in rows]) for name in columns}
    kinds = {"Step": np.int64, "Run": np.int64, "Production": np.bool_}
    return {name: column.astype(kinds.get(name, np.float64)) for name, column in table.items()}


def find_errors(log: str, messages: str = "") -> RunEnd:
    """Return how the run ended; an empty or truncated log gives a run that is not finished.

    :param messages: what the run printed elsewhere, such as its standard error and the log of PLUMED. Errors of PLUMED
        end LAMMPS without a message in its log.
    """
    halt = find_halt(log)
    begun = _PRODUCTION.search(log)
    thermo = parse_thermo(log)
    text = f"{log}\n{messages}"
    found = [(match.start(), match[1]) for match in _ERROR.finditer(text)]
    of_plumed = [(match.start(), match[match.lastindex or 0]) for match in _ERROR_OF_PLUMED.finditer(text)]
    errors = list(dict.fromkeys(error.strip() for _, error in sorted(found + of_plumed)))
    finished = "Total wall time:" in log and not errors
    return RunEnd(
        finished=finished,
        halt=halt,
        halted_in_production=halt is not None and begun is not None and begun.start() < halt.position,
        walltime="Wall time limit reached" in log,
        lost_atoms=_LOST.search(log) is not None,
        not_a_number=any(not np.isfinite(column).all() for column in thermo.values())
        or (halt is not None and not np.isfinite(halt.value)),
        bias_failed=bool(of_plumed) or any(_OF_BIAS.match(error) for error in errors),
        species_disagree=any(_OF_SPECIES.search(error) for error in errors),
        killed=not finished and not errors,
        errors=tuple(errors),
    )


def _numbers(text: str) -> list[float] | None:
    """Return the numbers of a comma-separated list; None when an entry is none."""
    try:
        return [float(entry) for entry in text.split(",")]
    except ValueError:
        return None
