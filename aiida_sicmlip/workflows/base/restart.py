"""Work chain that restarts a calculation until it has finished."""

from __future__ import annotations

from aiida import orm
from aiida.engine import BaseRestartWorkChain, ExitCode, ProcessSpec, ToContext
from aiida.engine.processes.workchains.context import append_

from aiida_sicmlip.tools.failure_messages import failure_message
from aiida_sicmlip.workflows.base.reattach import submit_once

ENGINE_EXIT_CODES = (
    "ERROR_SUB_PROCESS_EXCEPTED",
    "ERROR_SUB_PROCESS_KILLED",
    "ERROR_MAXIMUM_ITERATIONS_EXCEEDED",
    "ERROR_UNHANDLED_FAILURE",
)
"""Exit codes that ``BaseRestartWorkChain`` returns if no handler does."""


class RestartWorkChain(BaseRestartWorkChain):
    """Restart a calculation until it has finished, and reattach to it after an interruption.

    Exit messages state the failed calculation and the reason.

    ``self.ctx.inputs`` holds the inputs of the next calculation, as in ``BaseRestartWorkChain``.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define exit codes with the calculation and the reason in the message."""
        super().define(spec)
        spec.exit_code(301, ENGINE_EXIT_CODES[0], message="Calculation <{pk}> crashed: {reason}")
        spec.exit_code(302, ENGINE_EXIT_CODES[1], message="Calculation <{pk}> was killed: {reason}")
        spec.exit_code(
            401,
            ENGINE_EXIT_CODES[2],
            message="Not finished after {attempts} calculations (`max_iterations`). Last calculation <{pk}>: {reason}",
        )
        spec.exit_code(402, ENGINE_EXIT_CODES[3], message="Calculation <{pk}> failed: {reason}")

    @property
    def call_label(self) -> str:
        """Call link label of the current calculation."""
        return f"iteration_{self.ctx.iteration:02d}"

    def setup(self) -> None:
        """Initialise the context."""
        super().setup()
        self.ctx.children = []

    def run_process(self) -> ToContext:
        """Submit the next calculation, or reattach to it after an interruption."""
        self.ctx.iteration += 1
        inputs = self._wrap_bare_dict_inputs(self.process_class.spec().inputs, self.ctx.inputs)
        metadata = {key: value for key, value in inputs.pop("metadata", {}).items() if key in ("options", "computer")}
        node = submit_once(self, self.process_class, self.call_label, metadata=metadata, **inputs)
        self.add_list_of_handlers()
        return ToContext(children=append_(node))

    def add_list_of_handlers(self) -> None:
        """Append the list of considered handlers of the current calculation, which the engine then extends."""
        considered = self.node.base.extras.get(self._considered_handlers_extra, [])
        if len(considered) < self.ctx.iteration:
            self.node.base.extras.set(self._considered_handlers_extra, [*considered, []])

    def inspect_process(self) -> ExitCode | None:
        """Call the handlers; if the engine returns an exit code, add the reason to its message."""
        code = super().inspect_process()
        if code in [self.exit_codes[name] for name in ENGINE_EXIT_CODES]:
            self.set_partial_outputs()
            return self.format_exit_code(code, self.ctx.children[-1])
        return code

    def set_partial_outputs(self) -> None:
        """Set the outputs of a work chain that fails; none by default."""

    def format_exit_code(self, code: ExitCode, calculation: orm.ProcessNode) -> ExitCode:
        """Return an exit code with the calculation, its number and the reason in the message."""
        return code.format(
            pk=calculation.pk,
            reason=self.reason_of(calculation),
            number=self.ctx.iteration - 1,
            attempts=self.ctx.iteration,
        )

    def reason_of(self, calculation: orm.ProcessNode) -> str:
        """Return the reason of a failure."""
        return failure_message(calculation)
