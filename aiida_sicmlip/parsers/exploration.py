"""Parser of molecular dynamics runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_sicmlip.calculations.monitors import MonitorSettings, describe_blow_up
from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.killed_jobs import cause_of_end
from aiida_sicmlip.data.continuation import ContinuationData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.parsers.retrieved import (
    COMPLETE,
    last_line,
    last_words,
    read_text,
    scheduler_messages,
    temporary_file,
)
from aiida_sicmlip.science.defects.hops import Hops, count_hops
from aiida_sicmlip.science.dynamics.colvar import Colvar, newest_state, read_colvar
from aiida_sicmlip.science.dynamics.dcd import count_dcd_frames, read_dcd
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
    "c_least_distance": "least_distance",
    "c_largest_force": "largest_force",
}
"""Columns of the log and the arrays that hold them: K, eV, bar, A, eV/A."""

FRAMES_FOR_HOPS = 2000
"""Hops are counted between so many frames at most, evenly spaced: a parser runs in the daemon."""


class ExplorationParser(Parser):
    """Turn what a run left into nodes, whatever ended it.

    A run that was cut off ends for the graph where it can be continued: what lies beyond its last saved state is run
    again by the next segment, and would be there twice.
    """

    CACHE_VERSION = 2

    def parse(self, *, retrieved_temporary_folder: str, **kwargs: Any) -> ExitCode:
        """Keep frames, energies and variables, then say how the run ended."""
        log = read_text(self.retrieved, filenames.LAMMPS_LOG_FILE)
        if log is None:
            return self.exit_codes.ERROR_LOG_MISSING.format(error=last_words(self.retrieved, "exploration.err"))
        inputs = self.node.inputs
        self.settings = ExplorationSettings.from_mapping(inputs.parameters.get_dict())
        self.folder = Path(retrieved_temporary_folder)
        self.biased = "bias" in inputs
        self.first_step = inputs.continuation.step if "continuation" in inputs else 0
        others = (read_text(self.retrieved, name) for name in ("exploration.err", filenames.PLUMED_LOG_FILE))
        # PLUMED itself tells its errors there alone.
        end = find_errors(log, "\n".join(text for text in others if text))
        verdict = self._verdict(end, log)
        continuation = self._keep_continuation()
        cut = verdict is not None and verdict.status in (
            self.exit_codes.ERROR_OUT_OF_WALLTIME.status,
            self.exit_codes.ERROR_INTERRUPTED.status,
        )
        self.last_step = continuation.step if cut and continuation is not None else None

        summary: dict[str, Any] = {"errors": list(end.errors), "halted_step": end.halted_step}
        summary |= self._keep_thermodynamics(parse_thermo(log))
        kept = self._keep_trajectory(temporary_file(retrieved_temporary_folder, filenames.TRAJECTORY_FILE))
        problem = None
        if self.biased:
            colvar, problem = self._read_colvar()
            if colvar is not None:
                summary["bias"] = self._keep_colvar(colvar)
        self.out("results", orm.Dict(summary | kept))
        if verdict is not None:
            return verdict
        if self.settings.retrieve_trajectory and not kept["n_frames"]:
            return self.exit_codes.ERROR_NO_FRAMES
        if problem is not None:
            return self.exit_codes.ERROR_COLVAR_MISSING.format(error=problem)
        return COMPLETE

    def _verdict(self, end: RunEnd, log: str) -> ExitCode | None:
        """Return the exit code that fits; failures of the potential come first, as they explain the others."""
        codes = self.exit_codes
        blow_up = None
        if end.killed:
            # The monitor kills a run that has blown up, which looks like any other kill.
            n_atoms = len(self.node.inputs.structure.sites)
            blow_up = describe_blow_up(log, MonitorSettings(), self.settings, n_atoms)
        # A brace in a message of LAMMPS would be taken for a field of the sentence.
        error = (end.errors[0] if end.errors else last_line(self.retrieved, "exploration.err")).replace("{", "(")
        for happened, code in (
            # A temperature that is not a number stops the run as one that is too high does.
            (end.not_a_number, codes.ERROR_NOT_A_NUMBER),
            (end.halted_temperature, codes.ERROR_RUNAWAY_TEMPERATURE),
            (end.lost_atoms, codes.ERROR_LOST_ATOMS),
            (end.species_disagree, codes.ERROR_SPECIES_MISMATCH.format(error=error)),
            (end.bias_failed, codes.ERROR_BIAS_FAILED.format(error=error)),
            (end.walltime, codes.ERROR_OUT_OF_WALLTIME),
            (blow_up is not None, codes.ERROR_BLOWN_UP.format(reason=blow_up)),
            (end.killed and self._time_was_up(), codes.ERROR_OUT_OF_WALLTIME),
            (end.killed, codes.ERROR_INTERRUPTED),
            (not end.finished, codes.ERROR_LAMMPS_FAILED.format(error=error)),
        ):
            if happened:
                return code
        return None

    def _time_was_up(self) -> bool:
        """Return whether the scheduler says that it ended the job at its walltime, in its accounts or to the job."""
        told = self.node.exit_status == self.exit_codes.ERROR_SCHEDULER_OUT_OF_WALLTIME.status
        return told or cause_of_end(scheduler_messages(self.node, self.retrieved)) == "time"

    def _keep_continuation(self) -> ContinuationData | None:
        """Store the newest state from which the run can go on, if it has saved any."""
        state = newest_state(self.folder, timestep=self.settings.timestep, biased=self.biased)
        if state is None:
            return None
        node = ContinuationData.from_files(state.step, state.restart_file, state.state_file)
        self.out("continuation", node)
        return node

    def _within(self, steps: np.ndarray) -> np.ndarray:
        """Return which production steps belong to this segment: not those of the one before, or of the next."""
        within = steps > self.first_step if self.first_step else np.ones(len(steps), dtype=bool)
        return within if self.last_step is None else within & (steps <= self.last_step)

    def _keep_thermodynamics(self, thermo: dict[str, np.ndarray]) -> dict[str, Any]:
        """Store the thermodynamic output; return its means over the production (K, eV)."""
        if not thermo:
            return {}
        production = thermo["Production"]
        rows = ~production | self._within(thermo["Step"])
        node = orm.ArrayData()
        for column, name in COLUMNS.items():
            if column in thermo:
                node.set_array(name, thermo[column][rows])
        # Steps are counted anew when the production begins.
        node.set_array("production", production[rows])
        self.out("thermodynamics", node)
        produced = production & rows
        summary: dict[str, Any] = {}
        if produced.any():
            summary["last_step"] = int(thermo["Step"][produced][-1])
        for column, name in (("Temp", "mean_temperature"), ("PotEng", "mean_potential_energy")):
            values = thermo[column][produced]
            values = values[np.isfinite(values)]
            if len(values):
                summary[name] = float(values.mean())
        return summary

    def _keep_trajectory(self, path: Path | None) -> dict[str, Any]:
        """Store the trajectory as it is; return its number of frames, and the hops in it."""
        asked = self.settings.frame_steps(self.first_step)
        summary: dict[str, Any] = {"n_frames": 0, "n_frames_asked": len(asked)}
        if path is None:
            return summary
        try:
            in_file = min(count_dcd_frames(path), len(asked))
        except InputError as error:
            self.logger.warning(str(error))
            return summary
        n_frames = int(self._within(asked[:in_file]).sum())
        summary["n_frames"] = n_frames
        summary["n_frames_beyond_continuation"] = in_file - n_frames
        if n_frames:
            atoms = self.node.inputs.structure.get_ase()
            node = SegmentTrajectoryData(
                path,
                filename=filenames.TRAJECTORY_FILE,
                symbols=atoms.get_chemical_symbols(),
                cell=atoms.cell.array,
                n_frames=n_frames,
                first_step=int(asked[0]),
                steps_between_frames=self.settings.steps(self.settings.frame_interval),
                timestep_ps=self.settings.timestep,
                continues=self.first_step > 0,
            )
            self.out("trajectory", node)
            if "host" in self.node.inputs:
                summary["hops"] = self._hops(path, n_frames)
        return summary

    def _hops(self, path: Path, n_frames: int) -> dict[str, Any]:
        """Return how often atoms went from one site of the host to another, and which way."""
        atoms, host = self.node.inputs.structure.get_ase(), self.node.inputs.host.get_ase()
        stride = -(-n_frames // FRAMES_FOR_HOPS)
        indices = np.arange(0, n_frames, stride)
        positions, _ = read_dcd(path, indices)
        cell, _ = rotation_to_lammps(atoms.cell.array)
        try:
            hops: Hops = count_hops(positions, cell, host, atoms.get_chemical_symbols())
        except InputError as error:
            return {"error": str(error)}
        steps = self.settings.frame_steps(self.first_step)[indices]
        return {
            "n_hops": hops.n_hops,
            "interval_ps": stride * self.settings.frame_interval,
            "events": [
                {
                    "time_ps": float(steps[frame] * self.settings.timestep),
                    "atom": int(atom),
                    "species": atoms.symbols[int(atom)],
                    "from_site": int(before),
                    "to_site": int(after),
                }
                for frame, atom, before, after in hops.events[:1000]
            ],
        }

    def _read_colvar(self) -> tuple[Colvar | None, str | None]:
        """Return the collective variables over time, or what is wrong with their file."""
        path = temporary_file(str(self.folder), filenames.COLVAR_FILE)
        if path is None:
            return None, f"there is no file {filenames.COLVAR_FILE}"
        try:
            return read_colvar(path), None
        except InputError as error:
            return None, str(error).replace("{", "(")

    def _keep_colvar(self, colvar: Colvar) -> dict[str, Any]:
        """Store the collective variables; return what one wants to read of the bias (eV)."""
        rows = self._within(np.round(colvar.time / self.settings.timestep).astype(int))
        node = orm.ArrayData()
        node.set_array("time", colvar.time[rows])
        node.set_array("variables", colvar.variables[rows])
        node.set_array("bias", colvar.bias[rows])
        summary = {"largest": float(colvar.bias[rows].max())} if rows.any() else {}
        for quantity, values in colvar.quantities.items():
            # Names of arrays have no dots, and `bias` is the sum of all.
            name = "opes_bias" if quantity == "bias" else quantity.replace(".", "_")
            node.set_array(name, values[rows])
            if rows.any():
                summary[f"last_{name}"] = float(values[rows][-1])
        self.out("colvar", node)
        return summary
