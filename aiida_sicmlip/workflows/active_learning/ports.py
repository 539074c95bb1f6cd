"""What the loop takes, hands out, and ends with."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ProcessSpec
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.calculations.descriptors import DescriptorsCalculation
from aiida_sicmlip.calculations.lammps_potential import validate_potential
from aiida_sicmlip.calculations.validation import (
    settings_port,
    validate_not_negative,
    validate_positive,
    validate_seed,
)
from aiida_sicmlip.common.exceptions import nearest_name
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.science.costs.budgets import STATUSES, UNITS, Budget
from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.workflows.active_learning.continuation import define_initial_inputs
from aiida_sicmlip.workflows.exploration.exploration import ExplorationWorkChain
from aiida_sicmlip.workflows.exploration.validation import validate_structures
from aiida_sicmlip.workflows.labelling.labelling import LabellingWorkChain
from aiida_sicmlip.workflows.training.training import TrainingWorkChain


def code_of_budget(name: str) -> str:
    """Return the name of the exit code for a budget that has ended a run."""
    return f"WARNING_BUDGET_OF_{name.upper()}"


STARTS = ("scratch", "previous_round")


def validate_start(value: orm.Str | None, _: Any) -> str | None:
    """A training starts anew or from the round before."""
    if value is not None and value.value not in STARTS:
        return f"`start_from` is `{value.value}`. {nearest_name(value.value, STARTS)}"
    return None


def define_inputs(spec: ProcessSpec) -> None:
    """Define the inputs of an ``ActiveLearningWorkChain``."""
    spec.input_namespace(
        "structures",
        dynamic=True,
        valid_type=orm.StructureData,
        validator=validate_structures,
        help="Defect structures from which every round's walkers start.",
    )
    spec.input_namespace(
        "hosts",
        dynamic=True,
        required=False,
        valid_type=orm.StructureData,
        help="The perfect crystal of each structure, under its name: needed where variables are learned, and what "
        "evaluations tell errors near defects by.",
    )
    spec.input(
        "bootstrap_potential",
        valid_type=(LammpsPotentialData, CompiledPotentialData),
        validator=validate_potential,
        help="Explores in round 0 and is not used later.",
    )
    spec.input(
        "seed",
        valid_type=orm.Int,
        serializer=orm.to_aiida_type,
        validator=validate_seed,
        help="Seed from which all others are derived.",
    )
    spec.input(
        "max_rounds",
        valid_type=orm.Int,
        serializer=orm.to_aiida_type,
        validator=validate_positive("max_rounds"),
        help="The loop ends after so many rounds, converged or not.",
    )
    spec.input(
        "convergence",
        default=lambda: orm.Dict(ConvergenceCriteria().to_dict()),
        **settings_port(ConvergenceCriteria),
    )
    spec.input(
        "budget",
        default=lambda: orm.Dict(Budget().to_dict()),
        **settings_port(Budget),
    )
    spec.input(
        "selection.parameters",
        **settings_port(SelectionSettings),
    )
    define_initial_inputs(spec)
    spec.expose_inputs(
        ExplorationWorkChain,
        namespace="exploration",
        exclude=("structures", "hosts", "potential", "seed", "collective_variables", "earlier"),
    )
    spec.expose_inputs(DescriptorsCalculation, namespace="descriptors", include=("code", "metadata"))
    spec.expose_inputs(LabellingWorkChain, namespace="labelling", exclude=("structures",))
    spec.input(
        "max_replacements",
        valid_type=orm.Int,
        serializer=orm.to_aiida_type,
        default=lambda: orm.Int(10),
        validator=validate_not_negative("max_replacements"),
        help="In each round at most so many labels that failed are replaced by further candidates; 0 for none.",
    )
    spec.expose_inputs(
        TrainingWorkChain,
        namespace="training",
        exclude=("training_set", "validation_set", "further_sets", "training.seed", "evaluation.hosts"),
    )
    spec.input(
        "start_from",
        valid_type=orm.Str,
        serializer=orm.to_aiida_type,
        default=lambda: orm.Str("scratch"),
        validator=validate_start,
        help="Where the trainings of later rounds start: `scratch`, as the first round does (from random weights, or "
        "from `training.training.initial_potential` where it is given), or `previous_round`, from that round's model.",
    )
    # The checks between sets and structures belong to the children, which have them; here they would run without.
    for namespace in ("exploration", "descriptors", "labelling", "training"):
        spec.inputs[namespace].validator = None


def define_outcomes(spec: ProcessSpec) -> None:
    """Define its outputs and exit codes."""
    spec.output("potential", valid_type=PotentialData, help="The last trained potential, portable.")
    spec.output("compiled_potential", valid_type=CompiledPotentialData, help="The same, compiled for LAMMPS.")
    spec.output_namespace(
        "further_compilations",
        dynamic=True,
        valid_type=CompiledPotentialData,
        help="The same, compiled for the further machines, under their names.",
    )
    spec.output("training_set", valid_type=LabelledDataSetData, help="What it was trained on.")
    spec.output("validation_set", valid_type=LabelledDataSetData, help="What it was validated on.")
    spec.output(
        "fixed_validation_set",
        valid_type=LabelledDataSetData,
        required=False,
        help="What every round's potential was judged on, where `n_fixed_validation` asks for it.",
    )
    spec.output_namespace(
        "assessments", dynamic=True, valid_type=orm.Dict, help="Errors and verdicts, under `round_00` and so on."
    )
    for status, step in (
        (401, "exploration"),
        (402, "labelling"),
        (403, "training"),
        (404, "evaluation"),
        (405, "description"),
    ):
        spec.exit_code(
            status,
            f"ERROR_{step.upper()}_FAILED",
            message=f"The {step} of round {{round}} <{{pk}}> failed: {{reason}}",
        )
    spec.exit_code(
        410,
        "ERROR_NOTHING_NEW",
        message="Round {round} found no frames to label: all overlap, are filtered out or repeat what is labelled "
        "already. Explore longer or hotter.",
    )
    spec.exit_code(
        701,
        "WARNING_NOT_CONVERGED",
        message="The criteria are not met after {rounds} rounds; the last potential is usable within its errors. "
        "Allow more rounds (`max_rounds`) to go on.",
    )
    for status, name in STATUSES.items():
        spec.exit_code(
            status,
            code_of_budget(name),
            message=f"The budget of {{allowed:g}} {UNITS[name]} (`budget.{name}`) does not hold the {{step}} of round "
            "{round}: {used:.4g} are used up. {what}",
        )
