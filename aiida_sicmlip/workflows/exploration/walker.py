"""Molecular dynamics run that is continued in segments until it reaches its full length."""

from __future__ import annotations

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ProcessBuilder, ProcessHandlerReport, ProcessSpec, process_handler, while_
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.calculations.exploration import ExplorationCalculation
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import segment_label
from aiida_sicmlip.data.collective_variables import CollectiveVariablesData
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.continuation import ContinuationData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.protocol_files import Overrides
from aiida_sicmlip.workflows.base.restart import RestartWorkChain
from aiida_sicmlip.workflows.protocols.exploration import fill_walker
from aiida_sicmlip.workflows.protocols.loop import LoopProtocolMixin, load_codes, load_protocol

CODES = ExplorationCalculation.exit_codes
INTERRUPTED = [
    CODES.ERROR_OUT_OF_WALLTIME,
    CODES.ERROR_INTERRUPTED,
    CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME,
    CODES.ERROR_SCHEDULER_NODE_FAILURE,
]
"""The segment was interrupted by its walltime, a signal or a node failure, and can be continued."""
POTENTIAL_FAILED = [
    CODES.ERROR_LOST_ATOMS,
    CODES.ERROR_NOT_A_NUMBER,
    CODES.ERROR_BLOWN_UP,
    CODES.STOPPED_BY_MONITOR,
]
"""The potential has failed: the frames before the failure are kept, and the run cannot be continued."""
SEGMENT_OUTPUTS = ("trajectory", "thermodynamics", "colvar")


class WalkerWorkChain(LoopProtocolMixin, RestartWorkChain):
    """Run an ``ExplorationCalculation`` and continue it until the production run has its full length.

    Runs are usually longer than the walltime: each calculation is a segment, which continues from the saved state of
    the previous one. A run that the brake stops has succeeded, with the reason in ``results``, unless it has no frames
    that count. If the potential fails, the frames before the failure are kept and the exit code is a warning.
    """

    _process_class = ExplorationCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.expose_inputs(
            ExplorationCalculation, namespace="exploration", namespace_options={"help": "Inputs of the complete run."}
        )
        spec.inputs["max_iterations"].default = lambda: orm.Int(50)
        spec.inputs["max_iterations"].help = "Maximum number of segments of the walker."
        spec.outline(
            cls.setup,
            while_(cls.should_run_process)(
                cls.run_process,
                cls.inspect_process,
            ),
            cls.results,
        )
        for name, valid_type, what in (
            ("trajectories", SegmentTrajectoryData, "Frames"),
            ("thermodynamics", orm.ArrayData, "Energies and temperature"),
            ("colvars", orm.ArrayData, "Collective variables and bias"),
        ):
            spec.output_namespace(
                name, dynamic=True, valid_type=valid_type, help=f"{what} of each segment, under `s00`, `s01` etc."
            )
        spec.output(
            "continuation",
            valid_type=ContinuationData,
            required=False,
            help="State from which the run can be continued.",
        )
        spec.output(
            "results",
            valid_type=orm.Dict,
            required=False,
            help="Results of the last segment; `stopped` says whether the brake stopped the run, and why.",
        )
        spec.exit_code(
            403,
            "ERROR_NO_PROGRESS",
            message="Segment {number} <{pk}> made no progress: its walltime is too short to save a state. Increase the "
            "walltime, or save states more often (`restart_interval`).",
        )
        spec.exit_code(404, "ERROR_SEGMENT_FAILED", message="Segment {number} <{pk}> failed: {reason}")
        spec.exit_code(
            711,
            "WARNING_STOPPED_AT_ONCE",
            message="Segment {number} <{pk}> has no frames that count: the potential is not fit for these conditions. "
            "{reason}",
        )
        spec.exit_code(
            710,
            "WARNING_POTENTIAL_FAILED",
            message="The potential failed in segment {number} <{pk}>; the frames before the failure are kept. {reason}",
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        structure: orm.StructureData,
        potential: LammpsPotentialData | CompiledPotentialData,
        protocol: str | None = None,
        overrides: Overrides = None,
        *,
        host: orm.StructureData | None = None,
        collective_variables: CollectiveVariablesData | None = None,
    ) -> ProcessBuilder:
        """Return a builder of a single walker for ``protocol`` of the loop with ``overrides`` on top.

        :param structure: start structure.
        :param potential: potential of the run.
        :param overrides: as for ``ActiveLearningWorkChain``; settings of other steps are validated but not used.
        :param host: host crystal, required if a shell is restrained.
        :param collective_variables: variables of the bias; without them the run is unbiased.
        :raises InputError: if a setting is invalid, or if the settings have several temperatures.
        """
        settings, codes, switches = load_codes(load_protocol(protocol, overrides), ("lammps",))
        exploration = settings["exploration"]
        if exploration["temperatures"] is not None:
            raise InputError(
                f"`exploration.temperatures` is {exploration['temperatures']}, but a walker has one temperature: "
                "set `exploration.parameters.temperature`, or use `ExplorationWorkChain`."
            )
        if collective_variables is not None and exploration["bias"] is None:
            raise InputError(
                "collective variables are given, but `exploration.bias` is null: set the bias, or omit the variables."
            )
        builder = cls.get_builder()
        fill_walker(builder, exploration, codes["lammps"], switches)
        run = builder.exploration
        run.structure, run.potential, run.seed = structure, potential, orm.Int(settings["seed"])
        if host is not None:
            run.host = host
        if collective_variables is not None:
            run.collective_variables = collective_variables
            run.bias = exploration["bias"]
        return builder

    def setup(self) -> None:
        """Initialise the inputs of the first calculation."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(ExplorationCalculation, namespace="exploration"))

    @property
    def call_label(self) -> str:
        """Call link label of the current segment."""
        return f"segment_{self.ctx.iteration - 1:02d}"

    @process_handler(priority=300, exit_codes=POTENTIAL_FAILED)
    def handle_potential_failure(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Keep the frames before the failure, which active learning needs."""
        self.results()
        return ProcessHandlerReport(True, self.format_exit_code(self.exit_codes.WARNING_POTENTIAL_FAILED, calculation))

    @process_handler(priority=290, exit_codes=[CODES.ERROR_STOPPED_AT_ONCE])
    def handle_stop_at_once(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Keep what is known of a run that was stopped before any of its frames counts."""
        self.results()
        return ProcessHandlerReport(True, self.format_exit_code(self.exit_codes.WARNING_STOPPED_AT_ONCE, calculation))

    @process_handler(priority=200, exit_codes=INTERRUPTED)
    def handle_interruption(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Continue from the last saved state."""
        before = self.ctx.inputs.get("continuation", None)
        now = calculation.outputs.continuation if "continuation" in calculation.outputs else None
        if now is None or (before is not None and now.step <= before.step):
            self.results()
            return ProcessHandlerReport(True, self.format_exit_code(self.exit_codes.ERROR_NO_PROGRESS, calculation))
        self.ctx.inputs.continuation = now
        settings = ExplorationSettings.from_mapping(self.ctx.inputs.parameters.get_dict())
        self.report(
            f"{self.call_label} <{calculation.pk}> was interrupted; continuing from {now.step * settings.timestep:g} "
            f"ps of {settings.production:g} ps"
        )
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=100)
    def handle_other_failure(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Keep the outputs of a run that failed for another reason."""
        if calculation.is_finished_ok:
            return None
        self.results()
        return ProcessHandlerReport(True, self.format_exit_code(self.exit_codes.ERROR_SEGMENT_FAILED, calculation))

    def results(self) -> None:
        """Set the outputs to those of all segments."""
        for index, segment in enumerate(self.ctx.children):
            for name, namespace in zip(SEGMENT_OUTPUTS, ("trajectories", "thermodynamics", "colvars"), strict=True):
                if name in segment.outputs:
                    self.out(f"{namespace}.{segment_label(index)}", segment.outputs[name])
        last = self.ctx.children[-1]
        for name in ("continuation", "results"):
            if name in last.outputs:
                self.out(name, last.outputs[name])
        stopped = last.outputs.results.get_dict().get("stopped") if "results" in last.outputs else None
        if stopped is not None:
            self.report(f"stopped by the brake: {stopped['message']}")

    def set_partial_outputs(self) -> None:
        """Set the outputs of a walker that fails."""
        self.results()
