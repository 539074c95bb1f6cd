"""Inputs, outputs and exit codes of the active-learning loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ProcessBuilder, ProcessSpec, WorkChain
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.calculations.descriptors import DescriptorsCalculation
from aiida_sicmlip.calculations.lammps_potential import validate_members, validate_potential
from aiida_sicmlip.calculations.validation import (
    number_port,
    seed_port,
    settings_port,
)
from aiida_sicmlip.common.exceptions import nearest_name
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.science.costs.budgets import STATUSES, UNITS, Budget
from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria
from aiida_sicmlip.science.evaluation.final_run import FinalRunSettings
from aiida_sicmlip.science.protocol_files import Overrides
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.tools.continuation import SETS
from aiida_sicmlip.tools.nodes import load
from aiida_sicmlip.workflows.active_learning.validation import validate_loop
from aiida_sicmlip.workflows.exploration.exploration import ExplorationWorkChain
from aiida_sicmlip.workflows.exploration.validation import validate_structures
from aiida_sicmlip.workflows.labelling.labelling import LabellingWorkChain
from aiida_sicmlip.workflows.protocols.exploration import fill_exploration, final_run_parameters
from aiida_sicmlip.workflows.protocols.labelling import fill_labelling
from aiida_sicmlip.workflows.protocols.loop import LoopProtocolMixin, load_codes, load_protocol
from aiida_sicmlip.workflows.protocols.nodes import build_structures, described_potential
from aiida_sicmlip.workflows.protocols.training import fill_training
from aiida_sicmlip.workflows.training.training import TrainingWorkChain


def code_of_budget(name: str) -> str:
    """Return the name of the exit code for a budget that is used up."""
    return f"WARNING_BUDGET_OF_{name.upper()}"


STARTS = ("scratch", "previous_round")


def validate_start(value: orm.Str | None, _: Any) -> str | None:
    """Validate ``start_from``."""
    if value is not None and value.value not in STARTS:
        return f"`start_from` is `{value.value}`. {nearest_name(value.value, STARTS)}"
    return None


class ActiveLearningPorts(LoopProtocolMixin, WorkChain):
    """Ports, exit codes and protocol of the active-learning loop."""

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input_namespace(
            "structures",
            dynamic=True,
            valid_type=orm.StructureData,
            validator=validate_structures,
            help="Defect structures from which the walkers of every round start.",
        )
        spec.input_namespace(
            "hosts",
            dynamic=True,
            required=False,
            valid_type=orm.StructureData,
            help="Host crystal of each start structure, under its name. Required to learn collective variables, and to "
            "resolve the errors of evaluations by the distance to defects.",
        )
        spec.input(
            "bootstrap_potential",
            valid_type=(LammpsPotentialData, CompiledPotentialData),
            validator=validate_potential,
            help="Potential that explores round 0; not used in later rounds.",
        )
        spec.input("seed", **seed_port("Seed from which all other seeds are derived."))
        spec.input("max_rounds", **number_port("max_rounds", "Maximum number of rounds.", at_least=1))
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
        cls._define_initial_inputs(spec)
        spec.expose_inputs(
            ExplorationWorkChain,
            namespace="exploration",
            exclude=(
                *("structures", "hosts", "potential", "committee", "evaluation", "seed", "collective_variables"),
                *("earlier", "round_number"),
            ),
        )
        spec.expose_inputs(DescriptorsCalculation, namespace="descriptors", include=("code", "metadata"))
        spec.expose_inputs(LabellingWorkChain, namespace="labelling", exclude=("structures",))
        spec.input(
            "max_replacements",
            **number_port(
                "max_replacements",
                "Maximum number of failed labels that are replaced by further candidates in each round; 0 for none.",
                10,
                at_least=0,
            ),
        )
        spec.expose_inputs(
            TrainingWorkChain,
            namespace="training",
            exclude=(
                "training_set",
                "validation_set",
                "further_sets",
                "training.seed",
                "evaluation.hosts",
                "prolongation_hours",
            ),
        )
        spec.input(
            "start_from",
            valid_type=orm.Str,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Str("scratch"),
            validator=validate_start,
            help="Where the trainings of later rounds start: `scratch`, as in the first round (from random weights, or "
            "from `training.training.initial_potential` if given), or `previous_round`, from the model of that round.",
        )
        spec.input_namespace(
            "final_run",
            required=False,
            populate_defaults=False,
            help="Unbiased runs with labels along them that the potential has to pass before the loop stops.",
        )
        spec.input("final_run.parameters", **settings_port(FinalRunSettings))
        spec.input_namespace(
            "final_run.walker_parameters",
            dynamic=True,
            valid_type=orm.Dict,
            help="Settings of the runs from each start structure, under its name, as one condition.",
        )
        # These validators need the data sets and structures, which are not inputs of the namespaces here.
        for namespace in ("exploration", "descriptors", "labelling", "training"):
            spec.inputs[namespace].validator = None
        spec.inputs.validator = validate_loop
        spec.output("potential", valid_type=PotentialData, help="Potential of the last round, portable.")
        spec.output(
            "compiled_potential",
            valid_type=CompiledPotentialData,
            help="Potential of the last round, compiled for LAMMPS.",
        )
        spec.output_namespace(
            "further_compilations",
            dynamic=True,
            valid_type=CompiledPotentialData,
            help="Potential of the last round, compiled for the further machines, under their names.",
        )
        spec.output("training_set", valid_type=LabelledDataSetData, help="Training set of the potential.")
        spec.output("validation_set", valid_type=LabelledDataSetData, help="Validation set of the potential.")
        spec.output(
            "fixed_validation_set",
            valid_type=LabelledDataSetData,
            required=False,
            help="Set on which the potential of every round is evaluated, if `n_fixed_validation` is not 0.",
        )
        spec.output_namespace(
            "assessments",
            dynamic=True,
            valid_type=orm.Dict,
            help="Errors and convergence criteria of each round, under `round_00` etc.",
        )
        spec.output_namespace(
            "final_runs",
            dynamic=True,
            valid_type=orm.Dict,
            help="Errors against time along the free runs of the rounds that met the criteria, under `round_02` etc.",
        )
        for status, step in (
            (401, "exploration"),
            (402, "labelling"),
            (403, "training"),
            (404, "evaluation"),
            (405, "description"),
            (406, "final_run"),
        ):
            spec.exit_code(
                status,
                f"ERROR_{step.upper()}_FAILED",
                message=f"The {step.replace('_', ' ')} of round {{round}} <{{pk}}> failed: {{reason}}",
            )
        spec.exit_code(
            410,
            "ERROR_NOTHING_NEW",
            message="Round {round} has no new frames to label: all have overlapping atoms, do not pass the filter, "
            "are outside the window of the selection or repeat labelled configurations. Explore for longer or at a "
            "higher temperature; or, where the window leaves nothing, more gently or with wider bounds.",
        )
        spec.exit_code(
            701,
            "WARNING_NOT_CONVERGED",
            message="The convergence criteria are not met after {rounds} rounds. {fitness} Increase `max_rounds` to "
            "continue.",
        )
        for status, name in STATUSES.items():
            spec.exit_code(
                status,
                code_of_budget(name),
                message=f"The budget of {{allowed:g}} {UNITS[name]} (`budget.{name}`) does not suffice for "
                "the {step} of round {round}: {used:.4g} are used up. {advice}",
            )

    @classmethod
    def _define_initial_inputs(cls, spec: ProcessSpec) -> None:
        """Define the inputs that provide the initial data sets or continue an earlier run."""
        helps = {
            "training_set": "Initial training set, which the first round extends.",
            "validation_set": "Initial validation set, which the first round extends or replaces.",
            "fixed_validation_set": "Set on which the potential of every round is evaluated.",
        }
        for name in SETS:
            spec.input(f"initial.{name}", valid_type=LabelledDataSetData, required=False, help=helps[name])
        spec.input(
            "initial.potential",
            valid_type=PotentialData,
            required=False,
            help="Last potential of an earlier run, of which the bootstrap potential is the compiled model.",
        )
        spec.input_namespace(
            "initial.committee",
            dynamic=True,
            required=False,
            valid_type=CompiledPotentialData,
            validator=validate_members,
            help="The other members of the committee of the bootstrap potential.",
        )
        spec.input(
            "initial.evaluation",
            valid_type=orm.Dict,
            required=False,
            help="Evaluation of a committee of an earlier run on labels that it was not trained on, with which the "
            "disagreement in the first round is calibrated.",
        )
        spec.input_namespace(
            "initial.trajectories",
            dynamic=True,
            required=False,
            valid_type=SegmentTrajectoryData,
            help="Segments of an earlier run by start structure, from which the first variables are learned.",
        )
        spec.input_namespace(
            "initial.filters",
            dynamic=True,
            required=False,
            valid_type=orm.ArrayData,
            help="Which of their frames may be used, under the same names.",
        )
        spec.input_namespace(
            "initial.candidates",
            dynamic=True,
            required=False,
            valid_type=CandidateFramesData,
            help="Candidates of an earlier run by round: `round_00` etc.",
        )
        spec.input_namespace(
            "initial.picks",
            dynamic=True,
            required=False,
            valid_type=orm.ArrayData,
            help="Picks of an earlier run by round.",
        )
        spec.input("initial.assessment", valid_type=orm.Dict, required=False, help="Last assessment of an earlier run.")
        for name, what in (
            ("first_round", "Number of the first round"),
            ("n_segments", "Number of segments of earlier rounds"),
        ):
            purpose = f"{what}; continues the numbering of an earlier run."
            spec.input(f"initial.{name}", required=False, **number_port(f"initial.{name}", purpose, at_least=0))

    @classmethod
    def get_builder_from_settings(cls, settings: Mapping[str, Any], store: bool = True) -> ProcessBuilder:
        """Return a builder for complete settings, as returned by `load_protocol`.

        :param store: whether to store the start structures; if not, the builder can only be validated.
        :raises InputError: if a setting is invalid.
        """
        settings, codes, switches = load_codes(settings)
        builder = cls.get_builder()
        builder.bootstrap_potential = described_potential(
            settings["bootstrap"], "bootstrap", LammpsPotentialData, CompiledPotentialData
        )
        builder.structures, builder.hosts = build_structures(settings["structures"], store)
        for name, identifier in settings["initial"].items():
            if identifier is not None:
                builder.initial[name] = load(identifier, [LabelledDataSetData], f"initial.{name}")
        for name in ("seed", "max_rounds", "convergence", "budget"):
            builder[name] = settings[name]
        fill_exploration(builder.exploration, settings["exploration"], settings["structures"], codes, switches)
        if settings["exploration"]["ramp"] is not None:
            builder.exploration.ramp = settings["exploration"]["ramp"]
        builder.descriptors.code = codes["descriptors"]
        builder.descriptors.metadata.options = settings["descriptors"]["options"]
        builder.selection.parameters = settings["selection"]["parameters"]
        fill_labelling(builder.labelling, settings["labelling"], codes, builder.structures)
        builder.max_replacements = settings["labelling"]["max_replacements"]
        fill_training(builder.training, settings, codes)
        if settings["training"]["asked_force_mae"] is None:
            builder.training.asked_force_mae = settings["convergence"]["force_mae"]
        builder.start_from = settings["training"]["start_from"]
        if settings["final_run"] is not None:
            builder.final_run.parameters = settings["final_run"]
            builder.final_run.walker_parameters = {
                name: {"condition_00": orm.Dict(parameters)}
                for name, parameters in final_run_parameters(settings).items()
            }
        return builder

    @classmethod
    def get_builder_from_protocol(cls, protocol: str | None = None, overrides: Overrides = None) -> ProcessBuilder:
        """Return a builder for the protocol called ``protocol`` with ``overrides`` on top.

        :param protocol: `demo`, `fast`, `moderate` (default) or `paper`.
        :param overrides: settings as in `workflows/protocols/active_learning.yaml`, or the path of a YAML file of them,
            which may name its protocol.
        :raises InputError: if a setting is invalid.
        """
        return cls.get_builder_from_settings(load_protocol(protocol, overrides))
