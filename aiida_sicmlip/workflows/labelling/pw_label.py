"""Label from first principles, with error handlers for jobs that crash."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ExitCode, ProcessHandlerReport, ProcessSpec, process_handler
from aiida_quantumespresso.calculations.pw import PwCalculation
from aiida_quantumespresso.common.types import RestartType
from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain

from aiida_sicmlip.calculations.force_bound import define_force_bound, reason_to_reject
from aiida_sicmlip.tools.failure_messages import diagnose_failure, failure_message, job_messages
from aiida_sicmlip.workflows.base.restart import RestartWorkChain

CODES = PwCalculation.exit_codes
CRASHED = [
    CODES.ERROR_OUTPUT_STDOUT_MISSING,
    CODES.ERROR_OUTPUT_XML_MISSING,
    CODES.ERROR_OUTPUT_FILES,
    CODES.ERROR_OUTPUT_STDOUT_INCOMPLETE,
    CODES.ERROR_SCHEDULER_NODE_FAILURE,
]
"""pw.x did not finish, and its parser does not recognise the reason."""
CRASH_FILE = "CRASH"


class PwLabelWorkChain(RestartWorkChain, PwBaseWorkChain):
    """Compute a label with ``pw.x``: a ``PwBaseWorkChain`` that repeats a crashed job once.

    After an interruption the work chain reattaches to its calculations. If all attempts fail, the exit message states
    the last one and the reason. A label with a force above `max_force` is an output with exit status 460.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define the input and the exit code for labels that are rejected for their forces."""
        super().define(spec)
        define_force_bound(spec)

    @property
    def call_label(self) -> str:
        """Call link label of the current calculation, as in ``PwBaseWorkChain``."""
        return f"iteration_{self.ctx.iteration:02d}"

    def setup(self) -> None:
        """Initialise the number of crashes."""
        super().setup()
        self.ctx.n_crashes = 0

    def results(self) -> ExitCode | None:
        """Set the outputs, and return an exit code if the forces are too large."""
        code = super().results()
        if code is not None or "max_force" not in self.inputs:
            return code
        label = self.ctx.children[-1].outputs.output_trajectory
        reason = reason_to_reject(self.inputs.max_force, self.inputs.pw.structure, label)
        return None if reason is None else self.exit_codes.ERROR_FORCES_TOO_LARGE.format(reason=reason)

    @process_handler(priority=300, exit_codes=CRASHED)
    def handle_crash(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Repeat the calculation once if the machine may be the cause, but not if the program reported an error."""
        kind, _ = diagnose_failure(job_messages(calculation, CRASH_FILE))
        if kind in ("program", "disk", "memory") or self.ctx.n_crashes:
            return None
        self.ctx.n_crashes += 1
        self.set_restart_type(RestartType.FROM_SCRATCH)
        self.report_error_handled(calculation, f"{self.reason_of(calculation)} Second attempt.")
        return ProcessHandlerReport(True)

    def reason_of(self, calculation: orm.ProcessNode) -> str:
        """Return the reason of a failure, with the last messages of the job."""
        reason = failure_message(calculation)
        if calculation.exit_status not in [code.status for code in CRASHED]:
            return reason
        _, diagnosis = diagnose_failure(job_messages(calculation, CRASH_FILE))
        return f"pw.x crashed: {diagnosis}."
