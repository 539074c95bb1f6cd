"""Parser of trainings of collective variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from aiida import orm
from aiida.engine import ExitCode

from aiida_sicmlip.common.exit_status import NOT_A_NUMBER
from aiida_sicmlip.data.collective_variables import FILES, CollectiveVariablesData
from aiida_sicmlip.parsers.base import SicmlipParser
from aiida_sicmlip.parsers.retrieved import COMPLETE

LEAST_VARIANCE_EXPLAINED = 0.05
"""A model that gives back less of its own training frames has learnt nothing."""
# Losses are of standardised vectors.
CURVE_UNITS = {"epoch": "1", "training_loss": "1", "held_out_loss": "1"}


class CollectiveVariablesParser(SicmlipParser):
    """Turn the report, the curve and the files of the model into nodes."""

    CACHE_VERSION = 1
    KNOWN_FAILURES: ClassVar = {NOT_A_NUMBER: "ERROR_NOT_A_NUMBER"}

    def remarks(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Return what makes a finished training doubtful, and warn of it."""
        remarks = _remarks(report)
        for remark in remarks:
            self.logger.warning(remark)
        return {"remarks": remarks}

    def keep_outputs(self, report: Mapping[str, Any]) -> ExitCode:
        """Keep the model and its curve."""
        if any(self.temporary(name) is None for name in FILES):
            return self.exit_codes.ERROR_MODEL_MISSING.format(error=self.last_line())
        node = CollectiveVariablesData.from_folder(self.folder)
        self.out("training_curve", _curve_node(node.training_curve))
        self.out("collective_variables", node)
        return COMPLETE


def _remarks(report: Mapping[str, Any]) -> list[str]:
    """Return what makes a finished training doubtful, as messages."""
    if report.get("error"):
        return []
    remarks = []
    if len(report["n_frames"]) == 1:
        remarks.append("There was one trajectory, so none was held out: nothing says whether the model is overfitted.")
    explained = report["variance_explained"]["training"]
    if explained < LEAST_VARIANCE_EXPLAINED:
        remarks.append(
            f"The model explains {explained:.3f} of the variance of its own training frames: it learnt next to nothing "
            f"up to epoch {report['best_epoch']}, whose weights it has. The held-out trajectories may be unlike the "
            "others, or the training too short: give more trajectories or epochs, or set `autoencoder.held_out` to 0."
        )
    return remarks


def _curve_node(curve: list[dict[str, Any]]) -> orm.ArrayData:
    """Return the curve as one array a column, not-a-number where nothing was held out; units as an attribute."""
    node = orm.ArrayData()
    for name in CURVE_UNITS:
        node.set_array(name, np.array([epoch[name] for epoch in curve], dtype=float))
    node.base.attributes.set("units", CURVE_UNITS)
    return node
