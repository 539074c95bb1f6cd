"""Walks from node to node, without the package's queries: what data sets and models depend on."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.links import LinkType


def inputs_of(process: orm.ProcessNode) -> dict[str, Any]:
    """Return what a process took, by link label."""
    return {link.link_label: link.node for link in process.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()}


def label_behind(dataset: orm.Data, index: int) -> tuple[orm.Data | None, orm.ProcessNode | None]:
    """Return the label of one configuration and the calcfunction that took it."""
    while True:
        creator = dataset.creator
        if creator is None:
            return None, None
        inputs = inputs_of(creator)
        name = f"label_{index:06d}"
        if name in inputs:
            return inputs[name], creator
        if "places" in inputs:
            index, dataset = inputs["places"].get_list()[index], inputs["dataset"]
        elif "dataset_00" in inputs:
            for part in sorted(label for label in inputs if label.startswith("dataset_")):
                dataset = inputs[part]
                if index < dataset.n_frames:
                    break
                index -= dataset.n_frames
        elif "previous" in inputs:
            dataset = inputs["previous"]
        else:
            return None, creator


def sources_of_label(label: orm.Data) -> dict[str, int]:
    """Return the PKs of what a label and its frame are from."""
    calculation = label.creator
    inputs = inputs_of(calculation)
    found = {"label": label, "calculation": calculation, "structure": inputs["structure"]}
    found |= {name: node for name, node in inputs.items() if name == "code" or name.startswith("pseudos")}
    (made,) = inputs["structure"].base.links.get_incoming(link_type=LinkType.CREATE).all()
    segment = made.link_label.split("frame_")[1].split("_")[0]
    found["selection"] = made.node
    for candidates in inputs_of(made.node).values():
        if "CandidateFrames" in type(candidates).__name__:
            for name, node in inputs_of(candidates.creator).items():
                if name.startswith("trajectories__") and name.endswith(f"__{segment}"):
                    found["trajectory"] = node
    run = found["trajectory"].creator
    driven = inputs_of(run)
    found |= {"exploration": run, "potential": driven["potential"]}
    if driven["potential"].creator is not None:
        found["model"] = inputs_of(driven["potential"].creator)["potential"]
    for name in ("collective_variables", "bias"):
        if name in driven:
            found[name] = driven[name]
    return {name: node.pk for name, node in found.items()}


class Dependence:
    """Everything that a configuration depends on, through models and variables of the runs before, too."""

    def __init__(self) -> None:
        self._known: dict[int, set[int]] = {}

    def of_dataset(self, dataset: orm.Data) -> set[int]:
        """Return the PKs of what any configuration of a data set depends on."""
        return set().union(*(self.of_configuration(dataset, index) for index in range(dataset.n_frames)))

    def of_configuration(self, dataset: orm.Data, index: int) -> set[int]:
        """Return the PKs of what one configuration depends on."""
        label, _ = label_behind(dataset, index)
        if label is None:
            return set()
        if label.pk not in self._known:
            sources = sources_of_label(label)
            found = set(sources.values()) | self.of_trajectory(orm.load_node(sources["trajectory"]))
            self._known[label.pk] = found
        return self._known[label.pk]

    def of_trajectory(self, trajectory: orm.Data) -> set[int]:
        """Return the PKs of what a trajectory depends on."""
        if trajectory.pk not in self._known:
            inputs = inputs_of(trajectory.creator)
            found = {trajectory.pk, *(node.pk for node in inputs.values())}
            if inputs["potential"].creator is not None:
                found |= self.of_model(inputs_of(inputs["potential"].creator)["potential"])
            variables = inputs.get("collective_variables")
            if variables is not None and variables.creator is not None:
                for name, node in inputs_of(variables.creator).items():
                    found.add(node.pk)
                    if name.startswith("trajectories__"):
                        found |= self.of_trajectory(node)
            self._known[trajectory.pk] = found
        return self._known[trajectory.pk]

    def of_model(self, model: orm.Data) -> set[int]:
        """Return the PKs of what a model depends on."""
        if model.pk not in self._known:
            inputs = inputs_of(model.creator)
            found = {model.pk, *(node.pk for node in inputs.values())}
            for name in ("training_set", "validation_set"):
                found |= self.of_dataset(inputs[name])
            self._known[model.pk] = found
        return self._known[model.pk]
