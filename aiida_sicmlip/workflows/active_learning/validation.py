"""What is wrong with the inputs of the loop, in sentences, before any compute is spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_sicmlip.calculations.training_checks import check_training
from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.science.costs.budgets import Budget
from aiida_sicmlip.science.defects.crystals import nearest_distance
from aiida_sicmlip.science.defects.host_search import infer_host
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria
from aiida_sicmlip.science.selection.settings import SelectionSettings, require_enough_frames
from aiida_sicmlip.science.training.settings import TrainingParameters
from aiida_sicmlip.workflows.active_learning.continuation import require_usable_sets
from aiida_sicmlip.workflows.exploration.validation import validate_exploration, walker_parameters
from aiida_sicmlip.workflows.labelling.labelling import LabellingWorkChain
from aiida_sicmlip.workflows.training.validation import require_fitted_prior

LABELS_OF_A_ROUND = 2
"""One to train on, and one to validate with."""


def require_bonds_within_cutoff(training: Mapping[str, Any], structures: Mapping[str, orm.StructureData]) -> None:
    """Raise :class:`InputError` where the model's cutoff is so short that it sees no neighbours in a start structure.

    :param training: settings of the training; what is left out has its default.
    """
    cutoff = TrainingParameters.from_mapping(training).model.cutoff
    for name, structure in structures.items():
        nearest = nearest_distance(structure.get_ase())
        if cutoff <= nearest:
            raise InputError(
                f"`training.parameters.model.cutoff` is {cutoff:g} A, but the nearest atoms of `structures.{name}` are "
                f"{nearest:.2f} A apart: the model would see no neighbours. Give a cutoff of several bond lengths, "
                "such as 5 A."
            )


def require_known_species(potential: PotentialData, structures: Mapping[str, orm.StructureData]) -> None:
    """Raise :class:`InputError` where the model that trainings start from does not know an element."""
    for name, structure in structures.items():
        if strangers := sorted(set(structure.get_symbols_set()) - set(potential.species)):
            raise InputError(
                f"`structures.{name}` holds {', '.join(strangers)}, which `training.initial_potential` "
                f"<{potential.pk}> does not know (it knows {', '.join(potential.species)}): start from one that does, "
                "or from scratch."
            )


def require_something_to_train_on(settings: SelectionSettings, walkers: Mapping[str, int]) -> None:
    """Raise :class:`InputError` where structures are held out that there are not, or nothing is left to train on.

    :param walkers: from each start structure, by its name.
    """
    for name in settings.held_out_structures:
        if name not in walkers:
            raise InputError(
                f"`selection.parameters.held_out_structures` names `{name}`, which is no start structure. "
                f"{nearest_name(name, walkers)}"
            )
    others = sum(count for name, count in walkers.items() if name not in settings.held_out_structures)
    if settings.held_out_trajectories >= others:
        raise InputError(
            f"`selection.parameters` holds {settings.held_out_trajectories} trajectories a round out, and exploration "
            f"gives {others} of structures that are trained on: nothing would be left. Hold out fewer, or explore with "
            "more walkers."
        )


def require_centres(
    settings: SelectionSettings, structures: Mapping[str, orm.StructureData], hosts: Mapping[str, orm.StructureData]
) -> None:
    """Raise :class:`InputError` where nobody knows which atoms of a structure the frames are compared by."""
    if not isinstance(settings.centres, str):
        for name, structure in structures.items():
            if max(settings.centres) >= len(structure.sites):
                raise InputError(
                    f"`selection.parameters.centres` names atom {max(settings.centres)}, but `structures.{name}` has "
                    f"atoms 0 to {len(structure.sites) - 1}: give atoms that all start structures have."
                )
    if settings.centres != "defect":
        return
    for name in sorted(set(structures) - set(hosts)):
        try:
            infer_host([structures[name].get_ase()])
        except InputError as error:
            raise InputError(
                f"`structures.{name}` has no host, which `selection.parameters.centres: defect` needs, and none is "
                f"found from the structure: {error} Or set `centres` to `all`."
            ) from error


def require_known_defects(
    criteria: ConvergenceCriteria, structures: Mapping[str, Any], hosts: Mapping[str, Any]
) -> None:
    """Raise :class:`InputError` where a criterion needs the types of defects, and hosts are missing to tell them by."""
    missing = sorted(set(structures) - set(hosts))
    if criteria.rounds_without_new_defects is not None and missing:
        raise InputError(
            f"`convergence.rounds_without_new_defects` is {criteria.rounds_without_new_defects}, but `structures."
            f"{missing[0]}` has no host, without which its defects are not told: give `host` beside `node`, or leave "
            "the criterion out."
        )


def require_labels_for_a_round(budget: Budget) -> None:
    """Raise :class:`InputError` where a budget does not hold the labels of the smallest round."""
    if budget.labels is not None and budget.labels < LABELS_OF_A_ROUND:
        raise InputError(
            f"`budget.labels` is {budget.labels}, but a first round labels at least one configuration for training and "
            f"one for validation: give {LABELS_OF_A_ROUND} at least."
        )


def validate_loop(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Say what is wrong with the inputs of an ``ActiveLearningWorkChain``, as far as they are known at its start."""
    exploration = dict(inputs.get("exploration", {}))
    structures = inputs.get("structures", {})
    given: dict[str, Any] = {name: inputs[name] for name in ("structures", "hosts") if name in inputs}
    if "bootstrap_potential" in inputs:
        given["potential"] = inputs["bootstrap_potential"]
    sentence = validate_exploration({**exploration, **given})
    if sentence:
        return sentence.replace("`potential`", "`bootstrap_potential`")
    sentence = LabellingWorkChain.validate_inputs({**inputs.get("labelling", {}), "structures": structures}, None)
    if sentence:
        return sentence
    try:
        conditions = {
            name: [ExplorationSettings.from_mapping(node.get_dict()) for node in walker_parameters(name, exploration)]
            for name in structures
        }
        if not all(conditions.values()):
            return None
        explored = [settings for given in conditions.values() for settings in given]
        if not all(settings.retrieve_trajectory for settings in explored):
            raise InputError(
                "`exploration.parameters.retrieve_trajectory` is false, but the frames that are labelled are "
                "picked from the trajectories; retrieve them."
            )
        selected = SelectionSettings.from_mapping(inputs["selection"]["parameters"].get_dict())
        walkers = exploration["walkers"].value
        require_something_to_train_on(selected, {name: walkers * len(given) for name, given in conditions.items()})
        segments = [(settings.n_frames, settings.frame_interval) for settings in explored]
        require_enough_frames(selected, walkers * segments)
        training = inputs["training"]["training"]
        require_bonds_within_cutoff(training["parameters"].get_dict(), structures)
        check_training(training, fits_prior=True)
        require_fitted_prior(inputs["training"])
        if "initial_potential" in training:
            require_known_species(training["initial_potential"], structures)
        require_centres(selected, structures, inputs.get("hosts", {}))
        require_usable_sets(inputs)
        require_labels_for_a_round(Budget.from_mapping(inputs["budget"].get_dict()))
        criteria = ConvergenceCriteria.from_mapping(inputs["convergence"].get_dict())
        require_known_defects(criteria, structures, inputs.get("hosts", {}))
    except InputError as error:
        return str(error)
    except KeyError:
        return None
    return None
