"""How the loop judges a round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida import orm

from aiida_sicmlip.calculations.functions.assess_round import assess_round
from aiida_sicmlip.calculations.functions.find_defect_types import find_defect_types
from aiida_sicmlip.common.labels import round_label
from aiida_sicmlip.science.evaluation.assessment import sentence_of_verdict
from aiida_sicmlip.workflows.base.reattach import run_once

if TYPE_CHECKING:
    from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain


def assess_this_round(chain: ActiveLearningWorkChain) -> orm.Dict:
    """Return the assessment of the round that a loop has just trained for, and report each verdict."""
    context = chain.ctx
    further: dict[str, Any] = {}
    hosts = dict(chain.inputs.get("hosts", {}))
    if hosts:
        further["defect_types"] = run_once(
            chain,
            find_defect_types,
            round_label(context.round, "defect_types"),
            dataset=context.new_labels,
            **hosts,
        )
    if context.assessment is not None:
        further["previous"] = context.assessment
    assessment = run_once(
        chain,
        assess_round,
        round_label(context.round, "assessment"),
        criteria=chain.inputs.convergence,
        exploring=context.exploring_evaluation.outputs.results,
        selection=context.selection,
        **dict(context.training.outputs.evaluations),
        **further,
    )
    for verdict in assessment["criteria"]:
        chain.report(f"round {context.round}: {sentence_of_verdict(verdict)}")
    return assessment
