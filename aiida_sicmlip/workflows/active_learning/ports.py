"""What the loop takes, hands out, and ends with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ProcessBuilder, ProcessSpec, WorkChain
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
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.science.costs.budgets import STATUSES, UNITS, Budget
from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.tools.continuation import SETS
from aiida_sicmlip.tools.nodes import load
from aiida_sicmlip.workflows.active_learning.validation import validate_loop
from aiida_sicmlip.workflows.exploration.exploration import ExplorationWorkChain
from aiida_sicmlip.workflows.exploration.validation import validate_structures
from aiida_sicmlip.workflows.labelling.labelling import LabellingWorkChain
from aiida_sicmlip.workflows.protocols.exploration import fill_exploration
from aiida_sicmlip.workflows.protocols.files import Overrides
from aiida_sicmlip.workflows.protocols.labelling import fill_labelling
from aiida_sicmlip.workflows.protocols.loop import LoopProtocolMixin, load_codes, load_protocol
from aiida_sicmlip.workflows.protocols.nodes import build_structures, described_potential
from aiida_sicmlip.workflows.protocols.training import fill_training
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


class ActiveLearningPorts(LoopProtocolMixin, WorkChain):
    """The loop from outside: its inputs, how these follow from a protocol, its outputs and its exit codes."""

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
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
        cls._define_initial_inputs(spec)
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
            help="Where the trainings of later rounds start: `scratch`, as the first round does (from random weights, "
            "or from `training.training.initial_potential` where it is given), or `previous_round`, from that round's "
            "model.",
        )
        # The checks between sets and structures belong to the children, which have them; here they would run without.
        for namespace in ("exploration", "descriptors", "labelling", "training"):
            spec.inputs[namespace].validator = None
        spec.inputs.validator = validate_loop
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
                message=f"The budget of {{allowed:g}} {UNITS[name]} (`budget.{name}`) does not hold the {{step}} of "
                "round {round}: {used:.4g} are used up. {what}",
            )

    @classmethod
    def _define_initial_inputs(cls, spec: ProcessSpec) -> None:
        """Define what a loop can begin with."""
        helps = {
            "training_set": "Labels that are trained on from the first round on.",
            "validation_set": "Labels that validate from the first round on, until `validation_update` replaces them.",
            "fixed_validation_set": "The set that every round's potential is judged on.",
        }
        for name in SETS:
            spec.input(f"initial.{name}", valid_type=LabelledDataSetData, required=False, help=helps[name])
        spec.input(
            "initial.potential",
            valid_type=PotentialData,
            required=False,
            help="The last potential of an earlier run, whose compiled model is the bootstrap potential.",
        )
        spec.input_namespace(
            "initial.trajectories",
            dynamic=True,
            required=False,
            valid_type=SegmentTrajectoryData,
            help="Segments of an earlier run by start structure, from which the first round's variables are learned.",
        )
        spec.input_namespace(
            "initial.candidates",
            dynamic=True,
            required=False,
            valid_type=CandidateFramesData,
            help="Candidates of an earlier run by its rounds: `round_00` and so on.",
        )
        spec.input_namespace(
            "initial.picks",
            dynamic=True,
            required=False,
            valid_type=orm.ArrayData,
            help="What an earlier run picked, by its rounds.",
        )
        spec.input(
            "initial.assessment", valid_type=orm.Dict, required=False, help="The last assessment of an earlier run."
        )
        for name, what in (("first_round", "Number of the first round"), ("n_segments", "Segments of earlier rounds")):
            spec.input(
                f"initial.{name}",
                valid_type=orm.Int,
                serializer=orm.to_aiida_type,
                required=False,
                validator=validate_not_negative(f"initial.{name}"),
                help=f"{what}, so that numbers go on where those of an earlier run ended.",
            )

    @classmethod
    def get_builder_from_settings(cls, settings: Mapping[str, Any], store: bool = True) -> ProcessBuilder:
        """Return a builder for complete settings, as `load_protocol` gives them.

        :param store: whether the start structures become part of the graph; without, the builder is for checks only.
        :raises InputError: with a message for whatever is wrong.
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
        builder.descriptors.code = codes["descriptors"]
        builder.descriptors.metadata.options = settings["descriptors"]["options"]
        builder.selection.parameters = settings["selection"]["parameters"]
        fill_labelling(builder.labelling, settings["labelling"], codes, builder.structures)
        builder.max_replacements = settings["labelling"]["max_replacements"]
        fill_training(builder.training, settings, codes)
        builder.start_from = settings["training"]["start_from"]
        return builder

    @classmethod
    def get_builder_from_protocol(cls, protocol: str | None = None, overrides: Overrides = None) -> ProcessBuilder:
        """Return a builder for the protocol called ``protocol`` with ``overrides`` on top.

        :param protocol: `demo`, `fast`, `moderate` (default) or `paper`.
        :param overrides: settings as in `workflows/protocols/active_learning.yaml`, or the path of a YAML file of them,
            which may name its protocol.
        :raises InputError: with a message for whatever is wrong.
        """
        return cls.get_builder_from_settings(load_protocol(protocol, overrides))
