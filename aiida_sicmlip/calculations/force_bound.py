"""The bound on forces that labels are held against, the same for all processes that make one."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ProcessSpec

from aiida_sicmlip.calculations.validation import number_port
from aiida_sicmlip.science.labels.force_bound import message_on_forces


def define_force_bound(spec: ProcessSpec) -> None:
    """Define the bound of a process that makes a label, and the exit code of a rejected label."""
    purpose = "A label with a larger force on an atom, in eV/A, is rejected; by default none is."
    spec.input("max_force", required=False, **number_port("max_force", purpose, kind=orm.Float, above=0))
    spec.exit_code(460, "ERROR_FORCES_TOO_LARGE", message="Rejected: {reason}.")


def reason_to_reject(bound: orm.Float, structure: orm.StructureData, label: orm.TrajectoryData) -> str | None:
    """Return why the label of a structure is rejected, None where it is not.

    :param bound: largest allowed force on an atom, eV/A.
    """
    symbols = structure.get_ase().get_chemical_symbols()
    return message_on_forces(label.get_array("forces")[-1], symbols, bound.value)
