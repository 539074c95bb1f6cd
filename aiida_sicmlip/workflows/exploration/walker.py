"""One run of molecular dynamics, continued segment by segment up to its full length."""

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
from aiida_sicmlip.workflows.base.restart import RestartWorkChain
from aiida_sicmlip.workflows.protocols.exploration import fill_walker
from aiida_sicmlip.workflows.protocols.files import Overrides
from aiida_sicmlip.workflows.protocols.loop import LoopProtocolMixin, load_codes, load_protocol

CODES = ExplorationCalculation.exit_codes
CUT_OFF = [
    CODES.ERROR_OUT_OF_WALLTIME,
    CODES.ERROR_INTERRUPTED,
    CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME,
    CODES.ERROR_SCHEDULER_NODE_FAILURE,
]
"""The segment ended for want of time or by a kill, not by a fault of its own."""
POTENTIAL_FAILED = [
    CODES.ERROR_RUNAWAY_TEMPERATURE,
    CODES.ERROR_LOST_ATOMS,
    CODES.ERROR_NOT_A_NUMBER,
    CODES.ERROR_BLOWN_UP,
    CODES.STOPPED_BY_MONITOR,
]
"""The frames before the failure are worth keeping, and there is nothing to go on from."""
SEGMENT_OUTPUTS = ("trajectory", "thermodynamics", "colvar")


class WalkerWorkChain(LoopProtocolMixin, RestartWorkChain):
    """Run an ``ExplorationCalculation`` and continue it until the production has its full length.

    A run longer than the walltime is the normal case: each calculation is a segment, and the next one takes the state
    that it left. Where the potential fails, the frames before that are kept and the walker ends with a warning.
    """

    _process_class = ExplorationCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.expose_inputs(
            ExplorationCalculation, namespace="exploration", namespace_options={"help": "The run, whole."}
        )
        spec.inputs["max_iterations"].default = lambda: orm.Int(50)
        spec.inputs["max_iterations"].help = "Most segments of the walker."
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
                name, dynamic=True, valid_type=valid_type, help=f"{what} of each segment, under `s00`, `s01` and so on."
            )
        spec.output("continuation", valid_type=ContinuationData, required=False, help="Where the run can be continued.")
        spec.exit_code(
            403,
            "ERROR_NO_PROGRESS",
            message="Segment {number} <{pk}> got no further than the one before: its walltime ends before the first "
            "state is saved. Allow more time, or save states more often (`restart_interval`).",
        )
        spec.exit_code(404, "ERROR_SEGMENT_FAILED", message="Segment {number} <{pk}> failed: {reason}")
        spec.exit_code(
            710,
            "WARNING_POTENTIAL_FAILED",
            message="The potential failed in segment {number} <{pk}>; the frames before are kept. {reason}",
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
        """Return a builder of one walker for the loop's protocol ``protocol`` with ``overrides`` on top.

        :param structure: where it starts.
        :param potential: what drives it.
        :param overrides: as of ``ActiveLearningWorkChain``; what concerns other steps is checked and not used.
        :param host: the perfect crystal, needed where a shell is held.
        :param collective_variables: what it is biased along, as the settings say; free without.
        :raises InputError: with a message for whatever is wrong, such as several temperatures.
        """
        settings, codes, switches = load_codes(load_protocol(protocol, overrides), ("lammps",))
        exploration = settings["exploration"]
        if exploration["temperatures"] is not None:
            raise InputError(
                f"`exploration.temperatures` is {exploration['temperatures']}, but one walker has one temperature: set "
                "`exploration.parameters.temperature`, or take `ExplorationWorkChain`."
            )
        if collective_variables is not None and exploration["bias"] is None:
            raise InputError(
                "`exploration.bias` is null, but collective variables are given: leave one of the two out."
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
        """Start with the inputs as they are."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(ExplorationCalculation, namespace="exploration"))

    @property
    def call_label(self) -> str:
        """Name of the present segment."""
        return f"segment_{self.ctx.iteration - 1:02d}"

    @process_handler(priority=300, exit_codes=POTENTIAL_FAILED)
    def handle_potential_failure(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Keep the frames before the failure: they are what active learning needs."""
        self.results()
        return ProcessHandlerReport(True, self.filled_in(self.exit_codes.WARNING_POTENTIAL_FAILED, calculation))

    @process_handler(priority=200, exit_codes=CUT_OFF)
    def handle_end_of_time(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Go on from the last saved state."""
        before = self.ctx.inputs.get("continuation", None)
        now = calculation.outputs.continuation if "continuation" in calculation.outputs else None
        if now is None or (before is not None and now.step <= before.step):
            self.results()
            return ProcessHandlerReport(True, self.filled_in(self.exit_codes.ERROR_NO_PROGRESS, calculation))
        self.ctx.inputs.continuation = now
        settings = ExplorationSettings.from_mapping(self.ctx.inputs.parameters.get_dict())
        self.report(
            f"{self.call_label} <{calculation.pk}> ended; going on from {now.step * settings.timestep:g} ps of "
            f"{settings.production:g} ps"
        )
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=100)
    def handle_other_failure(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Keep what there is of a run that failed for another reason, and say which."""
        if calculation.is_finished_ok:
            return None
        self.results()
        return ProcessHandlerReport(True, self.filled_in(self.exit_codes.ERROR_SEGMENT_FAILED, calculation))

    def results(self) -> None:
        """Hand out what each segment has kept."""
        for index, segment in enumerate(self.ctx.children):
            for name, namespace in zip(SEGMENT_OUTPUTS, ("trajectories", "thermodynamics", "colvars"), strict=True):
                if name in segment.outputs:
                    self.out(f"{namespace}.{segment_label(index)}", segment.outputs[name])
        last = self.ctx.children[-1]
        if "continuation" in last.outputs:
            self.out("continuation", last.outputs.continuation)

    def set_partial_outputs(self) -> None:
        """Hand out the segments of a walker that fails."""
        self.results()
