"""One label from first principles, with answers to jobs that break off."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ExitCode, ProcessHandlerReport, ProcessSpec, process_handler
from aiida_quantumespresso.calculations.pw import PwCalculation
from aiida_quantumespresso.common.types import RestartType
from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain

from aiida_sicmlip.calculations.force_bound import define_force_bound, reason_to_set_aside
from aiida_sicmlip.tools.failure_messages import diagnose_failure, failure_message, job_messages
from aiida_sicmlip.workflows.base.restart import RestartWorkChain

CODES = PwCalculation.exit_codes
BROKEN_OFF = [
    CODES.ERROR_OUTPUT_STDOUT_MISSING,
    CODES.ERROR_OUTPUT_XML_MISSING,
    CODES.ERROR_OUTPUT_FILES,
    CODES.ERROR_OUTPUT_STDOUT_INCOMPLETE,
    CODES.ERROR_SCHEDULER_NODE_FAILURE,
]
"""pw.x did not come to its end, and did not say why in a way that its parser knows."""
CRASH_FILE = "CRASH"


class PwLabelWorkChain(RestartWorkChain, PwBaseWorkChain):
    """Run ``pw.x`` until there is a label: a ``PwBaseWorkChain`` that tries once more where a job broke off.

    Each try is found again after an interruption, and where all fail the exit message names the last one and what it
    died of. With `max_force`, a label whose forces are beyond it is handed out with status 460.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Let labels be set aside for their forces."""
        super().define(spec)
        define_force_bound(spec)

    @property
    def call_label(self) -> str:
        """Label of the call of the present calculation, the one that ``PwBaseWorkChain`` gives."""
        return f"iteration_{self.ctx.iteration:02d}"

    def setup(self) -> None:
        """Begin with no try that broke off."""
        super().setup()
        self.ctx.broken_off = 0

    def results(self) -> ExitCode | None:
        """Hand out the label, and say where its forces are too large."""
        code = super().results()
        if code is not None or "max_force" not in self.inputs:
            return code
        label = self.ctx.children[-1].outputs.output_trajectory
        reason = reason_to_set_aside(self.inputs.max_force, self.inputs.pw.structure, label)
        return None if reason is None else self.exit_codes.ERROR_FORCES_TOO_LARGE.format(reason=reason)

    @process_handler(priority=300, exit_codes=BROKEN_OFF)
    def handle_broken_off(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Try once more where a machine may be to blame; where the program itself has spoken, the same would happen."""
        kind, _ = diagnose_failure(job_messages(calculation, CRASH_FILE))
        if kind in ("program", "disk", "memory") or self.ctx.broken_off:
            return None
        self.ctx.broken_off += 1
        self.set_restart_type(RestartType.FROM_SCRATCH)
        self.report_error_handled(calculation, f"{self.reason_of(calculation)} Trying once more.")
        return ProcessHandlerReport(True)

    def reason_of(self, calculation: orm.ProcessNode) -> str:
        """Return why a calculation ended as it did, with the last words of its job."""
        reason = failure_message(calculation)
        if calculation.exit_status not in [code.status for code in BROKEN_OFF]:
            return reason
        _, sentence = diagnose_failure(job_messages(calculation, CRASH_FILE))
        return f"pw.x broke off: {sentence}."
