"""The selections of a run: what each round described and picked, and how wrong the exploring potential was there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sicmlip.common.labels import REPLACED, parse_round_label
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.tools.lineage import labels_of_dataset
from aiida_sicmlip.tools.walkers import called_nodes

STEPS = ("descriptors", "selection", "evaluation_of_exploring_potential", REPLACED)


@dataclass(frozen=True)
class RoundSelection:
    """The steps of one round that tell how its frames were picked; None where there is no such step (yet)."""

    index: int
    description: orm.CalcJobNode | None = None
    selection: orm.CalcFunctionNode | None = None
    evaluation: orm.CalcJobNode | None = None
    replacements: orm.CalcFunctionNode | None = None

    @property
    def described(self) -> dict[str, Any]:
        """Counts of frames, covering distance and so on; empty where the description has left none."""
        results = _output(self.description, "results")
        return results.get_dict() if results is not None else {}

    @property
    def summary(self) -> dict[str, Any]:
        """How many frames were picked for what; empty where none were."""
        summary = _output(self.selection, "summary")
        return summary.get_dict() if summary is not None else {}

    @property
    def picks(self) -> orm.ArrayData | None:
        """What was picked, as the arrays of :class:`~aiida_sicmlip.science.selection.picks.Picks`."""
        return _output(self.selection, "picks")

    @property
    def replacing_picks(self) -> orm.ArrayData | None:
        """What replaced failed labels, in the same form."""
        return _output(self.replacements, "picks")

    @property
    def candidates(self) -> CandidateFramesData | None:
        """The frames of this round that the selection chose from."""
        return _output(self.description, "candidates")

    def force_errors(self) -> dict[tuple[int, int], float]:
        """Return the mean absolute error of the force components (eV/A) of each labelled frame, by segment and frame.

        The errors are those of the potential that explored the round, which had not seen these labels; there are none
        before it is evaluated.
        """
        node = self.evaluation
        if node is None or not node.is_finished_ok:
            return {}
        errors = node.outputs.results["force_mae_per_frame"]
        return {
            (source.segment, source.frame): errors[source.index]
            for source in labels_of_dataset(node.inputs.dataset)
            if source.segment is not None and source.frame is not None
        }


def round_selections(run: orm.WorkChainNode) -> list[RoundSelection]:
    """Return the rounds of a run that have begun to describe their frames, in their order."""
    steps: dict[int, dict[str, Any]] = {}
    for label, node in called_nodes(run.pk, orm.ProcessNode, "round\\_%"):
        index, name = parse_round_label(label)
        if name in STEPS:
            # A step that was called again after an interruption stands under the same label; the latest counts.
            steps.setdefault(index, {})[name] = node
    return [RoundSelection(index, *(steps[index].get(name) for name in STEPS)) for index in sorted(steps)]


def _output(node: orm.ProcessNode | None, label: str) -> Any:
    """Return one output of a process, or None; the hundreds of structures beside it are not loaded."""
    if node is None:
        return None
    link = node.base.links.get_outgoing(link_type=LinkType.CREATE, link_label_filter=label).first()
    return link.node if link is not None else None
