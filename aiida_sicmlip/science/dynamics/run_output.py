"""Output of a run of molecular dynamics: how it ended, its valid frames and rows, and the hops in them.

The output of an interrupted run is valid up to its last saved state: later steps are run again by the next segment, and
would be duplicated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.hop_stream import follow_hops
from aiida_sicmlip.science.defects.hops import Hops
from aiida_sicmlip.science.dynamics.blow_up import MonitorSettings, describe_blow_up
from aiida_sicmlip.science.dynamics.brake import DISTANCE, TEMPERATURE, Stop
from aiida_sicmlip.science.dynamics.colvar import Colvar, SavedState, newest_state, read_colvar
from aiida_sicmlip.science.dynamics.dcd import count_dcd_frames, read_dcd_pieces
from aiida_sicmlip.science.dynamics.heating import heating
from aiida_sicmlip.science.dynamics.lammps_input import rotation_to_lammps
from aiida_sicmlip.science.dynamics.lammps_log import RunEnd, find_errors, parse_thermo
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings

COLUMNS = {
    "Step": "step",
    "Temp": "temperature",
    "PotEng": "potential_energy",
    "KinEng": "kinetic_energy",
    "TotEng": "total_energy",
    "Press": "pressure",
    "c_min_distance": "min_distance",
    "c_max_force": "max_force",
    "Econserve": "conserved_energy",
    "f_held": "spring_energy",
    "c_biased_temperature": "biased_temperature",
    "c_others_temperature": "others_temperature",
    "c_disagreement": "disagreement",
}
"""Columns of the log and the arrays that hold them: K, eV, bar, A, eV/A. The last three are not in every log."""


class Ending(Enum):
    """How a run ended. Failures of the potential are first, as they explain the others."""

    NOT_A_NUMBER = "energies became not-a-number"
    STOPPED_AT_ONCE = "the brake stopped it before any frame counts"
    LOST_ATOMS = "atoms were lost"
    SPECIES_MISMATCH = "potential and input disagree on the species"
    BIAS_FAILED = "the bias stopped with an error"
    OUT_OF_WALLTIME = "the walltime ended it"
    BLOWN_UP = "it was killed after it had blown up"
    INTERRUPTED = "it was killed"
    LAMMPS_FAILED = "LAMMPS stopped with an error"
    STOPPED = "the brake stopped it"
    COMPLETE = "complete"

    @property
    def can_go_on(self) -> bool:
        """Whether the run was interrupted, and another segment continues from its last saved state."""
        return self in (Ending.OUT_OF_WALLTIME, Ending.INTERRUPTED)

    @property
    def is_orderly(self) -> bool:
        """Whether all frames that count are physical, and no other segment follows."""
        return self in (Ending.COMPLETE, Ending.STOPPED)


@dataclass(frozen=True)
class RunSetup:
    """Request of a run.

    structure: initial structure, in the user's orientation.
    first_step: the step that it continues after, 0 for a new run.
    pace: steps between two kernels of the bias.
    host: the perfect crystal, where hops between its sites are wanted.
    max_disagreement: at which the run was to stop, eV/A; None for no bound, or without a committee.
    """

    settings: ExplorationSettings
    structure: Atoms
    first_step: int = 0
    biased: bool = False
    pace: int | None = None
    host: Atoms | None = None
    max_disagreement: float | None = None


@dataclass(frozen=True)
class RunOutput:
    """Output of a run.

    reason: the first error, how the run has blown up, or what stopped it; empty where its files do not say.
    state: state to continue from.
    thermodynamics: arrays (L,) under the names of :data:`COLUMNS`, and `production`, whether a row belongs to it; empty
        where the log has no rows.
    n_frames: frames of the trajectory that count.
    first_frame_step: step of the first of them.
    variables: of a biased run `time` (F,) ps, `variables` (F, n), `bias` (F,) eV and the quantities of
        :class:`~aiida_sicmlip.science.dynamics.colvar.Colvar`; empty where there are none.
    variables_problem: why variables are missing, if they are.
    hops: all events of the frames that count; see :func:`hop_arrays`. Empty where no host is given or it does not fit.
    warnings: problems of files that are left out.
    summary: means (K, eV), counts, errors, and :class:`~aiida_sicmlip.science.dynamics.heating.Heating`.
    """

    ending: Ending
    reason: str
    state: SavedState | None
    thermodynamics: dict[str, np.ndarray]
    n_frames: int
    first_frame_step: int
    variables: dict[str, np.ndarray]
    variables_problem: str | None
    hops: dict[str, np.ndarray]
    warnings: tuple[str, ...]
    summary: dict[str, Any]


def read_run(folder: Path, setup: RunSetup, log: str, messages: str = "", *, time_was_up: bool = False) -> RunOutput:
    """Read the output of a run in a folder.

    :param folder: holds the trajectory, the saved states, and the variables of a biased run.
    :param log: that of LAMMPS, from its beginning.
    :param messages: standard error, and the log of PLUMED, which reports its errors only there.
    :param time_was_up: whether the scheduler reports that it ended the job at its walltime.
    """
    end = find_errors(log, messages)
    stop, last_step = _find_stop(end, setup)
    ending, reason = _ending(end, stop, log, setup, time_was_up)
    state = newest_state(folder, timestep=setup.settings.timestep, biased=setup.biased)
    if ending.can_go_on and state is not None:
        last_step = state.step
    segment = _Segment(setup.first_step, last_step)
    summary: dict[str, Any] = {"errors": list(end.errors), "stopped": None if stop is None else stop.to_dict()}
    thermodynamics = _read_thermodynamics(log, segment, summary)
    variables, problem = _read_variables(folder, setup, segment, summary) if setup.biased else ({}, None)
    found = heating([(thermodynamics, variables)], setup.settings.timestep, setup.pace)
    summary["heating"] = {**found.to_dict(), "warnings": found.warnings(setup.settings, len(setup.structure))}
    frames = _read_frames(folder / filenames.TRAJECTORY_FILE, setup, segment, summary)
    return RunOutput(
        ending,
        reason,
        state,
        thermodynamics,
        frames.number,
        int(setup.settings.frame_steps(setup.first_step)[0]),
        variables,
        problem,
        frames.hops,
        tuple(frames.warnings),
        summary,
    )


def read_hops(path: Path, n_frames: int, setup: RunSetup) -> Hops:
    """Return the changes of site of atoms in the first frames of a trajectory.

    :raises InputError: when the host does not fit the first frame, or there is none.
    """
    if setup.host is None:
        raise InputError("`host` is missing: hops are identified by the sites of a perfect crystal.")
    cell, _ = rotation_to_lammps(setup.structure.cell.array)
    return follow_hops(read_dcd_pieces(path, n_frames), cell, setup.host, setup.structure.get_chemical_symbols())


def hop_arrays(hops: Hops, setup: RunSetup) -> dict[str, np.ndarray]:
    """Return changes of site as arrays.

    Of E events, in order of time: `frame` (E,) in the trajectory, `step` (E,), `time` (E,) in ps since the start of the
    production, `atom` (E,), `from_site` and `to_site` (E,), indices in the host. Sites are -1 for interstitials. Of N
    atoms: `first_sites` and `last_sites` (N,), which show what happened between two segments of a run.
    """
    frame, atom, before, after = hops.events.T
    step = setup.settings.frame_steps(setup.first_step)[frame]
    return {
        "frame": frame,
        "step": step,
        "time": step * setup.settings.timestep,
        "atom": atom,
        "from_site": before,
        "to_site": after,
        "first_sites": hops.first_sites,
        "last_sites": hops.last_sites,
    }


@dataclass(frozen=True)
class _Segment:
    """Which production steps belong to a segment: not those of the one before, or of the next."""

    first_step: int
    last_step: int | None

    def holds(self, steps: np.ndarray) -> np.ndarray:
        """Return which of the steps belong to it, as booleans."""
        within = steps > self.first_step if self.first_step else np.ones(len(steps), dtype=bool)
        return within if self.last_step is None else within & (steps <= self.last_step)


@dataclass
class _Frames:
    """Frames that count, the hops in them, and what is wrong with their file."""

    number: int = 0
    hops: dict[str, np.ndarray] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def _find_stop(end: RunEnd, setup: RunSetup) -> tuple[Stop | None, int | None]:
    """Return how the brake stopped a run, and the last step of its production that counts; None where it did not."""
    halt, settings = end.halt, setup.settings
    if halt is None:
        return None, None
    last_step = halt.step - max(1, settings.steps(settings.discarded_end)) if end.halted_in_production else -1
    threshold = setup.max_disagreement
    if halt.cause == DISTANCE:
        first, second = sorted(halt.pair)
        threshold = settings.min_distances(sorted({first, second})).get((first, second))
    elif halt.cause == TEMPERATURE:
        threshold = settings.maximum_temperature(len(setup.structure))
    stop = Stop(
        halt.cause,
        None if halt.cause == DISTANCE else halt.value,
        threshold,
        halt.step * settings.timestep,
        end.halted_in_production,
        # The frames of an earlier segment count.
        at_once=not setup.first_step and last_step < 0,
        pair=halt.pair,
    )
    return stop, last_step


def _ending(end: RunEnd, stop: Stop | None, log: str, setup: RunSetup, time_was_up: bool) -> tuple[Ending, str]:
    """Return how a run ended, and the reason if its files contain it."""
    # The monitor kills a run that has blown up, which looks like any other kill.
    blow_up = describe_blow_up(log, MonitorSettings(), setup.settings, len(setup.structure)) if end.killed else None
    for happened, ending in (
        # A NaN temperature stops the run like one that is too high.
        (end.not_a_number, Ending.NOT_A_NUMBER),
        (stop is not None, Ending.STOPPED_AT_ONCE if stop is not None and stop.at_once else Ending.STOPPED),
        (end.lost_atoms, Ending.LOST_ATOMS),
        (end.species_disagree, Ending.SPECIES_MISMATCH),
        (end.bias_failed, Ending.BIAS_FAILED),
        (end.walltime, Ending.OUT_OF_WALLTIME),
        (blow_up is not None, Ending.BLOWN_UP),
        (end.killed and time_was_up, Ending.OUT_OF_WALLTIME),
        (end.killed, Ending.INTERRUPTED),
        (not end.finished, Ending.LAMMPS_FAILED),
    ):
        if happened:
            return ending, blow_up or (stop.message if stop is not None else "".join(end.errors[:1]))
    return Ending.COMPLETE, ""


def _read_thermodynamics(log: str, segment: _Segment, summary: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the rows of the log that count; add means over the production to the summary."""
    thermo = parse_thermo(log)
    if not thermo:
        return {}
    production = thermo["Production"]
    rows = ~production | segment.holds(thermo["Step"])
    produced = production & rows
    if produced.any():
        summary["last_step"] = int(thermo["Step"][produced][-1])
    for column, name in (("Temp", "mean_temperature"), ("PotEng", "mean_potential_energy")):
        values = thermo[column][produced]
        values = values[np.isfinite(values)]
        if len(values):
            summary[name] = float(values.mean())
    # Steps restart from 0 with the production.
    arrays = {name: thermo[column][rows] for column, name in COLUMNS.items() if column in thermo}
    return arrays | {"production": production[rows]}


def _read_variables(
    folder: Path, setup: RunSetup, segment: _Segment, summary: dict[str, Any]
) -> tuple[dict[str, np.ndarray], str | None]:
    """Return the variables over time, or why there are none; add quantities of the bias to the summary."""
    path = folder / filenames.COLVAR_FILE
    if not path.is_file() or not path.stat().st_size:
        return {}, f"there is no file {filenames.COLVAR_FILE}"
    try:
        colvar: Colvar = read_colvar(path)
    except InputError as error:
        return {}, str(error)
    rows = segment.holds(np.round(colvar.time / setup.settings.timestep).astype(int))
    arrays = {"time": colvar.time[rows], "variables": colvar.variables[rows], "bias": colvar.bias[rows]}
    of_bias = {"largest": float(arrays["bias"].max())} if rows.any() else {}
    for quantity, values in colvar.quantities.items():
        # Names of arrays have no dots, and `bias` is the sum of all.
        name = "opes_bias" if quantity == "bias" else quantity.replace(".", "_")
        arrays[name] = values[rows]
        if rows.any():
            of_bias[f"last_{name}"] = float(values[rows][-1])
    summary["bias"] = of_bias
    return arrays, None


def _read_frames(path: Path, setup: RunSetup, segment: _Segment, summary: dict[str, Any]) -> _Frames:
    """Return the frames that count and the hops in them; add their numbers to the summary."""
    asked = setup.settings.frame_steps(setup.first_step)
    summary |= {"n_frames": 0, "n_frames_asked": len(asked)}
    frames = _Frames()
    if not path.is_file():
        return frames
    try:
        in_file = min(count_dcd_frames(path), len(asked))
    except InputError as error:
        frames.warnings.append(str(error))
        return frames
    if not path.stat().st_size:
        return frames
    frames.number = int(segment.holds(asked[:in_file]).sum())
    summary |= {"n_frames": frames.number, "n_frames_discarded": in_file - frames.number}
    if frames.number and setup.host is not None:
        try:
            hops = read_hops(path, frames.number, setup)
        except InputError as error:
            summary["hops"] = {"error": str(error)}
        else:
            frames.hops = hop_arrays(hops, setup)
            summary["hops"] = {"n_hops": hops.n_hops, "interval_ps": setup.settings.frame_interval}
    return frames
