"""How the loop replaces labels that have failed: once a round, by the candidates that come next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida import orm
from aiida.engine import ToContext

from aiida_sicmlip.calculations.functions.select_replacements import select_replacements
from aiida_sicmlip.common.labels import REPLACED, round_label
from aiida_sicmlip.science.costs.budgets import labels_left
from aiida_sicmlip.science.selection.picks import ROLES
from aiida_sicmlip.workflows.active_learning.budget import budget_and_costs, labels_in_order
from aiida_sicmlip.workflows.base.reattach import called, run_once, submit_once
from aiida_sicmlip.workflows.labelling.labelling import LabellingWorkChain

if TYPE_CHECKING:
    from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain


def label_replacements(chain: ActiveLearningWorkChain) -> ToContext | None:
    """Submit the labelling of what takes the places of failed labels; None where nothing failed or may be replaced."""
    context = chain.ctx
    failed = _failed(chain)
    count = min(len(failed), chain.inputs.max_replacements.value)
    # After an interruption the replacements that are at work have spent of the budget themselves.
    begun = called(chain.node, round_label(context.round, REPLACED))
    left = labels_left(*budget_and_costs(chain)) if count and not begun else None
    if left is not None:
        count = min(count, left[0])
    if not count:
        return None
    name = f"round_{context.round:02d}"
    found = run_once(
        chain,
        select_replacements,
        round_label(context.round, REPLACED),
        parameters=chain.inputs.selection.parameters,
        failed=orm.List(failed[:count]),
        picks=context.picks[name],
        candidates=context.candidates[name],
        **{other: node for other, node in context.candidates.items() if other != name},
    )
    replacements = {role: dict(found.get(role, {})) for role in ROLES}
    structures = {label: node for picked in replacements.values() for label, node in picked.items()}
    if not structures:
        chain.report(f"round {context.round}: {len(failed)} labels failed, and no candidate is left to replace one")
        return None
    # Later rounds keep away from these as from all picks.
    context.picks = {**context.picks, f"{name}_replacements": found["picks"]}
    context.picked = {role: {**context.picked[role], **replacements[role]} for role in ROLES}
    chain.report(f"round {context.round}: {len(failed)} labels failed; labelling {len(structures)} in their places")
    return ToContext(
        replacement=submit_once(
            chain,
            LabellingWorkChain,
            round_label(context.round, "replacement_labelling"),
            structures=structures,
            **chain.exposed_inputs(LabellingWorkChain, namespace="labelling"),
        )
    )


def labels_of_round(chain: ActiveLearningWorkChain) -> dict[str, orm.TrajectoryData]:
    """Return the labels that are done, by the frame; replacements that failed are left out, as all others."""
    labels = dict(chain.ctx.labelling.outputs.labels)
    replacement = chain.ctx.replacement
    if replacement is not None and "labels" in replacement.outputs:
        labels |= dict(replacement.outputs.labels)
    return labels


def _failed(chain: ActiveLearningWorkChain) -> list[str]:
    """Return the frames whose labels have failed: training before validation, the first picked first."""
    context = chain.ctx
    done = set(context.labelling.outputs.labels)
    in_order = labels_in_order(context.picks[f"round_{context.round:02d}"])
    return [label for role in ROLES for label in in_order[role] if label in context.picked[role] and label not in done]
