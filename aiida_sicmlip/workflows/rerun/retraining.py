"""Retraining of a model without some of its data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sicmlip.calculations.functions.extend_dataset import extend_dataset
from aiida_sicmlip.calculations.functions.fit_lennard_jones_prior import fit_lennard_jones_prior
from aiida_sicmlip.calculations.functions.merge_datasets import merge_datasets
from aiida_sicmlip.calculations.functions.subset_dataset import subset_dataset
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import dataset_label, index_of_dataset, label_of_index
from aiida_sicmlip.common.process_types import TRAINING
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.tools.foreign_shell import require_trust
from aiida_sicmlip.tools.lineage import Configuration, configurations_of_dataset, labels_of_dataset
from aiida_sicmlip.tools.potentials import training_of
from aiida_sicmlip.workflows.rerun.reproduction import attempts_of, restart_builder, settings_in_steps, usable_code

SETS = ("training_set", "validation_set")
NODES = (
    *("label", "calculation", "structure", "selection", "trajectory", "exploration", "potential", "model"),
    *("collective_variables", "run", "file"),
)
"""Fields of a configuration with PKs of nodes without which a model can be trained."""

_Filtered = tuple[LabelledDataSetData | None, list[int]]
# A data set without the removed configurations (None if none remain), and the indices that remain of the original one.


@dataclass(frozen=True)
class Removal:
    """Configurations that are removed from the data sets of a model.

    model: the model.
    labels: PKs of the removed labels.
    files: PKs of the removed imported files.
    removed: indices of the removed configurations, by name of the set.
    remaining: number of remaining configurations, by name of the set.
    indirect: number of remaining configurations that were picked from trajectories of potentials trained on removed
        ones.
    """

    model: PotentialData
    labels: frozenset[int]
    files: frozenset[int]
    removed: dict[str, list[int]] = field(default_factory=dict)
    remaining: dict[str, int] = field(default_factory=dict)
    indirect: int = 0

    def removes(self, label: int | None, file: int | None) -> bool:
        """Return whether a configuration with this label, or from this file, is removed."""
        return label in self.labels or (label is None and file in self.files)


def plan_removal(model: PotentialData, without: Collection[orm.Node]) -> Removal:
    """Return the configurations to remove from the data sets of ``model`` so that none depends on the given nodes.

    :param without: labels, their calculations or structures, selections, trajectories and the processes that created
        them, imported files, or potentials of explorations.
    :raises InputError: if no configuration of the sets depends on a node, or none would remain in a set.
    """
    training = training_of(model)
    sets = {name: getattr(training.inputs, name) for name in SETS}
    configurations = {name: configurations_of_dataset(dataset) for name, dataset in sets.items()}
    dependent: list[Configuration] = []
    for node in without:
        of_node = [
            configuration
            for of_set in configurations.values()
            for configuration in of_set
            if node.pk in _nodes_of(configuration)
        ]
        if not of_node:
            raise InputError(
                f"no configuration of the training and validation sets of model <{model.pk}> depends on node "
                f"<{node.pk}>; `aiida-sicmlip dataset show {sets['training_set'].pk} --all` lists what they depend on."
            )
        dependent += of_node
    labels = frozenset(each.label for each in dependent if each.label is not None)
    files = frozenset(each.file for each in dependent if each.label is None and each.file is not None)
    removal = Removal(model, labels, files)
    exploring_models: list[int] = []
    for name, dataset in sets.items():
        remaining = [each for each in configurations[name] if not removal.removes(each.label, each.file)]
        if not remaining:
            raise InputError(
                f"no configuration of the {name.replace('_', ' ')} <{dataset.pk}> would remain; remove less, or train "
                "with another set."
            )
        indices = {each.index for each in remaining}
        removal.removed[name] = [index for index in range(dataset.n_frames) if index not in indices]
        removal.remaining[name] = len(remaining)
        exploring_models += [each.model for each in remaining if each.model is not None]
    affected = {pk for pk in set(exploring_models) if _was_trained_on_removed(pk, removal)}
    return replace(removal, indirect=sum(pk in affected for pk in exploring_models))


def retraining_builder(removal: Removal, code: str | None = None, *, trusted: bool = False) -> Any:
    """Return a builder that trains the model again on data sets without the removed configurations.

    The builder is that of the ``TrainingWorkChain`` that trained the model, or of the calculation if it was not run by
    one. The data sets are created again by the calcfunctions that created them; all other inputs are unchanged.

    :param code: label of the code of the training, if only the calculation is run; by default that of the model.
    :param trusted: whether shell text that came with an imported training may run.
    :raises InputError: if the training of the model started from another model that was trained on removed data, or it
        holds shell text that is not trusted.
    """
    first = attempts_of(training_of(removal.model))[0]
    caller = _training_work_chain(first)
    inputs: Any = caller.inputs if caller is not None else first.inputs
    # The model that a prolongation started from is trained again within the work chain.
    of_training = inputs.training if caller is not None else inputs
    initial = of_training.initial_potential if "initial_potential" in of_training else None
    if initial is not None and _was_trained_on_removed(initial.pk, removal):
        raise InputError(
            f"the training <{first.pk}> started from the model <{initial.pk}>, which was trained on removed "
            f"configurations; retrain that first: `aiida-sicmlip retrain {initial.pk} --without ...`."
        )
    used = usable_code(first.inputs.code, code) if caller is None else None
    if not trusted:
        # Before a data set is made.
        require_trust(caller or first, used)
    done: dict[int, _Filtered] = {}
    sets = {name: _filtered(getattr(inputs, name), removal, done)[0] for name in SETS}
    training_set = sets["training_set"]
    # `plan_removal` refuses to remove all configurations of a set.
    assert training_set is not None
    settings = settings_in_steps(first, training_set)
    replaced = {} if settings is None else {"parameters": settings}
    builder = restart_builder(caller or first, replaced if caller is None else {"training": replaced}, trusted=True)
    for name, dataset in sets.items():
        builder[name] = dataset
    if caller is not None:
        further = inputs.further_sets if "further_sets" in inputs else {}
        filtered = {name: _filtered(further[name], removal, done)[0] for name in further}
        builder.further_sets = {name: dataset for name, dataset in filtered.items() if dataset is not None}
        # The prior depends on the old training set; without it, the work chain fits a new one if the model needs it.
        if "prior" in builder.training and builder.training.prior.creator is not None:
            builder.training.pop("prior")
    else:
        builder.code = used
        builder.metadata.pop("call_link_label", None)
        if "prior" in first.inputs and first.inputs.prior.creator is not None:
            fit = first.inputs.prior.creator.inputs
            builder.prior = fit_lennard_jones_prior(sets["training_set"], fit.settings)
    builder.metadata.label = f"retraining of <{removal.model.pk}>"
    return builder


def retrained_model(process: orm.ProcessNode, model: PotentialData) -> PotentialData:
    """Return the model of a retraining that corresponds to ``model``: of a committee, the same member."""
    links = model.base.links.get_incoming(link_type=LinkType.RETURN).all()
    names = [link.link_label for link in links if link.node.process_type == TRAINING]
    outputs = process.base.links.get_outgoing(link_type=(LinkType.CREATE, LinkType.RETURN)).all()
    models = {link.link_label: link.node for link in outputs}
    return models[names[0] if names and names[0] in models else "potential"]


def _filtered(dataset: LabelledDataSetData, removal: Removal, done: dict[int, _Filtered]) -> _Filtered:
    """Return a data set without the removed configurations, and the indices of the original one that remain.

    A data set without removed configurations is returned as it is. Others are created again, from the sets that they
    were created from, by the calcfunctions that created them.

    :param done: results for earlier data sets, by PK.
    """
    if dataset.pk not in done:
        done[dataset.pk] = _filter(dataset, removal, done)
    return done[dataset.pk]


def _filter(dataset: LabelledDataSetData, removal: Removal, done: dict[int, _Filtered]) -> _Filtered:
    """Compute the result of :func:`_filtered`."""
    all_indices = list(range(dataset.n_frames))
    creator = dataset.creator
    if creator is None:
        return dataset, all_indices
    links = creator.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()
    inputs = {link.link_label: link.node for link in links}
    if "file" in inputs:
        return (None, []) if inputs["file"].pk in removal.files else (dataset, all_indices)
    if {"dataset", "places"} <= set(inputs):
        return _filtered_subset(dataset, inputs, removal, done)
    if dataset_label(0) in inputs:
        return _filtered_merge(dataset, inputs, removal, done)
    return _filtered_extension(dataset, inputs, removal, done)


def _filtered_subset(
    dataset: LabelledDataSetData, inputs: Mapping[str, Any], removal: Removal, done: dict[int, _Filtered]
) -> _Filtered:
    """Return the result of :func:`_filtered` for a data set that ``subset_dataset`` created."""
    parent, parent_indices = _filtered(inputs["dataset"], removal, done)
    if parent is None:
        return None, []
    if parent.pk == inputs["dataset"].pk:
        return dataset, list(range(dataset.n_frames))
    picked = inputs["places"].get_list()
    remaining = [index for index, in_parent in enumerate(picked) if in_parent in parent_indices]
    new_indices = [parent_indices.index(picked[index]) for index in remaining]
    if len(new_indices) == parent.n_frames:
        return parent, remaining
    return (subset_dataset(parent, orm.List(new_indices)), remaining) if new_indices else (None, [])


def _filtered_merge(
    dataset: LabelledDataSetData, inputs: Mapping[str, Any], removal: Removal, done: dict[int, _Filtered]
) -> _Filtered:
    """Return the result of :func:`_filtered` for a data set that ``merge_datasets`` created."""
    parts, remaining, start = [], [], 0
    for label in sorted(inputs, key=index_of_dataset):
        part, part_indices = _filtered(inputs[label], removal, done)
        remaining += [start + index for index in part_indices]
        start += inputs[label].n_frames
        if part is not None:
            parts.append(part)
    if {part.pk for part in parts} == {node.pk for node in inputs.values()}:
        return dataset, remaining
    if len(parts) < 2:
        return (parts[0], remaining) if parts else (None, [])
    return merge_datasets(**{dataset_label(index): part for index, part in enumerate(parts)}), remaining


def _filtered_extension(
    dataset: LabelledDataSetData, inputs: Mapping[str, Any], removal: Removal, done: dict[int, _Filtered]
) -> _Filtered:
    """Return the result of :func:`_filtered` for a data set that ``extend_dataset`` created from labels."""
    original = inputs.get("previous")
    previous, remaining = _filtered(original, removal, done) if original is not None else (None, [])
    labels = {name: node for name, node in inputs.items() if name.startswith("label_")}
    remaining_labels = [name for name in sorted(labels) if labels[name].pk not in removal.labels]
    start = original.n_frames if original is not None else 0
    remaining = remaining + [start + index for index, name in enumerate(sorted(labels)) if name in remaining_labels]
    unchanged = previous is None if original is None else previous is not None and previous.pk == original.pk
    if unchanged and len(remaining_labels) == len(labels):
        return dataset, remaining
    if not remaining_labels:
        return previous, remaining
    first = previous.n_frames if previous is not None else 0
    new_labels = {label_of_index(first + index): labels[name] for index, name in enumerate(remaining_labels)}
    extended = {} if previous is None else {"previous": previous}
    return extend_dataset(inputs["level_of_theory"], **extended, **new_labels), remaining


def _nodes_of(configuration: Configuration) -> set[int]:
    """Return the PKs of the nodes that a configuration depends on; see :func:`plan_removal`."""
    return {pk for name in NODES if (pk := getattr(configuration, name)) is not None}


def _was_trained_on_removed(pk: int, removal: Removal) -> bool:
    """Return whether the node is a model whose own data sets contain removed configurations."""
    node = orm.load_node(pk)
    if not isinstance(node, PotentialData) or node.creator is None:
        return False
    return any(
        removal.removes(source.label, source.file)
        for name in SETS
        if name in node.creator.inputs
        for source in labels_of_dataset(node.creator.inputs[name])
    )


def _training_work_chain(calculation: orm.CalcJobNode) -> Any:
    """Return the ``TrainingWorkChain`` that ran a training calculation; None if there is none."""
    caller = calculation.caller
    while caller is not None and caller.process_type != TRAINING:
        caller = caller.caller
    return caller
