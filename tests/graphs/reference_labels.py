"""Labels by a reference potential, as the calculation leaves them; LAMMPS is not run."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.common.links import LinkType
from ase import Atoms

from aiida_sicmlip.common.process_types import REFERENCE_LABEL


def reference_label(
    frame: Atoms, potential: Any, code: orm.AbstractCode, structure: orm.StructureData | None = None
) -> orm.TrajectoryData:
    """Return the ``output_trajectory`` of a finished calculation.

    :param frame: with energy and forces.
    :param structure: the node of the configuration, a new one if not given.
    """
    calculation = orm.CalcJobNode(computer=code.computer, process_type=REFERENCE_LABEL)
    calculation.set_process_label("ReferenceLabelCalculation")
    structure = structure or orm.StructureData(ase=frame).store()
    for name, node in (("code", code), ("structure", structure), ("potential", potential)):
        calculation.base.links.add_incoming(node, LinkType.INPUT_CALC, name)
    calculation.store()
    label = orm.TrajectoryData()
    label.set_trajectory(list(frame.symbols), frame.positions[None], cells=frame.cell.array[None], pbc=[True] * 3)
    label.set_array("energy", np.array([frame.get_potential_energy()]))
    label.set_array("forces", frame.get_forces()[None])
    label.base.links.add_incoming(calculation, LinkType.CREATE, "output_trajectory")
    return label.store()
