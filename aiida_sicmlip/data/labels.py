"""What nodes say of a label and of its level of theory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.process_types import REFERENCE_LABEL
from aiida_sicmlip.science.labels.level_of_theory import (
    functional_of_pseudopotential,
    potential_level_of_theory,
    pw_charge_and_spin,
    pw_level_of_theory,
)
from aiida_sicmlip.science.labels.states import EnergySurface, LabelState, set_state


def labelled_frame(label: orm.TrajectoryData, name: str) -> Atoms:
    """Return the configuration of a label with its energy (eV), forces (eV/A), and charge and spin in ``info``.

    :raises InputError: if the label holds no energy or no forces.
    """
    arrays = label.get_arraynames()
    for needed, what in (("energy", "an energy"), ("forces", "forces")):
        if needed not in arrays:
            raise InputError(
                f"label `{name}` <{label.pk}> holds no `{needed}`; a label needs {what}: set `tprnfor` in the CONTROL "
                "namelist of the labelling."
            )
    # The symbols of a parsed trajectory are names of kinds (`Si1`); the elements stand in the structure that was given.
    inputs = label.creator.inputs
    numbers = inputs.structure.get_ase().numbers
    frame = Atoms(numbers, positions=label.get_positions()[-1], cell=label.get_cells()[-1], pbc=True)
    frame.calc = SinglePointCalculator(
        frame, energy=float(label.get_array("energy")[-1]), forces=label.get_array("forces")[-1]
    )
    # A classical potential knows neither charge nor spin.
    is_reference = label.creator.process_type == REFERENCE_LABEL
    set_state(frame, LabelState() if is_reference else LabelState(*pw_charge_and_spin(inputs.parameters.get_dict())))
    return frame


def level_of_label(label: orm.TrajectoryData, name: str) -> dict:
    """Return the level of theory of the calculation that made ``label``.

    :raises InputError: if the label was made neither by a calculation of ``pw.x`` nor by one of a reference potential.
    """
    creator = label.creator
    if creator is not None and creator.process_type == REFERENCE_LABEL:
        return level_of_potential(creator.inputs.potential)
    if creator is None or "parameters" not in creator.inputs:
        raise InputError(
            f"label `{name}` <{label.pk}> was not made by a calculation, so that its level of theory is unknown; "
            "take the `output_trajectory` of a PwCalculation or a ReferenceLabelCalculation."
        )
    incoming = creator.base.links.get_incoming(link_type=LinkType.INPUT_CALC).nested()
    return level_from_nodes(incoming["parameters"], incoming["kpoints"], incoming["code"], incoming["pseudos"])


def level_from_nodes(
    parameters: orm.Dict, kpoints: orm.KpointsData, code: orm.AbstractCode, pseudos: dict[str, orm.Data]
) -> dict:
    """Return the level of theory of a ``PwCalculation`` with these inputs, as a plain mapping."""
    try:
        mesh, offset = kpoints.get_kpoints_mesh()
        points: dict | list = {"mesh": list(mesh), "offset": list(offset)}
    except AttributeError:
        points = kpoints.get_kpoints().tolist()
    described = {
        kind: {
            "element": pseudo.element,
            "md5": pseudo.md5,
            "functional": functional_of_pseudopotential(pseudo.get_content()),
        }
        for kind, pseudo in pseudos.items()
    }
    return pw_level_of_theory(parameters.get_dict(), described, points, code.default_calc_job_plugin)


def level_of_potential(potential: orm.Data) -> dict:
    """Return the level of theory of labels by ``potential``, a LAMMPS potential, as a plain mapping."""
    return potential_level_of_theory(potential.pair_style, potential.md5)


def surface_of_labelling(labelling: Mapping[str, Any]) -> EnergySurface | None:
    """Return the energy surface of the labels that a labelling will make; None where its inputs do not say (yet).

    :param labelling: inputs of a ``LabellingWorkChain``.
    """
    if "reference" in labelling and "potential" in labelling["reference"]:
        return EnergySurface(None, None, level_of_potential(labelling["reference"]["potential"]))
    if "pw" in labelling.get("pw", {}):
        pw = labelling["pw"]["pw"]
        level = level_from_nodes(pw["parameters"], labelling["pw"]["kpoints"], pw["code"], dict(pw["pseudos"]))
        return EnergySurface(*pw_charge_and_spin(pw["parameters"].get_dict()), level)
    return None
