"""Parser of trainings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from aiida import orm
from aiida.engine import ExitCode

from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.exit_status import (
    NO_FORCES,
    NO_MODEL,
    NOT_A_NUMBER,
    OUT_OF_GPU_MEMORY,
    OUT_OF_MEMORY,
    UNKNOWN_SPECIES,
)
from aiida_sicmlip.common.killed_jobs import cause_of_end
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.data.training_checkpoint import TrainingCheckpointData
from aiida_sicmlip.parsers.base import SicmlipParser
from aiida_sicmlip.parsers.retrieved import COMPLETE, read_report, read_text, scheduler_messages


class TrainingParser(SicmlipParser):
    """Turn the report, the curve, the packaged model and the state of a training into nodes."""

    CACHE_VERSION = 3
    KNOWN_FAILURES: ClassVar = {
        NO_FORCES: "ERROR_NO_FORCES",
        UNKNOWN_SPECIES: "ERROR_UNKNOWN_SPECIES",
        NOT_A_NUMBER: "ERROR_NOT_A_NUMBER",
        NO_MODEL: "ERROR_NO_CHECKPOINT",
        OUT_OF_MEMORY: "ERROR_OUT_OF_MEMORY",
        OUT_OF_GPU_MEMORY: "ERROR_OUT_OF_GPU_MEMORY",
    }

    def parse(self, *, retrieved_temporary_folder: str, **kwargs: Any) -> ExitCode | None:
        """Keep everything the training left, then say how it ended."""
        self.folder = retrieved_temporary_folder
        steps, self.losses = self._keep_curve()
        # An attempt that was killed before its first validation keeps the steps that it started from.
        before = self.node.inputs.checkpoint.steps if "checkpoint" in self.node.inputs else 0
        self.steps = int(max([before, *steps[-1:]]))
        configuration = read_text(self.retrieved, filenames.NEQUIP_CONFIGURATION_FILE)
        if configuration is not None:
            self.out(
                "configuration",
                orm.SinglefileData.from_string(configuration, filename=filenames.NEQUIP_CONFIGURATION_FILE),
            )
        return super().parse(retrieved_temporary_folder=retrieved_temporary_folder, **kwargs)

    def keep_outputs(self, report: Mapping[str, Any]) -> ExitCode:
        """Keep the model, and where the training can go on."""
        model = self.temporary(filenames.PORTABLE_MODEL_FILE)
        if model is None:
            return self.exit_codes.ERROR_MODEL_MISSING.format(error=self.last_line())
        self._keep_potential(model, report)
        if report["stop_reason"] == "wall_time_limit":
            self._keep_checkpoint()
            return self.exit_codes.ERROR_OUT_OF_WALLTIME.format(steps=report["steps"])
        start = report.get("starting_validation_loss")
        if start is not None and len(self.losses) and min(self.losses) >= start:
            return self.exit_codes.ERROR_NO_IMPROVEMENT.format(best=float(min(self.losses)), start=start)
        return COMPLETE

    def without_report(self) -> ExitCode | None:
        """Return the exit code of a training that was ended from outside; ``None`` keeps the scheduler's exit code."""
        codes = self.exit_codes
        kept = self._keep_checkpoint()
        cause = cause_of_end(scheduler_messages(self.node, self.retrieved))
        if self.node.exit_status == codes.ERROR_SCHEDULER_OUT_OF_MEMORY.status:
            cause = "memory"
        elif self.node.exit_status == codes.ERROR_SCHEDULER_OUT_OF_WALLTIME.status:
            cause = "time"
        elif self.node.exit_status == codes.ERROR_SCHEDULER_NODE_FAILURE.status:
            return codes.ERROR_INTERRUPTED.format(steps=self.steps) if kept else None
        if cause == "memory":
            return codes.ERROR_OUT_OF_MEMORY.format(error="The scheduler ended it.")
        if cause == "kill":
            # The system's answer to a machine without memory; someone who kills a job by hand knows better.
            return codes.ERROR_OUT_OF_MEMORY.format(error="It was killed with signal 9.")
        if cause == "time" and not kept:
            return codes.ERROR_NO_CHECKPOINT
        if cause == "time":
            return codes.ERROR_OUT_OF_WALLTIME.format(steps=self.steps)
        if kept:
            return codes.ERROR_INTERRUPTED.format(steps=self.steps)
        return super().without_report()

    def failed(self, error: Mapping[str, Any]) -> ExitCode:
        """Return the exit code of a training that said itself what was wrong; with more memory it can go on."""
        if error.get("status") in (OUT_OF_MEMORY, OUT_OF_GPU_MEMORY):
            self._keep_checkpoint()
        return super().failed(error)

    def _keep_curve(self) -> tuple[list[float], list[float]]:
        """Store the curve; return steps and losses of its validations."""
        curve = read_report(self.retrieved, filenames.TRAINING_CURVE_FILE)
        if not curve or not curve["columns"].get("step"):
            return [], []
        self.out("training_curve", _curve_node(curve))
        return curve["columns"]["step"], curve["columns"]["validation_loss"]

    def _keep_potential(self, model: Path, report: Mapping[str, Any]) -> None:
        """Store the packaged model."""
        self.out(
            "potential",
            PotentialData(
                model,
                filename=filenames.PORTABLE_MODEL_FILE,
                species=report["species"],
                cutoff=report["cutoff"],
                metrics=report.get("best", {}),
            ),
        )

    def _keep_checkpoint(self) -> bool:
        """Store the state from which the training can go on; return whether there is one."""
        names = (filenames.LAST_CHECKPOINT_FILE, filenames.BEST_CHECKPOINT_FILE)
        last, best = (self.temporary(name) for name in names)
        if last is None or best is None:
            return False
        self.out("checkpoint", TrainingCheckpointData.from_files(self.steps, last, best))
        return True


def _curve_node(curve: dict[str, Any]) -> orm.ArrayData:
    """Return the curve as one array a column; their units as an attribute."""
    node = orm.ArrayData()
    for name, values in curve["columns"].items():
        node.set_array(name, np.asarray(values, dtype=float))
    node.base.attributes.set("units", curve["units"])
    return node
