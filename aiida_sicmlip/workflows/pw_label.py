"""One label from first principles, with answers to what goes wrong in configurations far from equilibrium."""

from __future__ import annotations

from typing import Any, NamedTuple

from aiida import orm
from aiida.engine import ProcessHandlerReport, ProcessSpec, process_handler
from aiida_quantumespresso.calculations.pw import PwCalculation
from aiida_quantumespresso.common.types import RestartType
from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain

from aiida_sicmlip.tools.endings import reason_of_end
from aiida_sicmlip.tools.job_words import what_ended, words_of_job
from aiida_sicmlip.workflows.restarts import RestartWorkChain

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
DEFAULT_STEPS = 100
"""Where `electron_maxstep` is not given, pw.x ends after so many."""


class Mixing(NamedTuple):
    """Another way to mix densities: settings of &ELECTRONS, whether it begins with the density that there is, and how
    many times the asked number of steps it may take.
    """

    settings: dict[str, Any]
    goes_on: bool
    steps: int = 1


REMEDIES = (
    Mixing({"mixing_beta": 0.2}, goes_on=True),
    Mixing({"mixing_mode": "local-TF", "mixing_beta": 0.3}, goes_on=False, steps=2),
)
"""Tried in this order where self-consistency is not reached. Mixing decides how a density is found, and not which
energy belongs to it: a label keeps its level of theory."""


class PwLabelWorkChain(RestartWorkChain, PwBaseWorkChain):
    """Run ``pw.x`` until there is a label: a ``PwBaseWorkChain`` with other remedies for hard configurations.

    Each try is found again after an interruption, and where all fail the exit message names the last one and what it
    died of.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define what is not upstream's."""
        super().define(spec)
        spec.exit_code(
            411,
            "ERROR_NOT_SELF_CONSISTENT",
            message="pw.x <{pk}> did not reach self-consistency, neither as asked nor with {remedies}.",
        )

    @property
    def call_label(self) -> str:
        """Label of the call of the present calculation, the one that ``PwBaseWorkChain`` gives."""
        return f"iteration_{self.ctx.iteration:02d}"

    def setup(self) -> None:
        """Begin with no remedy tried."""
        super().setup()
        self.ctx.remedies = 0
        self.ctx.broken_off = 0

    @process_handler(priority=410, exit_codes=[CODES.ERROR_ELECTRONIC_CONVERGENCE_NOT_REACHED])
    def handle_electronic_convergence_not_reached(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Mix in another way."""
        if self.ctx.remedies >= len(REMEDIES):
            tried = " and ".join(_words(remedy.settings) for remedy in REMEDIES)
            code = self.exit_codes.ERROR_NOT_SELF_CONSISTENT.format(pk=calculation.pk, remedies=tried)
            return ProcessHandlerReport(True, code)
        remedy = REMEDIES[self.ctx.remedies]
        self.ctx.remedies += 1
        electrons = self.ctx.inputs.parameters["ELECTRONS"]
        asked = self.inputs.pw.parameters.get_dict().get("ELECTRONS", {}).get("electron_maxstep", DEFAULT_STEPS)
        electrons.update({**remedy.settings, "electron_maxstep": remedy.steps * asked})
        if remedy.goes_on:
            self.set_restart_type(RestartType.FROM_CHARGE_DENSITY, calculation.outputs.remote_folder)
        else:
            self.set_restart_type(RestartType.FROM_SCRATCH)
        start = "from its density" if remedy.goes_on else "from the beginning"
        self.report_error_handled(calculation, f"going on {start} with {_words(remedy.settings)}")
        return ProcessHandlerReport(True)

    @process_handler(priority=300, exit_codes=BROKEN_OFF)
    def handle_broken_off(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Try once more where a machine may be to blame; where the program itself has spoken, the same would happen."""
        kind, _ = what_ended(words_of_job(calculation, CRASH_FILE))
        if kind in ("program", "disk", "memory") or self.ctx.broken_off:
            return None
        self.ctx.broken_off += 1
        self.set_restart_type(RestartType.FROM_SCRATCH)
        self.report_error_handled(calculation, f"{self.reason_of(calculation)} Trying once more.")
        return ProcessHandlerReport(True)

    def reason_of(self, calculation: orm.ProcessNode) -> str:
        """Return why a calculation ended as it did, with the last words of its job."""
        reason = reason_of_end(calculation)
        if calculation.exit_status not in [code.status for code in BROKEN_OFF]:
            return reason
        _, sentence = what_ended(words_of_job(calculation, CRASH_FILE))
        return f"pw.x broke off: {sentence}."


def _words(settings: dict[str, Any]) -> str:
    """Return settings as words: ``mixing_mode 'local-TF', mixing_beta 0.3``."""
    return ", ".join(f"{name} {value!r}" for name, value in settings.items())
