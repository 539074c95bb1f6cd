"""Parser of evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode

from aiida_sicmlip.common import filenames
from aiida_sicmlip.parsers.base import SicmlipParser
from aiida_sicmlip.parsers.retrieved import COMPLETE


class EvaluationParser(SicmlipParser):
    """Turn the predictions and their errors into nodes."""

    CACHE_VERSION = 2

    def keep_outputs(self, report: Mapping[str, Any]) -> ExitCode:
        """Keep the predictions."""
        path = self.temporary(filenames.PREDICTIONS_FILE)
        if path is None:
            return self.exit_codes.ERROR_PREDICTIONS_MISSING
        node = orm.ArrayData()
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                node.set_array(name, arrays[name])
        self.out("predictions", node)
        return COMPLETE
