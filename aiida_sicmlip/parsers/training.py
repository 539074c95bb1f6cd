"""Parser of trainings."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.exit_status import NO_MODEL, NOT_A_NUMBER
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.parsers.retrieved import COMPLETE, last_line, read_report, read_text, temporary_file


class TrainingParser(Parser):
    """Turn the report, the curve and the packaged model of a training into nodes."""

    CACHE_VERSION = 1

    def parse(self, *, retrieved_temporary_folder: str, **kwargs: Any) -> ExitCode:
        """Keep everything the training left, then say how it ended."""
        report = read_report(self.retrieved, filenames.TRAINING_REPORT_FILE)
        if report is None:
            return self.exit_codes.ERROR_REPORT_MISSING
        self.out("results", orm.Dict(report))
        curve = read_report(self.retrieved, filenames.TRAINING_CURVE_FILE)
        if curve and curve["columns"].get("epoch"):
            self.out("training_curve", _curve_node(curve))
        configuration = read_text(self.retrieved, filenames.NEQUIP_CONFIGURATION_FILE)
        if configuration is not None:
            self.out(
                "configuration",
                orm.SinglefileData.from_string(configuration, filename=filenames.NEQUIP_CONFIGURATION_FILE),
            )
        model = temporary_file(retrieved_temporary_folder, filenames.PORTABLE_MODEL_FILE)
        error = report.get("error")
        if error:
            codes = {
                NOT_A_NUMBER: self.exit_codes.ERROR_NOT_A_NUMBER,
                NO_MODEL: self.exit_codes.ERROR_OUT_OF_WALLTIME,
            }
            code = codes.get(error.get("status"), self.exit_codes.ERROR_TRAINING_FAILED)
            return code.format(error=error["message"])
        if model is None:
            return self.exit_codes.ERROR_MODEL_MISSING.format(error=last_line(self.retrieved, "training.err"))
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
        return COMPLETE


def _curve_node(curve: dict[str, Any]) -> orm.ArrayData:
    """Return the curve as one array a column; their units as an attribute."""
    node = orm.ArrayData()
    for name, values in curve["columns"].items():
        node.set_array(name, np.asarray(values, dtype=float))
    node.base.attributes.set("units", curve["units"])
    return node
