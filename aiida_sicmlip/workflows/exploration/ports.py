"""What an exploration takes, hands out, and ends with."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ProcessSpec
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.calculations.collective_variables import CollectiveVariablesCalculation
from aiida_sicmlip.calculations.lammps_potential import validate_potential
from aiida_sicmlip.calculations.validation import seed_port, settings_port, validate_positive
from aiida_sicmlip.data.collective_variables import CollectiveVariablesData
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.selection.frame_filter import FrameFilterSettings
from aiida_sicmlip.workflows.exploration.validation import validate_structures
from aiida_sicmlip.workflows.exploration.walker import WalkerWorkChain

PER_STRUCTURE = ("structure", "potential", "seed", "collective_variables", "host", "continuation")
"""Inputs of a run that differ from walker to walker, or are given once for all."""


def define_inputs(spec: ProcessSpec) -> None:
    """Define the inputs of an ``ExplorationWorkChain``."""
    spec.input_namespace(
        "structures",
        dynamic=True,
        valid_type=orm.StructureData,
        validator=validate_structures,
        help="Where walkers start.",
    )
    spec.input_namespace(
        "hosts",
        dynamic=True,
        required=False,
        valid_type=orm.StructureData,
        help="The perfect crystal of each start structure, under its name: needed where variables are learned.",
    )
    spec.input(
        "potential",
        valid_type=(LammpsPotentialData, CompiledPotentialData),
        validator=validate_potential,
        help="What drives the walkers: a classical potential, or a trained model compiled for LAMMPS.",
    )
    for name, default, what in (
        ("walkers", 1, "Independent walkers from each start structure."),
        (
            "max_concurrent",
            10,
            "Walkers at work at the same time; lowered where the daemon has fewer slots than that needs.",
        ),
    ):
        spec.input(
            name,
            valid_type=orm.Int,
            serializer=orm.to_aiida_type,
            default=lambda value=default: orm.Int(value),
            validator=validate_positive(name),
            help=what,
        )
    spec.input("seed", **seed_port("Seed from which all others of the exploration are derived."))
    spec.expose_inputs(
        WalkerWorkChain,
        namespace="walker",
        exclude=[f"exploration.{name}" for name in PER_STRUCTURE],
        namespace_options={"help": "How each walker runs; biased where `exploration.bias` is given."},
    )
    for name, who in (("walker_parameters", "walkers"), ("unbiased_parameters", "unbiased runs")):
        several = ", one entry for each way; every entry has `walkers` of them" if who == "walkers" else ", one entry"
        spec.input_namespace(
            name,
            dynamic=True,
            required=False,
            valid_type=orm.Dict,
            help=f"How {who} of a start structure run, under its name{several}. Where a structure has none, "
            f"`{'walker.exploration' if who == 'walkers' else 'unbiased'}.parameters` holds.",
        )
    spec.input(
        "unbiased.parameters",
        required=False,
        **settings_port(
            ExplorationSettings,
            purpose="Unbiased runs, whose frames the first variables are learned from.",
        ),
    )
    spec.input(
        "unbiased.walkers",
        valid_type=orm.Int,
        serializer=orm.to_aiida_type,
        default=lambda: orm.Int(2),
        validator=validate_positive("unbiased.walkers"),
        help="Unbiased runs from each start structure; with two or more, one is held out to stop the learning in time.",
    )
    spec.expose_inputs(
        CollectiveVariablesCalculation,
        namespace="variables",
        exclude=("structure", "host", "trajectories", "seed"),
        namespace_options={"required": False, "populate_defaults": False, "help": "How variables are learned."},
    )
    spec.input_namespace(
        "collective_variables",
        dynamic=True,
        required=False,
        valid_type=CollectiveVariablesData,
        help="Variables that are there already, under the names of their structures; none are learned for those.",
    )
    spec.input_namespace(
        "earlier",
        dynamic=True,
        required=False,
        valid_type=SegmentTrajectoryData,
        help="Trajectories to learn variables from, by start structure, each under `s00`, `s01` and so on.",
    )
    spec.input(
        "filter",
        required=False,
        **settings_port(FrameFilterSettings),
    )
    # These see the whole of their inputs only where a walker is submitted; `validate_inputs` checks them here.
    spec.inputs["walker"].validator = None
    spec.inputs["walker"]["exploration"].validator = None
    spec.inputs["variables"].validator = None


def define_outcomes(spec: ProcessSpec) -> None:
    """Define its outputs and exit codes."""
    for name, valid_type, what in (
        ("trajectories", SegmentTrajectoryData, "What the walkers saw"),
        ("thermodynamics", orm.ArrayData, "Energies and temperature of the walkers"),
        ("colvars", orm.ArrayData, "Collective variables and bias of the walkers"),
        ("unbiased_trajectories", SegmentTrajectoryData, "What the unbiased runs saw"),
        ("frame_filters", orm.ArrayData, "Which frames pass the filter, and how many do not"),
    ):
        spec.output_namespace(
            name,
            dynamic=True,
            valid_type=valid_type,
            help=f"{what}: by start structure, each segment under `s00`, `s01` and so on; walkers without frames "
            "are left out.",
        )
    spec.output_namespace(
        "collective_variables",
        dynamic=True,
        valid_type=CollectiveVariablesData,
        help="What the walkers were biased along, by start structure.",
    )
    spec.exit_code(
        401,
        "ERROR_NO_FRAMES",
        message="No walker kept a single frame. {count} failed, the first, {walker} <{pk}>: {reason}",
    )
    spec.exit_code(
        402,
        "ERROR_UNBIASED_RUNS_FAILED",
        message="No unbiased run of the structure `{name}` kept frames to learn collective variables from. {count} "
        "failed, the first, {walker} <{pk}>: {reason}",
    )
    spec.exit_code(
        403,
        "ERROR_VARIABLES_FAILED",
        message="Learning the collective variables of the structure `{name}` <{pk}> failed: {reason}",
    )
