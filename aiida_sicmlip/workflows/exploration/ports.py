"""Inputs, outputs and exit codes of an exploration."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ProcessSpec
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.calculations.collective_variables import CollectiveVariablesCalculation
from aiida_sicmlip.calculations.lammps_potential import validate_members, validate_potential
from aiida_sicmlip.calculations.validation import number_port, seed_port, settings_port
from aiida_sicmlip.data.collective_variables import CollectiveVariablesData
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.science.dynamics.ramp import RampSettings
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.evaluation.calibration import CalibrationSettings
from aiida_sicmlip.science.selection.frame_filter import FrameFilterSettings
from aiida_sicmlip.workflows.exploration.validation import validate_structures
from aiida_sicmlip.workflows.exploration.walker import WalkerWorkChain

PER_STRUCTURE = (
    *("structure", "potential", "seed", "collective_variables", "host", "continuation"),
    *("committee", "calibration"),
)
"""Inputs of a run that differ between walkers, or are inputs of the exploration itself."""


def define_inputs(spec: ProcessSpec) -> None:
    """Define the inputs of an ``ExplorationWorkChain``."""
    spec.input_namespace(
        "structures",
        dynamic=True,
        valid_type=orm.StructureData,
        validator=validate_structures,
        help="Start structures of the walkers.",
    )
    spec.input_namespace(
        "hosts",
        dynamic=True,
        required=False,
        valid_type=orm.StructureData,
        help="Host crystal of each start structure, under its name. Required to learn collective variables.",
    )
    spec.input(
        "potential",
        valid_type=(LammpsPotentialData, CompiledPotentialData),
        validator=validate_potential,
        help="Potential of the walkers: a classical potential, or a trained model compiled for LAMMPS.",
    )
    spec.input_namespace(
        "committee",
        dynamic=True,
        required=False,
        valid_type=CompiledPotentialData,
        validator=validate_members,
        help="The other members of a committee that `potential` is one of, whose disagreement stops walkers.",
    )
    spec.input(
        "evaluation",
        valid_type=orm.Dict,
        required=False,
        help="Evaluation of a committee on labels that it was not trained on, with which the disagreement is "
        "calibrated.",
    )
    spec.input("calibration", required=False, **settings_port(CalibrationSettings))
    for name, default, what in (
        ("walkers", 1, "Number of independent walkers for each start structure."),
        (
            "max_concurrent",
            10,
            "Maximum number of walkers that run at the same time; reduced if the daemon has too few slots.",
        ),
    ):
        spec.input(name, **number_port(name, what, default, at_least=1))
    spec.input(
        "start_from_states",
        **number_port(
            "start_from_states",
            "Share of the walkers, rounded down, that start from states which `earlier` trajectories visited, if any.",
            0.0,
            kind=orm.Float,
            at_least=0,
            at_most=1,
        ),
    )
    spec.input(
        "softer_repeats",
        **number_port(
            "softer_repeats",
            "Number of times that walkers are repeated with 60 % of the temperature and the barrier before, if the "
            "brake stops all of them before any of their frames counts.",
            0,
            at_least=0,
        ),
    )
    spec.input("seed", **seed_port("Seed from which all other seeds of the exploration are derived."))
    spec.expose_inputs(
        WalkerWorkChain,
        namespace="walker",
        exclude=[f"exploration.{name}" for name in PER_STRUCTURE],
        namespace_options={"help": "Inputs of each walker; biased if `exploration.bias` is given."},
    )
    for name, who in (("walker_parameters", "walkers"), ("unbiased_parameters", "unbiased runs")):
        several = "; each entry is a condition, for which `walkers` walkers run" if who == "walkers" else ""
        spec.input_namespace(
            name,
            dynamic=True,
            required=False,
            valid_type=orm.Dict,
            help=f"Settings of the {who} of a start structure, under its name{several}. By default "
            f"`{'walker.exploration' if who == 'walkers' else 'unbiased'}.parameters` is used.",
        )
    spec.input(
        "unbiased.parameters",
        required=False,
        **settings_port(
            ExplorationSettings,
            purpose="Unbiased runs, from which the first variables are learned.",
        ),
    )
    spec.input(
        "unbiased.walkers",
        **number_port(
            "unbiased.walkers",
            "Number of unbiased runs for each start structure; with two or more, one is held out for early stopping.",
            2,
            at_least=1,
        ),
    )
    spec.expose_inputs(
        CollectiveVariablesCalculation,
        namespace="variables",
        exclude=("structure", "host", "trajectories", "filters", "seed"),
        namespace_options={"required": False, "populate_defaults": False, "help": "Training of collective variables."},
    )
    spec.input_namespace(
        "collective_variables",
        dynamic=True,
        required=False,
        valid_type=CollectiveVariablesData,
        help="Existing variables, under the names of the start structures; none are learned for these.",
    )
    spec.input_namespace(
        "earlier",
        dynamic=True,
        required=False,
        valid_type=SegmentTrajectoryData,
        help="Trajectories to learn variables from, by start structure and segment (`s00`, `s01` etc.).",
    )
    spec.input_namespace(
        "earlier_filters",
        dynamic=True,
        required=False,
        valid_type=orm.ArrayData,
        help="Which frames of `earlier` variables are learned from, under the same names; all of them by default.",
    )
    spec.input(
        "ramp",
        required=False,
        **settings_port(RampSettings, purpose="By default temperature and barrier are those of the settings."),
    )
    spec.input(
        "round_number",
        **number_port(
            "round_number",
            "Number of the round, from 0, by which `ramp` scales temperature and barrier.",
            0,
            at_least=0,
        ),
    )
    spec.input(
        "filter",
        required=False,
        **settings_port(FrameFilterSettings),
    )
    # These inputs are complete only when a walker is submitted; `validate_inputs` validates them here.
    spec.inputs["walker"].validator = None
    spec.inputs["walker"]["exploration"].validator = None
    spec.inputs["variables"].validator = None


def define_outcomes(spec: ProcessSpec) -> None:
    """Define the outputs and exit codes of an ``ExplorationWorkChain``."""
    for name, valid_type, what in (
        ("trajectories", SegmentTrajectoryData, "Frames of the walkers"),
        ("thermodynamics", orm.ArrayData, "Energies and temperature of the walkers"),
        ("colvars", orm.ArrayData, "Collective variables and bias of the walkers"),
        ("unbiased_trajectories", SegmentTrajectoryData, "Frames of the unbiased runs"),
        ("unbiased_thermodynamics", orm.ArrayData, "Energies and temperature of the unbiased runs"),
        ("frame_filters", orm.ArrayData, "Frames that pass the filter, and the number of those that do not"),
    ):
        spec.output_namespace(
            name,
            dynamic=True,
            valid_type=valid_type,
            help=f"{what}, by start structure and segment (`s00`, `s01` etc.); walkers without frames are left out.",
        )
    spec.output_namespace(
        "collective_variables",
        dynamic=True,
        valid_type=CollectiveVariablesData,
        help="Collective variables of the bias, by start structure.",
    )
    spec.output(
        "calibration",
        valid_type=orm.Dict,
        required=False,
        help="The line from the disagreement of the committee to the error of forces, and the disagreement that stops "
        "walkers (`max_disagreement`).",
    )
    spec.exit_code(
        401,
        "ERROR_NO_FRAMES",
        message="No walker has produced frames. {count} failed; the first, {walker} <{pk}>: {reason}",
    )
    spec.exit_code(
        402,
        "ERROR_UNBIASED_RUNS_FAILED",
        message="No unbiased run of the structure `{name}` has produced frames to learn collective variables from. "
        "{count} failed; the first, {walker} <{pk}>: {reason}",
    )
    spec.exit_code(
        403,
        "ERROR_VARIABLES_FAILED",
        message="The training of the collective variables of the structure `{name}` <{pk}> failed: {reason}",
    )
    spec.exit_code(
        404,
        "ERROR_ALL_STOPPED_AT_ONCE",
        message="All {count} walkers were stopped before any of their frames counts, the first, {walker} <{pk}>: "
        "{reason} The potential is not fit for these conditions: lower `exploration.parameters.temperature` or the "
        "barrier of the bias, train longer or on more labels, or check the start structure.",
    )
