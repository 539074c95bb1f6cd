"""Evaluation of a potential on a labelled data set."""

from __future__ import annotations

import json
from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.calculations.exploration import potential_commands, potential_file, validate_potential
from aiida_sicmlip.calculations.validation import POTENTIAL_PLUGINS, validate_code_plugin
from aiida_sicmlip.common import filenames
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.dataset import LabelledDataSetData


class EvaluationCalculation(CalcJob):
    """Predict energies and forces of a data set with a potential and compare them with its labels.

    A classical potential has its own zero of energy: energies are compared after the best shift for each element.
    """

    CACHE_VERSION = 1
    """Raised when the meaning of the outputs changes, so that earlier results are not taken for new ones."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input(
            "code",
            valid_type=orm.AbstractCode,
            validator=validate_code_plugin(POTENTIAL_PLUGINS),
            help="`sicmlip-potential` on the machine that evaluates.",
        )
        spec.input("dataset", valid_type=LabelledDataSetData, help="The labels to compare with.")
        spec.input(
            "potential",
            valid_type=(LammpsPotentialData, CompiledPotentialData),
            validator=validate_potential,
            help="What is judged: a compiled model, or a classical potential.",
        )
        spec.inputs.validator = cls.validate_inputs
        spec.inputs["metadata"]["options"]["parser_name"].default = "sicmlip.evaluation"
        spec.inputs["metadata"]["options"]["output_filename"].default = "evaluation.out"
        spec.inputs["metadata"]["options"]["resources"].default = {"num_machines": 1, "num_mpiprocs_per_machine": 1}
        spec.inputs["metadata"]["options"]["withmpi"].default = False
        spec.inputs["metadata"]["options"]["max_wallclock_seconds"].default = 3600

        spec.output("predictions", valid_type=orm.ArrayData, help="Energies (eV) and forces (eV/A) of each frame.")
        spec.output("results", valid_type=orm.Dict, help="Errors: forces in eV/A, energies in eV/atom.")
        spec.default_output_node = "results"
        spec.exit_code(302, "ERROR_PREDICTIONS_MISSING", message="The evaluation left no predictions.")
        spec.exit_code(420, "ERROR_EVALUATION_FAILED", message="The evaluation stopped with an error: {error}")

    @classmethod
    def validate_inputs(cls, inputs: dict[str, Any], _: Any) -> str | None:
        """Check that the potential knows the species of the data."""
        if "dataset" not in inputs or "potential" not in inputs:
            return None
        dataset, potential = inputs["dataset"], inputs["potential"]
        unknown = sorted(set(dataset.species) - set(potential.species))
        if unknown:
            return (
                f"data set <{dataset.pk}> holds {', '.join(unknown)}, which `potential` <{potential.pk}> does not know."
            )
        return None

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Put the data set and the potential in place."""
        potential = self.inputs.potential
        device = "cpu"
        if isinstance(potential, CompiledPotentialData):
            which = ["--compiled", filenames.COMPILED_MODEL_FILE]
            device = potential.device
        else:
            which = ["--classical", filenames.CLASSICAL_POTENTIAL_SETTINGS_FILE]
            species = self.inputs.dataset.species
            settings = {"species": species, "commands": potential_commands(potential, species)}
            with folder.open(filenames.CLASSICAL_POTENTIAL_SETTINGS_FILE, "w") as handle:
                json.dump(settings, handle, indent=2)
        codeinfo = CodeInfo()
        codeinfo.code_uuid = self.inputs.code.uuid
        codeinfo.cmdline_params = [
            "evaluate",
            "--dataset",
            filenames.EVALUATION_DATASET_FILE,
            *which,
            "--device",
            device,
            "--output",
            filenames.PREDICTIONS_FILE,
            "--report",
            filenames.EVALUATION_REPORT_FILE,
        ]
        codeinfo.stdout_name = "evaluation.out"
        codeinfo.stderr_name = "evaluation.err"
        calcinfo = CalcInfo()
        calcinfo.codes_info = [codeinfo]
        dataset = self.inputs.dataset
        calcinfo.local_copy_list = [
            (dataset.uuid, dataset.filename, filenames.EVALUATION_DATASET_FILE),
            potential_file(potential),
        ]
        calcinfo.retrieve_list = ["evaluation.out", "evaluation.err", filenames.EVALUATION_REPORT_FILE]
        calcinfo.retrieve_temporary_list = [filenames.PREDICTIONS_FILE]
        return calcinfo
