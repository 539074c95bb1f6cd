"""Parser of molecular dynamics runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.parsers.retrieved import last_line, read_text, temporary_file
from aiida_sicmlip.science.exploration import ExplorationSettings
from aiida_sicmlip.science.io.dcd import count_dcd_frames
from aiida_sicmlip.science.io.lammps_log import RunEnd, find_errors, parse_thermo

COLUMNS = {
    "Step": "step",
    "Temp": "temperature",
    "PotEng": "potential_energy",
    "KinEng": "kinetic_energy",
    "TotEng": "total_energy",
    "Press": "pressure",
}
"""Columns of the log and the arrays that hold them: K, eV, bar."""


class ExplorationParser(Parser):
    """Turn the log and the trajectory of a run into nodes, whatever ended it."""

    CACHE_VERSION = 1

    def parse(self, *, retrieved_temporary_folder: str, **kwargs: Any) -> ExitCode | None:
        """Keep frames and energies, then say how the run ended."""
        log = read_text(self.retrieved, filenames.LAMMPS_LOG_FILE)
        if log is None:
            return self.exit_codes.ERROR_LOG_MISSING
        settings = ExplorationSettings.from_mapping(self.node.inputs.parameters.get_dict())
        end = find_errors(log)
        thermo = parse_thermo(log)
        if thermo:
            self.out("thermodynamics", _array_node(thermo))
        n_frames = self._keep_trajectory(
            temporary_file(retrieved_temporary_folder, filenames.TRAJECTORY_FILE), settings
        )
        self.out("results", orm.Dict(_summary(thermo, settings, n_frames, end)))
        return self._verdict(end, n_frames)

    def _keep_trajectory(self, path: Path | None, settings: ExplorationSettings) -> int:
        """Store the trajectory as it is; return its number of frames."""
        if path is None:
            return 0
        try:
            n_frames = count_dcd_frames(path)
        except InputError as error:
            self.logger.warning(str(error))
            return 0
        if n_frames:
            atoms = self.node.inputs.structure.get_ase()
            steps = settings.frame_steps()
            node = SegmentTrajectoryData(
                path,
                filename=filenames.TRAJECTORY_FILE,
                symbols=atoms.get_chemical_symbols(),
                cell=atoms.cell.array,
                n_frames=n_frames,
                first_step=int(steps[0]),
                steps_between_frames=settings.steps(settings.frame_interval),
                timestep_ps=settings.timestep,
            )
            self.out("trajectory", node)
        return n_frames

    def _verdict(self, end: RunEnd, n_frames: int) -> ExitCode | None:
        """Return the exit code that fits; failures of the potential come first, as they explain the others."""
        codes = self.exit_codes
        error = (end.errors[0] if end.errors else last_line(self.retrieved, "exploration.err")).replace("{", "(")
        for happened, code in (
            # A temperature that is not a number stops the run as one that is too high does.
            (end.not_a_number, codes.ERROR_NOT_A_NUMBER),
            (end.halted_temperature, codes.ERROR_RUNAWAY_TEMPERATURE),
            (end.lost_atoms, codes.ERROR_LOST_ATOMS),
            (end.walltime, codes.ERROR_OUT_OF_WALLTIME),
            (not end.finished, codes.ERROR_LAMMPS_FAILED.format(error=error)),
            (n_frames == 0, codes.ERROR_NO_FRAMES),
        ):
            if happened:
                return code
        return None


def _array_node(thermo: dict[str, np.ndarray]) -> orm.ArrayData:
    """Return the thermodynamic output as a node, under names that say what they are."""
    node = orm.ArrayData()
    for column, name in COLUMNS.items():
        if column in thermo:
            node.set_array(name, np.asarray(thermo[column]))
    return node


def _summary(
    thermo: dict[str, np.ndarray], settings: ExplorationSettings, n_frames: int, end: RunEnd
) -> dict[str, Any]:
    """Return what one wants to read of a run; temperatures in K, energies in eV."""
    summary: dict[str, Any] = {
        "n_frames": n_frames,
        "n_frames_asked": settings.n_frames,
        "errors": list(end.errors),
        "halted_step": end.halted_step,
    }
    steps = thermo.get("Step")
    if steps is not None and len(steps):
        summary["last_step"] = int(steps[-1])
        produced = steps >= settings.steps(settings.equilibration)
        for column, name in (("Temp", "mean_temperature"), ("PotEng", "mean_potential_energy")):
            values = thermo[column][produced]
            values = values[np.isfinite(values)]
            if len(values):
                summary[name] = float(values.mean())
    return summary
