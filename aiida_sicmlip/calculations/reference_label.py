"""A label from a reference potential."""

from __future__ import annotations

import json
from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.calculations.force_bound import define_force_bound
from aiida_sicmlip.calculations.job import SicmlipCalculation
from aiida_sicmlip.calculations.lammps_potential import potential_commands, potential_file, validate_species
from aiida_sicmlip.common import filenames


class ReferenceLabelCalculation(SicmlipCalculation):
    """Label one configuration with a classical potential in LAMMPS, where DFT would be too expensive.

    The output `output_trajectory` holds what that of a ``PwCalculation`` holds, so that data sets and lineage are the
    same for both. The energy has the potential's own zero.
    """

    CACHE_VERSION = 1
    """Raised when the meaning of the outputs changes, so that earlier results are not taken for new ones."""

    SUBCOMMAND = "label"
    STEM = "reference_label"
    WALLTIME = 600
    INPUT_FILE = filenames.CONFIGURATION_FILE
    REPORT_FILE = filenames.LABEL_REPORT_FILE
    WORK = "The labelling"
    FAILED = "ERROR_LABEL_FAILED"

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input("structure", valid_type=orm.StructureData, help="The configuration, labelled as it is.")
        spec.input(
            "potential",
            valid_type=LammpsPotentialData,
            help="The reference: any pair style of LAMMPS that takes a potential file.",
        )
        define_force_bound(spec)

        spec.output(
            "output_trajectory",
            valid_type=orm.TrajectoryData,
            help="The label, one step: positions and cell (A), energy (eV) and forces (eV/A).",
        )
        spec.output("results", valid_type=orm.Dict, help="Wall time in s, and versions of the programs.")
        spec.default_output_node = "results"
        spec.exit_code(302, "ERROR_LABEL_MISSING", message="The program left no energy and forces.")

    @classmethod
    def validate_inputs(cls, inputs: dict[str, Any], _: Any) -> str | None:
        """Check that the potential can be evaluated for the structure."""
        if "structure" not in inputs or "potential" not in inputs:
            return None
        structure = inputs["structure"]
        if not all(structure.pbc):
            return (
                f"the structure {structure.get_formula()} <{structure.pk}> is not periodic in all three directions, "
                "which a label by a reference potential needs; give a periodic cell."
            )
        return validate_species(structure, inputs["potential"])

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the configuration and the description of the potential."""
        potential, atoms = self.inputs.potential, self.inputs.structure.get_ase()
        # JSON keeps every digit: what is labelled are the positions of the structure, to the last bit.
        configuration = {
            "symbols": atoms.get_chemical_symbols(),
            "cell": atoms.cell.array.tolist(),
            "positions": atoms.positions.tolist(),
        }
        species = sorted(set(configuration["symbols"]))
        settings = {"species": species, "commands": potential_commands(potential, species)}
        for name, content in (
            (filenames.CONFIGURATION_FILE, configuration),
            (filenames.CLASSICAL_POTENTIAL_SETTINGS_FILE, settings),
        ):
            with folder.open(name, "w") as handle:
                json.dump(content, handle, indent=1)
        arguments = ["--configuration", filenames.CONFIGURATION_FILE]
        arguments += ["--classical", filenames.CLASSICAL_POTENTIAL_SETTINGS_FILE]
        arguments += ["--output", filenames.PREDICTIONS_FILE, "--report", filenames.LABEL_REPORT_FILE]
        return self.job(
            arguments,
            copies=[potential_file(potential)],
            retrieve_temporarily=[filenames.PREDICTIONS_FILE],
        )
