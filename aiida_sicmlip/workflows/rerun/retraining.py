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
from aiida_sicmlip.tools.lineage import Configuration, configurations_of_dataset, labels_of_dataset
from aiida_sicmlip.tools.potentials import training_of
from aiida_sicmlip.workflows.rerun.reproduction import attempts_of, usable_code

SETS = ("training_set", "validation_set")
NODES = (
    *("label", "calculation", "structure", "selection", "trajectory", "exploration", "potential", "model"),
    *("collective_variables", "run", "file"),
)
"""Fields of a configuration that name what a model can be trained without."""


@dataclass(frozen=True)
class Removal:
    """What would be left out of a model's data.

    model: the model.
    labels: PKs of the labels to leave out.
    files: PKs of the imported files to leave out.
    left_out: by name of the set, the indices of what is left out.
    remaining: by name of the set, how many configurations stay.
    descended: how many of the configurations that stay were picked from trajectories of potentials that had learned
        from what is left out.
    """

    model: PotentialData
    labels: frozenset[int]
    files: frozenset[int]
    left_out: dict[str, list[int]] = field(default_factory=dict)
    remaining: dict[str, int] = field(default_factory=dict)
    descended: int = 0

    def concerns(self, label: int | None, file: int | None) -> bool:
        """Whether a configuration with such a label, or from such a file, is left out."""
        return label in self.labels or (label is None and file in self.files)


def plan_removal(model: PotentialData, without: Collection[orm.Node]) -> Removal:
    """Return what is left out of the sets of ``model`` where nothing may depend on the given nodes.

    :param without: labels, their calculations or structures, selections, trajectories and what made them, imported
        files, or potentials that drove explorations.
    :raises InputError: if a node concerns neither set, or nothing would stay in one.
    """
    training = training_of(model)
    sets = {name: getattr(training.inputs, name) for name in SETS}
    found = {name: configurations_of_dataset(dataset) for name, dataset in sets.items()}
    concerned: list[Configuration] = []
    for node in without:
        of_node = [entry for every in found.values() for entry in every if node.pk in _nodes_of(entry)]
        if not of_node:
            raise InputError(
                f"no configuration of the training and validation sets of model <{model.pk}> depends on node "
                f"<{node.pk}>; `aiida-sicmlip dataset show {sets['training_set'].pk} --all` lists what they depend on."
            )
        concerned += of_node
    labels = frozenset(entry.label for entry in concerned if entry.label is not None)
    files = frozenset(entry.file for entry in concerned if entry.label is None and entry.file is not None)
    removal = Removal(model, labels, files)
    drivers: list[int] = []
    for name, dataset in sets.items():
        staying = [entry for entry in found[name] if not removal.concerns(entry.label, entry.file)]
        if not staying:
            raise InputError(
                f"nothing of the {name.replace('_', ' ')} <{dataset.pk}> would stay; leave out less, or train by hand "
                "with another set."
            )
        kept = {entry.index for entry in staying}
        removal.left_out[name] = [index for index in range(dataset.n_frames) if index not in kept]
        removal.remaining[name] = len(staying)
        drivers += [entry.model for entry in staying if entry.model is not None]
    taught = {pk for pk in set(drivers) if _learned_from(pk, removal)}
    return replace(removal, descended=sum(pk in taught for pk in drivers))


def retraining_builder(removal: Removal, code: str | None = None) -> Any:
    """Return a builder that trains the model again on data sets that are created again without what is left out.

    It is that of the ``TrainingWorkChain`` that trained the model, or of the calculation alone where none did. All
    other inputs are those of that training, as only the data must differ; no protocol is used.

    :param code: name of the code to train with, where only the calculation is run; the one of before by default.
    :raises InputError: if the model goes on from another one that learned from what is left out.
    """
    first = attempts_of(training_of(removal.model))[0]
    initial = first.inputs.initial_potential if "initial_potential" in first.inputs else None
    if initial is not None and _learned_from(initial.pk, removal):
        raise InputError(
            f"the training <{first.pk}> went on from the model <{initial.pk}>, which learned from what is to be left "
            f"out; retrain that first: `aiida-sicmlip retrain {initial.pk} --without ...`."
        )
    made: dict[int, tuple[LabelledDataSetData | None, list[int]]] = {}
    caller = _training_work_chain(first)
    inputs: Any = caller.inputs if caller is not None else first.inputs
    sets = {name: _remade(getattr(inputs, name), removal, made)[0] for name in SETS}
    builder = (caller or first).get_builder_restart()
    for name, dataset in sets.items():
        builder[name] = dataset
    if caller is not None:
        further = inputs.further_sets if "further_sets" in inputs else {}
        kept = {name: _remade(further[name], removal, made)[0] for name in further}
        builder.further_sets = {name: dataset for name, dataset in kept.items() if dataset is not None}
        # A prior that was fitted to the old set knows it; without one, the work chain fits its own where one is wanted.
        if "prior" in builder.training and builder.training.prior.creator is not None:
            builder.training.pop("prior")
    else:
        builder.code = usable_code(first.inputs.code, code)
        builder.metadata.pop("call_link_label", None)
        if "prior" in first.inputs and first.inputs.prior.creator is not None:
            fit = first.inputs.prior.creator.inputs
            builder.prior = fit_lennard_jones_prior(sets["training_set"], fit.settings)
    builder.metadata.label = f"retraining of <{removal.model.pk}>"
    return builder


def counterpart(process: orm.ProcessNode, model: PotentialData) -> PotentialData:
    """Return the model that a retraining made instead of ``model``: of a committee, the same member."""
    links = model.base.links.get_incoming(link_type=LinkType.RETURN).all()
    names = [link.link_label for link in links if link.node.process_type == TRAINING]
    made = process.base.links.get_outgoing(link_type=(LinkType.CREATE, LinkType.RETURN)).all()
    models = {link.link_label: link.node for link in made}
    return models[names[0] if names and names[0] in models else "potential"]


def _remade(
    dataset: LabelledDataSetData, removal: Removal, made: dict[int, tuple[LabelledDataSetData | None, list[int]]]
) -> tuple[LabelledDataSetData | None, list[int]]:
    """Return a data set without what is left out, and the indices of the old one that it holds.

    What does not descend from it stays as it is; the rest is made again, step by step, by the functions that made it.

    :param made: what was made before, by PK of the old data set.
    """
    if dataset.pk not in made:
        made[dataset.pk] = _remake(dataset, removal, made)
    return made[dataset.pk]


def _remake(
    dataset: LabelledDataSetData, removal: Removal, made: dict[int, tuple[LabelledDataSetData | None, list[int]]]
) -> tuple[LabelledDataSetData | None, list[int]]:
    """Do the work of :func:`_remade` for a data set that is met for the first time."""
    everything = list(range(dataset.n_frames))
    creator = dataset.creator
    if creator is None:
        return dataset, everything
    links = creator.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()
    inputs = {link.link_label: link.node for link in links}
    if "file" in inputs:
        return (None, []) if inputs["file"].pk in removal.files else (dataset, everything)
    if {"dataset", "places"} <= set(inputs):
        parent, held = _remade(inputs["dataset"], removal, made)
        if parent is None or parent.pk == inputs["dataset"].pk:
            return (dataset, everything) if parent is not None else (None, [])
        wanted = inputs["places"].get_list()
        kept = [here for here, index in enumerate(wanted) if index in held]
        indices = [held.index(wanted[here]) for here in kept]
        if len(indices) == parent.n_frames:
            return parent, kept
        return (subset_dataset(parent, orm.List(indices)), kept) if indices else (None, [])
    if dataset_label(0) in inputs:
        return _remerged(dataset, inputs, removal, made)
    return _regrown(dataset, inputs, removal, made)


def _remerged(
    dataset: LabelledDataSetData,
    inputs: Mapping[str, Any],
    removal: Removal,
    made: dict[int, tuple[LabelledDataSetData | None, list[int]]],
) -> tuple[LabelledDataSetData | None, list[int]]:
    """Return what :func:`_remade` does for a data set that was merged from others."""
    parts, kept, start = [], [], 0
    for label in sorted(inputs, key=index_of_dataset):
        part, held = _remade(inputs[label], removal, made)
        kept += [start + index for index in held]
        start += inputs[label].n_frames
        if part is not None:
            parts.append(part)
    if {part.pk for part in parts} == {node.pk for node in inputs.values()}:
        return dataset, kept
    if len(parts) < 2:
        return (parts[0], kept) if parts else (None, [])
    return merge_datasets(**{dataset_label(index): part for index, part in enumerate(parts)}), kept


def _regrown(
    dataset: LabelledDataSetData,
    inputs: Mapping[str, Any],
    removal: Removal,
    made: dict[int, tuple[LabelledDataSetData | None, list[int]]],
) -> tuple[LabelledDataSetData | None, list[int]]:
    """Return what :func:`_remade` does for a data set that was begun or extended by labels."""
    earlier = inputs.get("previous")
    previous, kept = _remade(earlier, removal, made) if earlier is not None else (None, [])
    labels = {name: node for name, node in inputs.items() if name.startswith("label_")}
    staying = [name for name in sorted(labels) if labels[name].pk not in removal.labels]
    start = earlier.n_frames if earlier is not None else 0
    kept = kept + [start + index for index, name in enumerate(sorted(labels)) if name in staying]
    unchanged = previous is None if earlier is None else previous is not None and previous.pk == earlier.pk
    if unchanged and len(staying) == len(labels):
        return dataset, kept
    if not staying:
        return previous, kept
    first = previous.n_frames if previous is not None else 0
    indices = {label_of_index(first + index): labels[name] for index, name in enumerate(staying)}
    given = {} if previous is None else {"previous": previous}
    return extend_dataset(inputs["level_of_theory"], **given, **indices), kept


def _nodes_of(entry: Configuration) -> set[int]:
    """Return the PKs of what a configuration depends on in the sense of :func:`plan_removal`."""
    return {pk for name in NODES if (pk := getattr(entry, name)) is not None}


def _learned_from(pk: int, removal: Removal) -> bool:
    """Whether the node is a model whose own sets hold something that is left out."""
    node = orm.load_node(pk)
    if not isinstance(node, PotentialData) or node.creator is None:
        return False
    return any(
        removal.concerns(source.label, source.file)
        for name in SETS
        if name in node.creator.inputs
        for source in labels_of_dataset(node.creator.inputs[name])
    )


def _training_work_chain(calculation: orm.CalcJobNode) -> Any:
    """Return the work chain that trained, compiled and evaluated a model, or None."""
    caller = calculation.caller
    while caller is not None and caller.process_type != TRAINING:
        caller = caller.caller
    return caller
