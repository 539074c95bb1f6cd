"""Evaluation of a potential on a labelled data set."""

from __future__ import annotations

import json
from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.calculations.job import job_of_one_program, set_option_defaults
from aiida_sicmlip.calculations.lammps_potential import potential_commands, potential_file, validate_potential
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
        set_option_defaults(spec, "evaluation", 3600)

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
        arguments = ["evaluate", "--dataset", filenames.EVALUATION_DATASET_FILE, *which, "--device", device]
        arguments += ["--output", filenames.PREDICTIONS_FILE, "--report", filenames.EVALUATION_REPORT_FILE]
        dataset = self.inputs.dataset
        return job_of_one_program(
            self,
            "evaluation",
            arguments,
            copies=[(dataset.uuid, dataset.filename, filenames.EVALUATION_DATASET_FILE), potential_file(potential)],
            retrieve=[filenames.EVALUATION_REPORT_FILE],
            retrieve_temporarily=[filenames.PREDICTIONS_FILE],
        )
