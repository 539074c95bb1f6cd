"""The committee that accompanies the walkers of an exploration, and the disagreement that stops them."""

from __future__ import annotations

from typing import Any

from aiida.engine import WorkChain

from aiida_sicmlip.calculations.functions.calibrate_disagreement import calibrate_disagreement
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.science.evaluation.calibration import message_of_calibration
from aiida_sicmlip.workflows.base.reattach import run_once


def committee_inputs(exploration: WorkChain) -> dict[str, Any]:
    """Return the inputs of each run that concern the committee; empty where there is none.

    With an evaluation of a committee on labels that it was not trained on, the disagreement is calibrated first, which
    becomes an output of the exploration.
    """
    inputs = exploration.inputs
    if not inputs.get("committee"):
        if isinstance(inputs.potential, CompiledPotentialData):
            exploration.report("without a committee, temperature and distances alone stop walkers")
        return {}
    found: dict[str, Any] = {"committee": dict(inputs.committee)}
    if "evaluation" in inputs and "calibration" in inputs:
        given = {"evaluation": inputs.evaluation, "parameters": inputs.calibration}
        found["calibration"] = run_once(exploration, calibrate_disagreement, "calibration", **given)
        exploration.out("calibration", found["calibration"])
        exploration.report(message_of_calibration(found["calibration"].get_dict()))
    return found
