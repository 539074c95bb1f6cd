"""Training that is continued over several walltimes."""

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
from aiida_sicmlip.science.protocol_files import Overrides
from aiida_sicmlip.workflows.base.reattach import run_once
from aiida_sicmlip.workflows.base.restart import RestartWorkChain
from aiida_sicmlip.workflows.protocols.training import (
    TrainingProtocolMixin,
    fill_initial_potential,
    fill_step,
    load_training_protocol,
    with_options_of_scheduler,
)

CODES = TrainingCalcJob.exit_codes
INTERRUPTED = [
    CODES.ERROR_OUT_OF_WALLTIME,
    CODES.ERROR_INTERRUPTED,
    CODES.ERROR_NO_CHECKPOINT,
    CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME,
    CODES.ERROR_SCHEDULER_NODE_FAILURE,
]
"""The training was interrupted by its walltime, a signal or a node failure, and can be continued."""
OUT_OF_MEMORY = [
    CODES.ERROR_OUT_OF_MEMORY,
    CODES.ERROR_OUT_OF_GPU_MEMORY,
    CODES.ERROR_SCHEDULER_OUT_OF_MEMORY,
]
LEARNING_RATE_FACTOR = 0.1
"""Factor of the learning rate for the second attempt after a training has diverged."""
DIVERGENCE_FACTOR = 10.0
"""A training has diverged if its best validation loss exceeds that of the initial weights by this factor."""
OUTPUTS = ("potential", "training_curve", "results", "configuration", "checkpoint")


class TrainingBaseWorkChain(TrainingProtocolMixin, RestartWorkChain):
    """Run a ``TrainingCalcJob`` and continue it until it has finished.

    Trainings are usually longer than the walltime: each calculation is an attempt, which continues from the checkpoint
    of the previous one. Weights and training curve, which the checkpoint contains, are identical to those of an
    uninterrupted training. A training that diverged, with a loss that is not a number or only increased, is restarted
    once from the initial weights with a tenth of the learning rate. If the memory does not suffice, the training fails,
    as a smaller batch size would change the result.
    """

    _process_class = TrainingCalcJob

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.expose_inputs(TrainingCalcJob, namespace="training", namespace_options={"help": "Inputs of the training."})
        spec.inputs["max_iterations"].default = lambda: orm.Int(20)
        spec.inputs["max_iterations"].help = "Maximum number of calculations of one training."
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
            message="Attempt {attempts} <{pk}> made no progress: its walltime ended before a validation. Increase "
            "it, or lower `validation_interval`. {reason}",
        )
        spec.exit_code(404, "ERROR_TRAINING_FAILED", message="Attempt {attempts} <{pk}> failed: {reason}")
        spec.exit_code(405, "ERROR_OUT_OF_MEMORY", message="Attempt {attempts} <{pk}> ran out of memory: {reason}")
        spec.exit_code(
            406,
            "ERROR_NOT_A_NUMBER",
            message="The training diverged again in attempt {attempts} <{pk}>, with a tenth of the learning rate: "
            "check the data set for wrong labels. {reason}",
        )
        spec.exit_code(
            500, "ERROR_NO_IMPROVEMENT", message="Attempt {attempts} <{pk}> finished without an improvement: {reason}"
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
        """Return a builder of a single training for ``protocol`` with ``overrides`` on top.

        :param code: `sicmlip`.
        :param protocol: `paper`, `balanced` (default) or `fast`.
        :param overrides: as for ``TrainingWorkChain``; settings of compilations, evaluations, a committee and the fit
            of a prior are not used.
        :param prior: fitted prior, if the model requires one (as in `paper`).
        :raises InputError: if the protocol or a setting is unknown, a value is invalid, or a required prior is missing.
        """
        settings = with_options_of_scheduler(load_training_protocol(protocol, overrides), code)
        training = settings["training"]
        if prior is None and prior_is_wanted(training["parameters"]) and training["initial_potential"] is None:
            raise InputError(
                "`training.parameters.model.pair_potential` is lennard-jones, but there is no prior: give `prior`, an "
                "output of the calcfunction `fit_lennard_jones_prior`, or use `TrainingWorkChain`, which fits one."
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
        """Initialise the inputs of the first calculation."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(TrainingCalcJob, namespace="training"))
        self.ctx.lowered = False
        self.ctx.restarted = False

    @process_handler(priority=400, exit_codes=[CODES.ERROR_NOT_A_NUMBER, CODES.ERROR_NO_IMPROVEMENT])
    def handle_not_a_number(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Restart a training that diverged with a lower learning rate.

        The state of the optimiser is part of the divergence, so that the checkpoint is not used: the result is that of
        a single training with the lower learning rate.
        """
        if calculation.exit_status == CODES.ERROR_NO_IMPROVEMENT.status and not _diverged(calculation):
            return None
        if self.ctx.lowered:
            return self._fail(self.exit_codes.ERROR_NOT_A_NUMBER, calculation)
        self.ctx.lowered = True
        self.ctx.restarted = False
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
            f"{self.call_label} <{calculation.pk}>: the training diverged; restarting with a learning rate of {rate:g}"
        )
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=300, exit_codes=INTERRUPTED)
    def handle_interruption(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Continue from the last checkpoint; restart once if the machine failed before there was one."""
        before = self.ctx.inputs.get("checkpoint", None)
        now = calculation.outputs.checkpoint if "checkpoint" in calculation.outputs else None
        done, done_before = (0 if node is None else node.steps for node in (now, before))
        failed = calculation.exit_status in (
            CODES.ERROR_SCHEDULER_NODE_FAILURE.status,
            CODES.ERROR_INTERRUPTED.status,
        )
        if done <= done_before:
            if not failed or self.ctx.restarted:
                return self._fail(self.exit_codes.ERROR_NO_PROGRESS, calculation)
            self.ctx.restarted = True
        else:
            self.ctx.inputs.checkpoint = now
            self.ctx.restarted = False
        if self.ctx.iteration >= self.inputs.max_iterations.value:
            return self._fail(self.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED, calculation)
        self.report(
            f"{self.call_label} <{calculation.pk}> was interrupted; continuing after {max(done, done_before)} steps"
        )
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=200, exit_codes=OUT_OF_MEMORY)
    def handle_out_of_memory(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Fail: a smaller batch size would change the result, and more memory must be requested by the user."""
        return self._fail(self.exit_codes.ERROR_OUT_OF_MEMORY, calculation)

    @process_handler(priority=100)
    def handle_other_failure(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Keep the outputs of a training that failed for another reason."""
        if calculation.is_finished_ok:
            return None
        code = self.exit_codes.ERROR_TRAINING_FAILED
        if calculation.exit_status == CODES.ERROR_NO_IMPROVEMENT.status:
            code = self.exit_codes.ERROR_NO_IMPROVEMENT
        return self._fail(code, calculation)

    def results(self) -> None:
        """Set the outputs to those of the last attempt, whose curve and best model are those of all attempts."""
        attempts = [
            attempt for attempt in self.ctx.children if not (attempt.is_killed or attempt.is_excepted)
        ] or self.ctx.children
        last = attempts[-1]
        for name in OUTPUTS:
            if name in last.outputs:
                self.out(name, last.outputs[name])

    def _fail(self, code: ExitCode, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Set the outputs, and return the formatted exit code ``code``."""
        self.results()
        return ProcessHandlerReport(True, self.format_exit_code(code, calculation))

    def set_partial_outputs(self) -> None:
        """Set the outputs to the model and the checkpoint of a training that fails."""
        self.results()


def _diverged(calculation: orm.CalcJobNode) -> bool:
    """Return whether the losses of a training without an improvement are far above that of the initial weights."""
    if "training_curve" not in calculation.outputs or "results" not in calculation.outputs:
        return False
    start = calculation.outputs.results.get_dict().get("starting_validation_loss")
    best = calculation.outputs.training_curve.get_array("validation_loss").min()
    return start is not None and bool(best > DIVERGENCE_FACTOR * start)
