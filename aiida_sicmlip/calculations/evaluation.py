"""Evaluation of a potential on a labelled data set."""

from __future__ import annotations

import json
from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida_lammps.data.potential import LammpsPotentialData
from ase.io import write

from aiida_sicmlip.calculations.job import SicmlipCalculation
from aiida_sicmlip.calculations.lammps_potential import (
    potential_commands,
    potential_file,
    validate_members,
    validate_potential,
)
from aiida_sicmlip.common import filenames
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.dataset import LabelledDataSetData


class EvaluationCalculation(SicmlipCalculation):
    """Predict energies and forces of a data set with a potential and compare them with its labels.

    A classical potential has its own zero of energy: energies are compared after the best shift for each element.
    Errors are reported by element, near defects and in the bulk, and on migrating atoms. Regions need the perfect
    crystals of the configurations; configurations that fit none are counted, and left out there.
    """

    CACHE_VERSION = 3
    """Raised when the meaning of the outputs changes, so that earlier results are not taken for new ones."""

    SUBCOMMAND = "evaluate"
    STEM = "evaluation"
    WALLTIME = 3600
    REPORT_FILE = filenames.EVALUATION_REPORT_FILE
    WORK = "The evaluation"
    FAILED = "ERROR_EVALUATION_FAILED"

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input("dataset", valid_type=LabelledDataSetData, help="The labels to compare with.")
        spec.input(
            "potential",
            valid_type=(LammpsPotentialData, CompiledPotentialData),
            validator=validate_potential,
            help="The potential to evaluate: a compiled model, or a classical potential.",
        )
        spec.input_namespace(
            "committee",
            dynamic=True,
            required=False,
            valid_type=CompiledPotentialData,
            validator=validate_members,
            help="The other members of a committee of compiled models that `potential` is one of, such as trainings "
            "with other seeds: how much all of them disagree.",
        )
        spec.input_namespace(
            "hosts",
            dynamic=True,
            required=False,
            valid_type=orm.StructureData,
            help="The perfect crystal of each defect; found from the configurations where it is left out.",
        )

        spec.output(
            "predictions",
            valid_type=orm.ArrayData,
            help="Of F frames with A atoms in all: `energies` (F,) eV, `forces` (A, 3) eV/A, `n_atoms` (F,), "
            "`atomic_energies` (A,) eV where the potential gives them; `region` (A,): 0 migrating, 1 surroundings, "
            "2 elsewhere, -1 without a host; `distance_to_defect` (A,) A, not a number where there is none; "
            "`near_defect` (A,), whether it is within 1.78 bonds of a defect; of a committee `energy_disagreement` "
            "(F,) eV/atom and `force_disagreement` (A,) eV/A.",
        )
        spec.output(
            "results",
            valid_type=orm.Dict,
            help="Errors of forces (eV/A) and energies (eV/atom): of all, by element and region, on rare events, and "
            "the worst frames.",
        )
        spec.default_output_node = "results"
        spec.exit_code(302, "ERROR_PREDICTIONS_MISSING", message="The evaluation left no predictions.")

    @classmethod
    def validate_inputs(cls, inputs: dict[str, Any], _: Any) -> str | None:
        """Check that the potentials know the species of the data, and fit each other."""
        if "dataset" not in inputs or "potential" not in inputs:
            return None
        dataset, potential, committee = inputs["dataset"], inputs["potential"], inputs.get("committee", {})
        if committee and not isinstance(potential, CompiledPotentialData):
            return "`committee` is given for a classical potential, which is no member of one: leave it out."
        members = {"potential": potential, **{f"committee.{name}": node for name, node in committee.items()}}
        for name, member in members.items():
            unknown = sorted(set(dataset.species) - set(member.species))
            if unknown:
                return (
                    f"data set <{dataset.pk}> holds {', '.join(unknown)}, which `{name}` <{member.pk}> does not know."
                )
            if committee and member.device != potential.device:
                return (
                    f"`{name}` <{member.pk}> was compiled for {member.device} and `potential` <{potential.pk}> for "
                    f"{potential.device}: compile all members for one machine."
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
        arguments = ["--dataset", filenames.EVALUATION_DATASET_FILE, *which, "--device", device]
        arguments += ["--output", filenames.PREDICTIONS_FILE, "--report", filenames.EVALUATION_REPORT_FILE]
        dataset = self.inputs.dataset
        copies = [(dataset.uuid, dataset.filename, filenames.EVALUATION_DATASET_FILE), potential_file(potential)]
        for name, member in sorted(self.inputs.get("committee", {}).items()):
            file = f"member_{name}.nequip.pt2"
            copies.append((member.uuid, member.filename, file))
            arguments += ["--committee", file]
        for name, host in sorted(self.inputs.get("hosts", {}).items()):
            file = f"host_{name}.extxyz"
            with folder.open(file, "w") as handle:
                write(handle, host.get_ase(), format="extxyz")
            arguments += ["--host", file]
        return self.job(
            arguments,
            copies=copies,
            retrieve_temporarily=[filenames.PREDICTIONS_FILE],
        )
