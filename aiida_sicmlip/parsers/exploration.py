"""Parser of molecular dynamics runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_sicmlip.calculations.exploration_checks import max_disagreement
from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.killed_jobs import cause_of_end
from aiida_sicmlip.data.continuation import ContinuationData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.parsers.retrieved import COMPLETE, last_line, last_words, read_text, scheduler_messages
from aiida_sicmlip.science.dynamics.bias_settings import BiasSettings
from aiida_sicmlip.science.dynamics.run_output import Ending, RunOutput, RunSetup, read_run
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings


class ExplorationParser(Parser):
    """Turn what a run left into nodes, whatever ended it."""

    CACHE_VERSION = 5

    def parse(self, *, retrieved_temporary_folder: str, **kwargs: Any) -> ExitCode:
        """Keep frames, energies, variables and hops, then say how the run ended."""
        stderr = self.node.process_class.stderr_name()
        log = read_text(self.retrieved, filenames.LAMMPS_LOG_FILE)
        if log is None:
            return self.exit_codes.ERROR_LOG_MISSING.format(error=last_words(self.retrieved, stderr))
        inputs = self.node.inputs
        settings = ExplorationSettings.from_mapping(inputs.parameters.get_dict())
        pace = settings.steps(BiasSettings.from_mapping(inputs.bias.get_dict()).pace) if "bias" in inputs else None
        setup = RunSetup(
            settings=settings,
            structure=inputs.structure.get_ase(),
            first_step=inputs.continuation.step if "continuation" in inputs else 0,
            biased="bias" in inputs,
            pace=pace,
            host=inputs.host.get_ase() if "host" in inputs else None,
            max_disagreement=max_disagreement(inputs, settings),
        )
        others = (read_text(self.retrieved, name) for name in (stderr, filenames.PLUMED_LOG_FILE))
        messages = "\n".join(text for text in others if text)
        run = read_run(Path(retrieved_temporary_folder), setup, log, messages, time_was_up=self._time_was_up())
        for warning in run.warnings:
            self.logger.warning(warning)
        self._keep(run, setup, Path(retrieved_temporary_folder) / filenames.TRAJECTORY_FILE)
        if not run.ending.is_orderly:
            reason = run.reason or last_line(self.retrieved, stderr)
            code = self.exit_codes[f"ERROR_{run.ending.name}"]
            return code.format(error=_without_fields(reason), reason=_without_fields(reason))
        if setup.settings.retrieve_trajectory and not run.n_frames and run.ending is Ending.COMPLETE:
            return self.exit_codes.ERROR_NO_FRAMES
        if run.variables_problem is not None:
            return self.exit_codes.ERROR_COLVAR_MISSING.format(error=_without_fields(run.variables_problem))
        return COMPLETE

    def _time_was_up(self) -> bool:
        """Return whether the scheduler says that it ended the job at its walltime, in its accounts or to the job."""
        told = self.node.exit_status == self.exit_codes.ERROR_SCHEDULER_OUT_OF_WALLTIME.status
        return told or cause_of_end(scheduler_messages(self.node, self.retrieved)) == "time"

    def _keep(self, run: RunOutput, setup: RunSetup, trajectory: Path) -> None:
        """Store all that the run left."""
        state = run.state
        if state is not None:
            node = ContinuationData.from_files(state.step, state.restart_file, state.state_file)
            self.out("continuation", node)
        for name, arrays in (("thermodynamics", run.thermodynamics), ("colvar", run.variables), ("hops", run.hops)):
            if arrays:
                self.out(name, _array_node(arrays))
        if run.n_frames:
            settings = setup.settings
            node = SegmentTrajectoryData(
                trajectory,
                filename=filenames.TRAJECTORY_FILE,
                symbols=setup.structure.get_chemical_symbols(),
                cell=setup.structure.cell.array,
                n_frames=run.n_frames,
                first_step=run.first_frame_step,
                steps_between_frames=settings.steps(settings.frame_interval),
                timestep_ps=settings.timestep,
                continues=setup.first_step > 0,
            )
            self.out("trajectory", node)
        self.out("results", orm.Dict(run.summary))


def _array_node(arrays: Mapping[str, np.ndarray]) -> orm.ArrayData:
    """Return arrays as a node."""
    node = orm.ArrayData()
    for name, array in arrays.items():
        node.set_array(name, array)
    return node


def _without_fields(text: str) -> str:
    """Return a text whose braces are not taken for fields of the message that it becomes part of."""
    return text.replace("{", "(")
