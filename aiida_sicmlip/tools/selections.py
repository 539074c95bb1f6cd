"""The selections of a run: what each round described and picked, and how wrong the exploring potential was there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import REPLACED, parse_round_label
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.science.selection.novelty import NoveltyCorrelation, novelty_correlation
from aiida_sicmlip.science.selection.picks import ROLES, Picks
from aiida_sicmlip.tools.lineage import labels_of_dataset
from aiida_sicmlip.tools.nodes import output_of
from aiida_sicmlip.tools.origins import PickShare, composition_of_selection
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
        results = output_of(self.description, "results")
        return results.get_dict() if results is not None else {}

    @property
    def summary(self) -> dict[str, Any]:
        """How many frames were picked for what; empty where none were."""
        summary = output_of(self.selection, "summary")
        return summary.get_dict() if summary is not None else {}

    @property
    def picks(self) -> orm.ArrayData | None:
        """What was picked, as the arrays of :class:`~aiida_sicmlip.science.selection.picks.Picks`."""
        return output_of(self.selection, "picks")

    @property
    def replacing_picks(self) -> orm.ArrayData | None:
        """What replaced failed labels, in the same form."""
        return output_of(self.replacements, "picks")

    @property
    def candidates(self) -> CandidateFramesData | None:
        """The frames of this round that the selection chose from."""
        return output_of(self.description, "candidates")

    def shares(self) -> list[PickShare]:
        """Return what each start structure and temperature has in the picks; none before there are picks."""
        picks = self.picks
        if self.selection is None or picks is None:
            return []
        roles = [ROLES[int(role)] for role in picks.get_array("role")]
        return composition_of_selection(self.selection, roles, picks.get_array("segment").tolist())

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


@dataclass(frozen=True)
class Selection:
    """What one round of a run picked.

    steps: the processes of the round.
    candidates: the frames that the selection chose from.
    described: counts of frames and distances, results of the description.
    summary: counts of picks, results of the selection.
    picks: in the order in which they were picked.
    force_error: of the exploring potential on each pick, (P,) in eV/A; not a number without a label.
    evaluated: whether that potential was evaluated on the new labels.
    n_replacing: number of picks, the last ones, that replaced failed labels.
    """

    steps: RoundSelection
    candidates: CandidateFramesData
    described: dict[str, Any]
    summary: dict[str, Any]
    picks: Picks
    force_error: np.ndarray
    evaluated: bool
    n_replacing: int = 0

    @property
    def name(self) -> str:
        """How the round is called."""
        return f"round {self.steps.index}"

    @cached_property
    def shares(self) -> list[PickShare]:
        """What each start structure and temperature has in it."""
        return self.steps.shares()

    @property
    def window(self) -> dict[str, Any]:
        """Bounds of the window in eV/A, and counts of candidates outside."""
        return self.summary.get("window", {})

    @property
    def n_outside_window(self) -> int | None:
        """Number of frames that could be picked but for the window; None where it is not known."""
        found = self.window.get("n_outside")
        return None if found is None else found + self.described.get("n_outside_window", 0)

    @property
    def method(self) -> str:
        """How training configurations were picked."""
        return self.summary.get("method", "farthest-point")

    @property
    def distances(self) -> np.ndarray:
        """The distance at which each training configuration was picked, in their order, without those that replaced."""
        own = np.arange(len(self.picks)) < len(self.picks) - self.n_replacing
        return self.picks.distance[own & self.picks.of("training")]

    @property
    def correlation(self) -> NoveltyCorrelation:
        """Of distance from the training set and error, over all frames that were labelled."""
        coefficients = novelty_correlation(self.picks.reference_distance, self.force_error)
        if coefficients.reason is not None and not self.evaluated and not np.isinf(self.picks.reference_distance).all():
            return NoveltyCorrelation(0, reason="the exploring potential was not evaluated on the new labels (yet)")
        return coefficients


def read_selections(run: orm.WorkChainNode) -> list[Selection]:
    """Return the selections of a run, one a round; a round that has picked nothing (yet) has none.

    :raises InputError: if there are none at all.
    """
    selections = []
    for steps in round_selections(run):
        picks, candidates = steps.picks, steps.candidates
        if picks is None or candidates is None:
            continue
        parts = [
            Picks.from_arrays({name: node.get_array(name) for name in Picks.names()})
            for node in (picks, steps.replacing_picks)
            if node is not None
        ]
        read = Picks.joined(parts)
        assert read is not None
        errors = steps.force_errors()
        force_error = [
            errors.get((int(segment), int(frame)), np.nan)
            for segment, frame in zip(read.segment, read.frame, strict=True)
        ]
        selections.append(
            Selection(
                steps,
                candidates,
                steps.described,
                steps.summary,
                read,
                np.array(force_error),
                evaluated=bool(errors),
                n_replacing=len(read) - len(parts[0]),
            )
        )
    if not selections:
        raise InputError(f"run <{run.pk}> has picked no frames yet: `aiida-sicmlip status {run.pk}` says where it is.")
    return selections


def choose_rounds(selections: Sequence[Selection], index: int | None) -> list[Selection]:
    """Return the selection of a round, or all if None is given.

    :raises InputError: if the round has none.
    """
    chosen = [selection for selection in selections if index in (None, selection.steps.index)]
    if not chosen:
        available = ", ".join(str(selection.steps.index) for selection in selections)
        raise InputError(f"round {index} has picked no frames; rounds that have: {available}.")
    return chosen


def add_shares(run: orm.WorkChainNode, shares_by_round: dict[int, list[PickShare]]) -> dict[int, list[PickShare]]:
    """Add the shares of rounds that have picked to those that are known, by round, and return them.

    What a round has picked does not change: a round that is known is not looked at again.
    """
    for steps in round_selections(run):
        if steps.index not in shares_by_round and (shares := steps.shares()):
            shares_by_round[steps.index] = shares
    return shares_by_round
