"""All checks of a run or a model, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiida import orm

from aiida_sicmlip.tools.verification import datasets, files, processes
from aiida_sicmlip.tools.verification.graph import Graph, collect

Found = tuple[int, list[str]]
CHECKS: dict[str, Callable[[Graph], Found]] = {
    "what nothing made was given by the user": processes.check_roots,
    "calculations took all that decides their results, seeds included": processes.check_inputs,
    "no step was called twice": processes.check_calls,
    "files and attributes are as they were stored": files.check_contents,
    "picked structures are the frames that their links name": datasets.check_frames,
    "every configuration of every data set reaches a label": datasets.check_sources,
    "no validation configuration is in the training set": datasets.check_validation,
    "data sets hold what their labels say, to the last digit": datasets.check_labels,
    "labels were computed at the level of theory of their data set": datasets.check_levels,
}
"""What is checked, with the function that counts what it looked at and says in messages what is wrong."""


@dataclass(frozen=True)
class Check:
    """What one check has found.

    name: what should hold.
    examined: how many nodes, files or configurations were looked at.
    problems: a message for each problem.
    """

    name: str
    examined: int
    problems: list[str]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(root: orm.Node) -> list[Check]:
    """Check the provenance of a run, or of a model with all that it depends on.

    Reads every file of the graph once, and follows links generation by generation.
    """
    graph = collect(root)
    return [Check(name, *check(graph)) for name, check in CHECKS.items()]
