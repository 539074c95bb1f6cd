"""How the steps of a round call their child processes, and report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiida import orm
from aiida.engine import Process, ToContext

from aiida_sicmlip.common.costs import Costs
from aiida_sicmlip.common.labels import round_label
from aiida_sicmlip.science.costs.budgets import Budget
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.tools.costs import costs_of_run
from aiida_sicmlip.workflows.active_learning.ports import ActiveLearningPorts
from aiida_sicmlip.workflows.base.reattach import run_once, submit_once
from aiida_sicmlip.workflows.labelling.labelling import LabellingWorkChain


class RoundSteps(ActiveLearningPorts):
    """Calls of child processes under the names of steps and rounds, each once; and what the inputs say."""

    @property
    def _index(self) -> int:
        """Number of the current round."""
        raise NotImplementedError

    @property
    def _round(self) -> str:
        """Name of the current round."""
        return f"round_{self._index:02d}"

    @property
    def _hosts(self) -> Mapping[str, orm.StructureData]:
        """The host crystals, by name of the start structure."""
        return self.inputs.get("hosts", {})

    @property
    def _selection(self) -> SelectionSettings:
        """The settings of the selection."""
        return SelectionSettings.from_mapping(self.inputs.selection.parameters.get_dict())

    def _label(self, step: str) -> str:
        """Return the call label of ``step`` in this round."""
        return round_label(self._index, step)

    def _run(self, function: Callable[..., Any], step: str, /, **inputs: Any) -> Any:
        """Run the calcfunction of ``step`` once, and return its result."""
        return run_once(self, function, self._label(step), **inputs)

    def _submit(self, process: type[Process], step: str, /, **inputs: Any) -> ToContext:
        """Submit the child process of ``step`` once; the context holds it under the name of the step."""
        return ToContext(**{step: submit_once(self, process, self._label(step), **inputs)})

    def _submit_labels(self, step: str, picked: Mapping[str, Mapping[str, orm.StructureData]]) -> ToContext:
        """Submit the labelling of the frames of all roles."""
        structures = {frame: node for frames in picked.values() for frame, node in frames.items()}
        inputs = self.exposed_inputs(LabellingWorkChain, namespace="labelling")
        return self._submit(LabellingWorkChain, step, structures=structures, **inputs)

    def _report(self, message: str) -> None:
        """Report a message with the number of the round."""
        self.report(f"round {self._index}: {message}")

    def _budget_and_costs(self) -> tuple[Budget, Costs]:
        """Return the budget and the costs so far; the costs are not queried if the budget has no limits."""
        allowed = Budget.from_mapping(self.inputs.budget.get_dict())
        return allowed, costs_of_run(self.node) if allowed.limits else Costs()
