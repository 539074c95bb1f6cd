"""Validation of the inputs of the active-learning loop."""

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
from aiida_sicmlip.science.evaluation.calibration import CalibrationSettings
from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria
from aiida_sicmlip.science.evaluation.final_run import FinalRunSettings
from aiida_sicmlip.science.selection.settings import SelectionSettings, require_enough_frames
from aiida_sicmlip.science.training.settings import TrainingParameters
from aiida_sicmlip.workflows.active_learning.continuation import require_usable_sets
from aiida_sicmlip.workflows.exploration.validation import validate_exploration, walker_parameters
from aiida_sicmlip.workflows.labelling.labelling import LabellingWorkChain
from aiida_sicmlip.workflows.training.validation import require_fitted_prior

LABELS_OF_A_ROUND = 2
"""Minimum number of labels of a first round: one for training, one for validation."""


def require_bonds_within_cutoff(training: Mapping[str, Any], structures: Mapping[str, orm.StructureData]) -> None:
    """Raise :class:`InputError` if the cutoff of the model is shorter than the bonds of a start structure.

    :param training: settings of the training; missing settings take their defaults.
    """
    cutoff = TrainingParameters.from_mapping(training).model.cutoff
    for name, structure in structures.items():
        nearest = nearest_distance(structure.get_ase())
        if cutoff <= nearest:
            raise InputError(
                f"`training.parameters.model.cutoff` is {cutoff:g} A, but the nearest atoms of `structures.{name}` are "
                f"{nearest:.2f} A apart: no atom would have neighbours. Give a cutoff of several bond lengths, "
                "such as 5 A."
            )


def require_known_species(potential: PotentialData, structures: Mapping[str, orm.StructureData]) -> None:
    """Raise :class:`InputError` if the initial model does not support an element of a start structure."""
    for name, structure in structures.items():
        if unknown := sorted(set(structure.get_symbols_set()) - set(potential.species)):
            raise InputError(
                f"`structures.{name}` contains {', '.join(unknown)}, which `training.initial_potential` "
                f"<{potential.pk}> does not support (it supports {', '.join(potential.species)}): start from a model "
                "that does, or from scratch."
            )


def require_something_to_train_on(settings: SelectionSettings, walkers: Mapping[str, int]) -> None:
    """Raise :class:`InputError` if an unknown structure is held out, or nothing is left to train on.

    :param walkers: number of walkers of each start structure, by name.
    """
    for name in settings.held_out_structures:
        if name not in walkers:
            raise InputError(
                f"`selection.parameters.held_out_structures` contains `{name}`, which is not a start structure. "
                f"{nearest_name(name, walkers)}"
            )
    others = sum(count for name, count in walkers.items() if name not in settings.held_out_structures)
    if settings.held_out_trajectories >= others:
        raise InputError(
            f"`selection.parameters` holds out {settings.held_out_trajectories} trajectories per round, but the "
            f"exploration provides only {others} of structures that are trained on. Hold out fewer, or run more "
            "walkers."
        )


def require_centres(
    settings: SelectionSettings, structures: Mapping[str, orm.StructureData], hosts: Mapping[str, orm.StructureData]
) -> None:
    """Raise :class:`InputError` if the centres of the descriptors are not defined for a start structure."""
    if not isinstance(settings.centres, str):
        for name, structure in structures.items():
            if max(settings.centres) >= len(structure.sites):
                raise InputError(
                    f"`selection.parameters.centres` contains atom {max(settings.centres)}, but `structures.{name}` "
                    f"has atoms 0 to {len(structure.sites) - 1}: give indices that are valid for all start structures."
                )
    needing = {"centres: defect": settings.centres == "defect", "hop_share": settings.hop_share > 0}
    reasons = [f"`selection.parameters.{name}`" for name, needs in needing.items() if needs]
    if not reasons:
        return
    for name in sorted(set(structures) - set(hosts)):
        try:
            infer_host([structures[name].get_ase()])
        except InputError as error:
            raise InputError(
                f"`structures.{name}` has no host, which {reasons[0]} requires, and it cannot be inferred from the "
                f"structure: {error} Or set `centres` to `all` and `hop_share` to 0."
            ) from error


def require_window_above(settings: SelectionSettings, exploration: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` if a calibration could put the upper bound of the window below the lower one.

    :param exploration: inputs of the exploration.
    """
    if settings.min_disagreement is None or "calibration" not in exploration:
        return
    smallest = CalibrationSettings.from_mapping(exploration["calibration"].get_dict()).smallest
    if settings.min_disagreement >= smallest:
        raise InputError(
            f"`selection.parameters.min_disagreement` is {settings.min_disagreement:g} eV/A, but frames may be picked "
            f"up to the disagreement that the calibration of a round gives, which may be as low as "
            f"`exploration.calibration.smallest`, {smallest:g} eV/A: lower the first, or raise the second."
        )


def require_known_defects(
    criteria: ConvergenceCriteria, structures: Mapping[str, Any], hosts: Mapping[str, Any]
) -> None:
    """Raise :class:`InputError` if a criterion requires defect types, and a start structure has no host."""
    missing = sorted(set(structures) - set(hosts))
    if criteria.rounds_without_new_defects is not None and missing:
        raise InputError(
            f"`convergence.rounds_without_new_defects` is {criteria.rounds_without_new_defects}, but `structures."
            f"{missing[0]}` has no host to identify its defects: give `host` in addition to `node`, or remove the "
            "criterion."
        )


def require_frames_to_label(final_run: Mapping[str, Any], structures: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` if the free runs of a final run cannot be run, or give fewer frames than labels."""
    settings = FinalRunSettings.from_mapping(final_run["parameters"].get_dict())
    for name in structures:
        for node in final_run.get("walker_parameters", {}).get(name, {}).values():
            try:
                run = ExplorationSettings.from_mapping(node.get_dict())
            except InputError as error:
                raise InputError(f"for `final_run` from `structures.{name}`: {error}") from error
            if run.n_frames <= settings.n_labels:
                raise InputError(
                    f"`final_run.n_labels` is {settings.n_labels}, but a run of {run.production:g} ps keeps a frame "
                    f"each {run.frame_interval:g} ps: ask for fewer labels, or make `final_run.production` longer."
                )


def require_labels_for_a_round(budget: Budget) -> None:
    """Raise :class:`InputError` if the budget does not suffice for the labels of the smallest round."""
    if budget.labels is not None and budget.labels < LABELS_OF_A_ROUND:
        raise InputError(
            f"`budget.labels` is {budget.labels}, but a first round labels at least one configuration for training and "
            f"one for validation: give at least {LABELS_OF_A_ROUND}."
        )


def validate_loop(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Validate the inputs of an ``ActiveLearningWorkChain``."""
    exploration = dict(inputs.get("exploration", {}))
    structures = inputs.get("structures", {})
    shared: dict[str, Any] = {name: inputs[name] for name in ("structures", "hosts") if name in inputs}
    if "bootstrap_potential" in inputs:
        shared["potential"] = inputs["bootstrap_potential"]
    message = validate_exploration({**exploration, **shared})
    if message:
        return message.replace("`potential`", "`bootstrap_potential`")
    message = LabellingWorkChain.validate_inputs({**inputs.get("labelling", {}), "structures": structures}, None)
    if message:
        return message
    try:
        conditions = {
            name: [ExplorationSettings.from_mapping(node.get_dict()) for node in walker_parameters(name, exploration)]
            for name in structures
        }
        if not all(conditions.values()):
            return None
        explored = [settings for of_structure in conditions.values() for settings in of_structure]
        if not all(settings.retrieve_trajectory for settings in explored):
            raise InputError(
                "`exploration.parameters.retrieve_trajectory` is false, but frames to label are picked from the "
                "trajectories; set it to true."
            )
        selected = SelectionSettings.from_mapping(inputs["selection"]["parameters"].get_dict())
        walkers = exploration["walkers"].value
        require_something_to_train_on(
            selected, {name: walkers * len(of_structure) for name, of_structure in conditions.items()}
        )
        segments = [(settings.n_frames, settings.frame_interval) for settings in explored]
        require_enough_frames(selected, walkers * segments)
        require_window_above(selected, exploration)
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
        if "final_run" in inputs:
            require_frames_to_label(inputs["final_run"], structures)
    except InputError as error:
        return str(error)
    except KeyError:
        return None
    return None
