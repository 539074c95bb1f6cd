"""Parser of labels from a reference potential."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode

from aiida_sicmlip.calculations.force_bound import reason_to_reject
from aiida_sicmlip.common import filenames
from aiida_sicmlip.parsers.base import SicmlipParser
from aiida_sicmlip.parsers.retrieved import COMPLETE


class ReferenceLabelParser(SicmlipParser):
    """Turn energy and forces into a label, in the form of that of a ``PwCalculation``."""

    CACHE_VERSION = 1

    def keep_outputs(self, report: Mapping[str, Any]) -> ExitCode:
        """Keep the label."""
        path = self.temporary(filenames.PREDICTIONS_FILE)
        if path is None:
            return self.exit_codes.ERROR_LABEL_MISSING
        structure = self.node.inputs.structure
        atoms = structure.get_ase()
        label = orm.TrajectoryData()
        label.set_trajectory(
            structure.get_site_kindnames(), atoms.positions[None], cells=atoms.cell.array[None], pbc=structure.pbc
        )
        with np.load(path, allow_pickle=False) as arrays:
            label.set_array("energy", arrays["energies"])
            label.set_array("forces", arrays["forces"][None])
        self.out("output_trajectory", label)
        if "max_force" not in self.node.inputs:
            return COMPLETE
        reason = reason_to_reject(self.node.inputs.max_force, structure, label)
        return COMPLETE if reason is None else self.exit_codes.ERROR_FORCES_TOO_LARGE.format(reason=reason)
