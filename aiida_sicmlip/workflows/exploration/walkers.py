"""How the steps of an exploration run their walkers, and collect what these give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common import AttributeDict

from aiida_sicmlip.calculations.functions.derive_seeds import derive_walker_seeds
from aiida_sicmlip.common.labels import segment_label
from aiida_sicmlip.tools.failure_messages import failure_message
from aiida_sicmlip.tools.walkers import stop_of_walker
from aiida_sicmlip.workflows.base.reattach import run_once, submit_once
from aiida_sicmlip.workflows.base.sliding_window import SlidingWindowWorkChain
from aiida_sicmlip.workflows.exploration.walker import WalkerWorkChain


class WalkerSteps(SlidingWindowWorkChain):
    """Walkers in the window: their seeds and inputs, and the outputs of those that have ended."""

    def _prepare(self, kind: str, starts: Mapping[str, Mapping[str, orm.Data]], count: orm.Int, seed: orm.Int) -> None:
        """Define the labels of the walkers and derive their seeds.

        :param starts: conditions of the walkers by start structure; ``count`` walkers run for each condition.
        """
        each = [
            (name, condition, node)
            for name, conditions in starts.items()
            for condition, node in sorted(conditions.items())
        ]
        self.ctx.walker_seeds = run_once(
            self,
            derive_walker_seeds,
            f"{kind}_seeds",
            seed=seed,
            walkers=count,
            **{f"start_{index:02d}": node for index, (_, _, node) in enumerate(each)},
        )
        all_walkers = [(name, condition) for name, condition, _ in each for _ in range(count.value)]
        self.ctx.start_of = {f"{kind}_{index:02d}": name for index, (name, _) in enumerate(all_walkers)}
        self.ctx.condition_of = {f"{kind}_{index:02d}": condition for index, (_, condition) in enumerate(all_walkers)}
        self.open_window(self.ctx.start_of, self.inputs.max_concurrent.value, "walkers")

    def _submit(self, name: str, changed: Mapping[str, orm.Data], excluded: tuple[str, ...] = ()) -> orm.ProcessNode:
        """Submit the walker ``name``.

        :param changed: inputs that replace those of ``walker.exploration``.
        :param excluded: inputs of ``walker.exploration`` that are not used.
        """
        start = self.ctx.start_of[name]
        inputs = AttributeDict(self.exposed_inputs(WalkerWorkChain, namespace="walker"))
        run = {key: value for key, value in inputs.exploration.items() if key not in excluded} | dict(changed)
        run["structure"] = self.ctx.states.get(name, self.inputs.structures[start])
        run["potential"] = self.inputs.potential
        run |= self.ctx.of_committee
        # Walkers that are repeated have the seeds of those that they repeat.
        number = int(name.rsplit("_", 1)[1]) % len(self.ctx.walker_seeds)
        run["seed"] = self.ctx.walker_seeds[f"walker_{number:02d}"]
        if start in self.inputs.get("hosts", {}):
            run["host"] = self.inputs.hosts[start]
        if "bias" in run:
            run["collective_variables"] = self.ctx.variables[start]
        inputs.exploration = AttributeDict(run)
        return submit_once(self, WalkerWorkChain, name, **inputs)

    def _failure_of(self, *starts: str) -> dict[str, Any]:
        """Return the number of failed walkers of the given structures, and name, PK and reason of the first."""
        children = self.window_children()
        walkers = {name: children[name] for name in sorted(children) if self.ctx.start_of[name] in starts}
        failed = {name: walker for name, walker in walkers.items() if not walker.is_finished_ok} or walkers
        name, walker = next(iter(failed.items()))
        return {"count": len(failed), "walker": name, "pk": walker.pk, "reason": failure_message(walker)}

    def _collect(self, *kinds: tuple[str, str]) -> dict[str, dict[str, dict[str, orm.Data]]]:
        """Set the outputs to those of the walkers of the window, and report failed walkers.

        :param kinds: pairs of an output namespace of a walker and the corresponding one of this work chain.
        :return: nodes by output namespace, structure and segment; segment labels are unique over all structures.
        """
        collected: dict[str, dict[str, dict[str, orm.Data]]] = {target: {} for _, target in kinds}
        segments = 0
        for name, walker in self.window_children().items():
            kept = walker.outputs.trajectories if "trajectories" in walker.outputs else {}
            if not walker.is_finished_ok:
                reason = failure_message(walker)
                frames = sum(kept[label].n_frames for label in kept)
                self.report(f"{name} <{walker.pk}> failed after {frames} frames: {reason}")
            elif (stopped := stop_of_walker(walker)) is not None:
                self.report(f"{name} <{walker.pk}> was stopped by the brake: {stopped['message']}")
            for label in sorted(kept):
                for source, target in kinds:
                    if source in walker.outputs and label in walker.outputs[source]:
                        by_structure = collected[target].setdefault(self.ctx.start_of[name], {})
                        by_structure[segment_label(segments)] = walker.outputs[source][label]
                segments += 1
        for target, nodes in collected.items():
            if nodes:
                self.out(target, nodes)
        return collected
