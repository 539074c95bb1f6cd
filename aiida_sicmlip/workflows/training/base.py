"""One training, continued over as many walltimes as it takes."""

from __future__ import annotations

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, ProcessBuilder, ProcessHandlerReport, ProcessSpec, process_handler, while_

from aiida_sicmlip.calculations.functions.lower_learning_rate import lower_learning_rate
from aiida_sicmlip.calculations.training import TrainingCalcJob
from aiida_sicmlip.calculations.training_checks import prior_is_wanted
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.lennard_jones_prior import LennardJonesPriorData
from aiida_sicmlip.workflows.base.reattach import run_once
from aiida_sicmlip.workflows.base.restart import RestartWorkChain
from aiida_sicmlip.workflows.protocols.files import Overrides
from aiida_sicmlip.workflows.protocols.training import (
    TrainingProtocolMixin,
    fill_initial_potential,
    fill_step,
    load_training_protocol,
    with_options_of_scheduler,
)

CODES = TrainingCalcJob.exit_codes
CUT_OFF = [
    CODES.ERROR_OUT_OF_WALLTIME,
    CODES.ERROR_INTERRUPTED,
    CODES.ERROR_NO_CHECKPOINT,
    CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME,
    CODES.ERROR_SCHEDULER_NODE_FAILURE,
]
"""The training ended for want of time or with its machine, not by a fault of its own."""
OUT_OF_MEMORY = [
    CODES.ERROR_OUT_OF_MEMORY,
    CODES.ERROR_OUT_OF_GPU_MEMORY,
    CODES.ERROR_SCHEDULER_OUT_OF_MEMORY,
]
LEARNING_RATE_FACTOR = 0.1
"""Where a training diverged, the one other try has a tenth of the learning rate."""
DIVERGED = 10.0
"""A best validation loss above so many times that of the weights at the start is that of a training that ran away."""
OUTPUTS = ("potential", "training_curve", "results", "configuration", "checkpoint")


class TrainingBaseWorkChain(TrainingProtocolMixin, RestartWorkChain):
    """Run a ``TrainingCalcJob`` and continue it until it ends by itself.

    A training longer than the walltime is the normal case: each calculation is a attempt, and the next one takes the
    checkpoint that it left. The weights are those of a training that was never cut off, and so is the curve, which the
    checkpoint carries along. A training that diverged, up to a loss that is not a number or to one that only grew, is
    tried once more, from the beginning, with a tenth of the learning rate. Memory that does not suffice ends the
    training: a smaller batch would be another training.
    """

    _process_class = TrainingCalcJob

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.expose_inputs(TrainingCalcJob, namespace="training", namespace_options={"help": "The training, whole."})
        spec.inputs["max_iterations"].default = lambda: orm.Int(20)
        spec.inputs["max_iterations"].help = "Most calculations of one training."
        spec.outline(
            cls.setup,
            while_(cls.should_run_process)(
                cls.run_process,
                cls.inspect_process,
            ),
            cls.results,
        )
        spec.expose_outputs(TrainingCalcJob, include=OUTPUTS)
        spec.exit_code(
            403,
            "ERROR_NO_PROGRESS",
            message="Attempt {number} <{pk}> got no further than the one before: its walltime ends before an epoch is "
            "done. Allow more time. {reason}",
        )
        spec.exit_code(404, "ERROR_TRAINING_FAILED", message="Attempt {number} <{pk}> failed: {reason}")
        spec.exit_code(405, "ERROR_OUT_OF_MEMORY", message="Attempt {number} <{pk}> ran out of memory: {reason}")
        spec.exit_code(
            406,
            "ERROR_NOT_A_NUMBER",
            message="The training diverged again in attempt {number} <{pk}>, with a tenth of the learning rate: look "
            "for a broken label. {reason}",
        )
        spec.exit_code(
            500, "ERROR_NO_IMPROVEMENT", message="Attempt {number} <{pk}> ended without an improvement: {reason}"
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        training_set: LabelledDataSetData,
        validation_set: LabelledDataSetData,
        protocol: str | None = None,
        overrides: Overrides = None,
        *,
        prior: LennardJonesPriorData | None = None,
    ) -> ProcessBuilder:
        """Return a builder of the training alone for the protocol called ``protocol`` with ``overrides`` on top.

        :param code: `sicmlip`.
        :param protocol: `paper`, `balanced` (default) or `fast`.
        :param overrides: as of ``TrainingWorkChain``; what is said of compilations, evaluations, a committee and the
            fit of a prior is for that one alone, and not read.
        :param prior: a fitted prior, where the model wants one (as `paper` does).
        :raises InputError: if the protocol or a setting is unknown or has a value that it does not take, or a prior is
            wanted and not given.
        """
        settings = with_options_of_scheduler(load_training_protocol(protocol, overrides), code)
        training = settings["training"]
        if prior is None and prior_is_wanted(training["parameters"]) and training["initial_potential"] is None:
            raise InputError(
                "`training.parameters.model.pair_potential` is lennard-jones, but there is no prior: give `prior`, "
                "which the calcfunction `fit_lennard_jones_prior` makes, or take `TrainingWorkChain`, which fits its "
                "own."
            )
        builder = cls.get_builder()
        builder.max_iterations = orm.Int(training["max_iterations"])
        run = builder.training
        fill_step(run, training, code)
        run.training_set, run.validation_set, run.seed = training_set, validation_set, orm.Int(1)
        if prior is not None:
            run.prior = prior
        fill_initial_potential(run, training)
        return builder

    def setup(self) -> None:
        """Start with the inputs as they are."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(TrainingCalcJob, namespace="training"))
        self.ctx.lowered = False
        self.ctx.begun_anew = False

    @process_handler(priority=400, exit_codes=[CODES.ERROR_NOT_A_NUMBER, CODES.ERROR_NO_IMPROVEMENT])
    def handle_not_a_number(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Begin once more with a lower learning rate, where the training diverged.

        The optimiser's memory of the steps before is what a loss runs away with, so that nothing of them is kept: the
        result is that of one training with the lower rate.
        """
        if calculation.exit_status == CODES.ERROR_NO_IMPROVEMENT.status and not _ran_away(calculation):
            return None
        if self.ctx.lowered:
            return self._end(self.exit_codes.ERROR_NOT_A_NUMBER, calculation)
        self.ctx.lowered = True
        self.ctx.begun_anew = False
        parameters = run_once(
            self,
            lower_learning_rate,
            "lower_learning_rate",
            parameters=self.ctx.inputs.parameters,
            factor=orm.Float(LEARNING_RATE_FACTOR),
        )
        self.ctx.inputs.parameters = parameters
        self.ctx.inputs.pop("checkpoint", None)
        rate = parameters.get_dict()["optimiser"]["learning_rate"]
        self.report(
            f"{self.call_label} <{calculation.pk}>: the training diverged; beginning anew with a learning rate of "
            f"{rate:g}"
        )
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=300, exit_codes=CUT_OFF)
    def handle_end_of_time(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Go on from the last saved state; where a machine failed before there was one, begin once more."""
        before = self.ctx.inputs.get("checkpoint", None)
        now = calculation.outputs.checkpoint if "checkpoint" in calculation.outputs else None
        done, done_before = (0 if node is None else node.epochs for node in (now, before))
        failed = calculation.exit_status in (
            CODES.ERROR_SCHEDULER_NODE_FAILURE.status,
            CODES.ERROR_INTERRUPTED.status,
        )
        if done <= done_before:
            if not failed or self.ctx.begun_anew:
                return self._end(self.exit_codes.ERROR_NO_PROGRESS, calculation)
            self.ctx.begun_anew = True
        else:
            self.ctx.inputs.checkpoint = now
            self.ctx.begun_anew = False
        if self.ctx.iteration >= self.inputs.max_iterations.value:
            return self._end(self.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED, calculation)
        self.report(f"{self.call_label} <{calculation.pk}> ended; going on after {max(done, done_before)} epochs")
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=200, exit_codes=OUT_OF_MEMORY)
    def handle_out_of_memory(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Say so: what would help changes the result, or is the user's to ask for."""
        return self._end(self.exit_codes.ERROR_OUT_OF_MEMORY, calculation)

    @process_handler(priority=100)
    def handle_other_failure(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Keep what there is, and say why it ended."""
        if calculation.is_finished_ok:
            return None
        code = self.exit_codes.ERROR_TRAINING_FAILED
        if calculation.exit_status == CODES.ERROR_NO_IMPROVEMENT.status:
            code = self.exit_codes.ERROR_NO_IMPROVEMENT
        return self._end(code, calculation)

    def results(self) -> None:
        """Hand out what the last attempt left: the curve and the best model there are those of all attempts."""
        attempts = [
            attempt for attempt in self.ctx.children if not (attempt.is_killed or attempt.is_excepted)
        ] or self.ctx.children
        last = attempts[-1]
        for name in OUTPUTS:
            if name in last.outputs:
                self.out(name, last.outputs[name])

    def _end(self, code: ExitCode, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Hand out what there is and end with ``code``, filled in."""
        self.results()
        return ProcessHandlerReport(True, self.filled_in(code, calculation))

    def set_partial_outputs(self) -> None:
        """Hand out the model and the state of a training that is ended."""
        self.results()


def _ran_away(calculation: orm.CalcJobNode) -> bool:
    """Return whether the losses of a training without an improvement are far above the one that it began with."""
    if "training_curve" not in calculation.outputs or "results" not in calculation.outputs:
        return False
    start = calculation.outputs.results.get_dict().get("starting_validation_loss")
    best = calculation.outputs.training_curve.get_array("validation_loss").min()
    return start is not None and bool(best > DIVERGED * start)
