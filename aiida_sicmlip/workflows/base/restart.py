"""Work chains that run one calculation over and over until it has come to its end."""

from __future__ import annotations

from aiida import orm
from aiida.engine import BaseRestartWorkChain, ExitCode, ProcessSpec, ToContext
from aiida.engine.processes.workchains.context import append_

from aiida_sicmlip.tools.failure_messages import failure_message
from aiida_sicmlip.workflows.base.reattach import submit_once

ENDED_BY_ENGINE = (
    "ERROR_SUB_PROCESS_EXCEPTED",
    "ERROR_SUB_PROCESS_KILLED",
    "ERROR_MAXIMUM_ITERATIONS_EXCEEDED",
    "ERROR_UNHANDLED_FAILURE",
)
"""Exit codes that the engine returns where no handler has an answer."""


class RestartWorkChain(BaseRestartWorkChain):
    """Run calculations that are found again after an interruption; a failure says which calculation failed, and why.

    ``self.ctx.inputs`` holds the inputs of the next calculation, as in the engine's own class.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Name the calculation and its reason in the engine's exit codes."""
        super().define(spec)
        spec.exit_code(301, ENDED_BY_ENGINE[0], message="Calculation <{pk}> broke off: {reason}")
        spec.exit_code(302, ENDED_BY_ENGINE[1], message="Calculation <{pk}> was ended by hand: {reason}")
        spec.exit_code(
            401,
            ENDED_BY_ENGINE[2],
            message="{tries} calculations were not enough (`max_iterations`); of the last, <{pk}>: {reason}",
        )
        spec.exit_code(402, ENDED_BY_ENGINE[3], message="Calculation <{pk}> failed: {reason}")

    @property
    def call_label(self) -> str:
        """Label of the call of the present calculation."""
        return f"iteration_{self.ctx.iteration:02d}"

    def setup(self) -> None:
        """Start with no calculation."""
        super().setup()
        self.ctx.children = []

    def run_process(self) -> ToContext:
        """Submit the next calculation, or find it again after an interruption."""
        self.ctx.iteration += 1
        inputs = self._wrap_bare_dict_inputs(self.process_class.spec().inputs, self.ctx.inputs)
        metadata = {key: value for key, value in inputs.pop("metadata", {}).items() if key in ("options", "computer")}
        node = submit_once(self, self.process_class, self.call_label, metadata=metadata, **inputs)
        self.begin_list_of_handlers()
        return ToContext(children=append_(node))

    def begin_list_of_handlers(self) -> None:
        """Begin the list of handlers of the present calculation, which the engine's handlers add to."""
        considered = self.node.base.extras.get(self._considered_handlers_extra, [])
        if len(considered) < self.ctx.iteration:
            self.node.base.extras.set(self._considered_handlers_extra, [*considered, []])

    def inspect_process(self) -> ExitCode | None:
        """Let the handlers look at the calculation that has ended; where the engine gives up, say why."""
        code = super().inspect_process()
        if code in [self.exit_codes[name] for name in ENDED_BY_ENGINE]:
            self.set_partial_outputs()
            return self.filled_in(code, self.ctx.children[-1])
        return code

    def set_partial_outputs(self) -> None:
        """Hand out what a failed work chain leaves; nothing, if a subclass does not say otherwise."""

    def filled_in(self, code: ExitCode, calculation: orm.ProcessNode) -> ExitCode:
        """Return an exit code with the calculation, its number and its reason in the message."""
        return code.format(
            pk=calculation.pk,
            reason=self.reason_of(calculation),
            number=self.ctx.iteration - 1,
            tries=self.ctx.iteration,
        )

    def reason_of(self, calculation: orm.ProcessNode) -> str:
        """Return why a calculation ended as it did."""
        return failure_message(calculation)
