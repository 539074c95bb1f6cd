"""Parser of evaluations."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_sicmlip.common import filenames
from aiida_sicmlip.parsers.retrieved import COMPLETE, error_of, read_report, temporary_file


class EvaluationParser(Parser):
    """Turn the predictions and their errors into nodes."""

    CACHE_VERSION = 2

    def parse(self, *, retrieved_temporary_folder: str, **kwargs: Any) -> ExitCode:
        """Keep errors and predictions."""
        report = read_report(self.retrieved, filenames.EVALUATION_REPORT_FILE)
        error = error_of(report, self.retrieved, "evaluation.err")
        if report is None or error is not None:
            return self.exit_codes.ERROR_EVALUATION_FAILED.format(error=error)
        self.out("results", orm.Dict(report))
        path = temporary_file(retrieved_temporary_folder, filenames.PREDICTIONS_FILE)
        if path is None:
            return self.exit_codes.ERROR_PREDICTIONS_MISSING
        node = orm.ArrayData()
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                node.set_array(name, arrays[name])
        self.out("predictions", node)
        return COMPLETE
