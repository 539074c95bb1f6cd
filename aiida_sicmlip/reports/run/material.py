"""All that the report of a run is made from, read from the graph once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.reports.exploration import heating_values
from aiida_sicmlip.tools.continuation import continued_run
from aiida_sicmlip.tools.evaluations import Evaluation, read_evaluation
from aiida_sicmlip.tools.explorations import read_explorations
from aiida_sicmlip.tools.failures import CalledProcess, Failure, failures_of_run, processes_below
from aiida_sicmlip.tools.lineage import Lineage, PathStep, lineage_of_model, path_to_calculation
from aiida_sicmlip.tools.origins import PickShare
from aiida_sicmlip.tools.potentials import TrainedPotential, evaluations_of_rounds, read_potential
from aiida_sicmlip.tools.runs import Run, last_potential, read_run
from aiida_sicmlip.tools.selections import Selection, add_shares, read_selections
from aiida_sicmlip.tools.walkers import CommitteeBrake, WalkerEnd, brakes_of_rounds, ends_of_walkers


@dataclass
class RunMaterial:
    """What is known of a run, each part looked up when it is asked for first.

    What costs most are the evaluations: two or three in each round, each with its data set, so that it grows with the
    number of configurations times that of rounds. Processes are looked up a level at a time, calculations of each depth
    at once.

    node: of the run.
    """

    node: orm.WorkChainNode

    @cached_property
    def run(self) -> Run:
        """Steps, labels, assessments and costs."""
        return read_run(self.node, with_costs=True)

    @cached_property
    def parent(self) -> int | None:
        """PK of the run that this one continues."""
        return continued_run(self.node)

    @cached_property
    def processes(self) -> list[CalledProcess]:
        """All processes below the run."""
        return processes_below(self.node.pk)

    @cached_property
    def failures(self) -> list[Failure]:
        """What has failed among them."""
        return failures_of_run(self.node, self.processes)

    @cached_property
    def shares(self) -> dict[int, list[PickShare]]:
        """By round, what each start structure and temperature has in the picks."""
        return add_shares(self.node, {})

    @cached_property
    def selections(self) -> list[Selection]:
        """What each round has picked; none before the first."""
        try:
            return read_selections(self.node)
        except InputError:
            return []

    @cached_property
    def walkers(self) -> list[dict[str, Any]]:
        """Temperatures and drift of the biased walkers of all rounds; none where there are no such walkers."""
        try:
            return heating_values(read_explorations(self.node))
        except InputError:
            return []

    @cached_property
    def ends_of_walkers(self) -> dict[int, list[WalkerEnd]]:
        """By round, how walkers and unbiased runs have ended."""
        return ends_of_walkers(self.node)

    @cached_property
    def brakes(self) -> dict[int, CommitteeBrake]:
        """By round that a trained potential has explored, at which disagreement of a committee walkers were stopped."""
        return brakes_of_rounds(self.node)

    @cached_property
    def evaluations(self) -> dict[str, dict[int, Evaluation]]:
        """Evaluations by set and round."""
        nodes = evaluations_of_rounds(self.node)
        return {
            name: {index: read_evaluation(node) for index, node in rounds.items()} for name, rounds in nodes.items()
        }

    @cached_property
    def potential(self) -> TrainedPotential | None:
        """The last potential with its training and its evaluations."""
        last = last_potential(self.run)
        return read_potential(last) if isinstance(last, PotentialData) else None

    @cached_property
    def lineage(self) -> Lineage | None:
        """That of the last potential; None where there is none that was trained here."""
        if self.potential is None or self.potential.training is None:
            return None
        return lineage_of_model(self.potential.potential)

    @cached_property
    def path(self) -> list[PathStep]:
        """The way from the last potential through its first configuration to what drove that run; empty without one."""
        if self.potential is None or self.potential.training is None:
            return []
        try:
            return path_to_calculation(self.potential.potential)
        except InputError:
            # Its first configuration was given, not labelled.
            return []

    def final_evaluations(self) -> dict[str, Evaluation]:
        """Return the evaluations of the last potential on its training and its validation set."""
        final: dict[str, Any] = {}
        for name in ("training", "validation"):
            rounds = self.evaluations.get(name, {})
            if rounds:
                final[name] = rounds[max(rounds)]
        return final
