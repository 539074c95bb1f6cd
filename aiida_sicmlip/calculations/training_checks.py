"""Validation of the inputs of a training at submission."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.science.labels.comparison import geometry_key
from aiida_sicmlip.science.labels.states import require_one_surface
from aiida_sicmlip.science.training.earlier_settings import settings_in_steps
from aiida_sicmlip.science.training.nequip_config import check_prior
from aiida_sicmlip.science.training.settings import TrainingParameters

TRAINED_WITH = ("parameters", "seed", "training_set", "validation_set", "prior", "initial_potential")
"""Inputs that decide the numbers of a training; it goes on with the same ones alone."""


def prior_is_wanted(parameters: Mapping[str, Any]) -> bool:
    """Return whether the settings of a training ask for a Lennard-Jones prior."""
    return (parameters.get("model") or {}).get("pair_potential") == "lennard-jones"


def check_training(inputs: Mapping[str, Any], fits_prior: bool = False) -> None:
    """Raise :class:`InputError` where inputs of a training contradict each other, as far as they are there.

    :param fits_prior: whether a prior that is asked for and missing is fitted by who asks.
    """
    potential = inputs.get("initial_potential")
    if "parameters" in inputs:
        if potential is not None:
            _check_initial_potential(potential, inputs["parameters"].get_dict(), inputs.get("prior"))
        else:
            _check_prior(inputs, fits_prior)
    if "training_set" in inputs and "validation_set" in inputs:
        _check_sets(inputs["training_set"], inputs["validation_set"], potential)
        if "checkpoint" in inputs:
            _check_checkpoint(inputs)


def _check_prior(inputs: Mapping[str, Any], fits_prior: bool) -> None:
    """Raise where a prior is missing, or is there and does not fit the model."""
    parameters, prior = inputs["parameters"].get_dict(), inputs.get("prior")
    if prior is None:
        # The namespace of a work chain that fits one itself is checked without the data sets, too.
        if prior_is_wanted(parameters) and "training_set" in inputs and not fits_prior:
            raise InputError(
                "`model.pair_potential` is lennard-jones: give the `prior`, fitted with `fit_lennard_jones_prior`."
            )
        return
    species = inputs["training_set"].species if "training_set" in inputs else list(prior.prior().species)
    check_prior({**TrainingParameters.complete(parameters), "species": species}, prior.prior())


def _check_initial_potential(potential: PotentialData, parameters: Mapping[str, Any], prior: orm.Data | None) -> None:
    """Raise where settings say another thing of the model than the one that is there already."""
    if prior is not None:
        raise InputError(
            f"there are a `prior` and an `initial_potential` <{potential.pk}>, which carries its own prior where it "
            "has one: leave the `prior` out."
        )
    stored = _model_settings(potential)
    for name, value in (parameters.get("model") or {}).items():
        if name not in stored:
            raise InputError(
                f"`model.{name}` is given, but the model comes from `initial_potential` <{potential.pk}>, with its "
                "own: leave it out."
            )
        if value != stored[name]:
            raise InputError(
                f"`model.{name}` is {value}, but `initial_potential` <{potential.pk}> was made with {stored[name]}: "
                "leave it out, or train from scratch."
            )


def _model_settings(potential: PotentialData) -> dict[str, Any]:
    """Return what is known of the settings of a model: all that were trained here, its cutoff elsewhere."""
    root = potential
    while (creator := _training_of(root)) is not None and "initial_potential" in creator.inputs:
        root = creator.inputs.initial_potential
    creator = _training_of(root)
    if creator is None:
        return {"cutoff": potential.cutoff}
    return _model_of(creator.inputs.parameters.get_dict())


def _model_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the complete settings of a model; those that stand beside a number of passes have earlier defaults."""
    if "maximum_epochs" in parameters:
        parameters = settings_in_steps(parameters, n_frames=1)
    model: dict[str, Any] = TrainingParameters.complete(parameters)["model"]
    return model


def _training_of(potential: PotentialData) -> orm.ProcessNode | None:
    """Return the training that made a potential, where one did."""
    creator = potential.creator
    return creator if creator is not None and "parameters" in creator.inputs else None


def _check_sets(
    training: LabelledDataSetData, validation: LabelledDataSetData, potential: PotentialData | None
) -> None:
    """Raise where the sets do not fit each other, or hold what the model would not know."""
    if potential is not None:
        for name, dataset in (("training", training), ("validation", validation)):
            if unknown := sorted(set(dataset.species) - set(potential.species)):
                raise InputError(
                    f"the {name} set <{dataset.pk}> holds {', '.join(unknown)}, which `initial_potential` "
                    f"<{potential.pk}> does not know (it knows {', '.join(potential.species)}): train from scratch, or "
                    "start from a model that knows them all."
                )
    elif unknown := sorted(set(validation.species) - set(training.species)):
        raise InputError(
            f"the validation set <{validation.pk}> holds {', '.join(unknown)}, which the training set "
            f"<{training.pk}> does not: the model would not know them."
        )
    sets = {"training": training, "validation": validation}
    surfaces = {f"the {name} set <{dataset.pk}>": dataset.surfaces for name, dataset in sets.items()}
    require_one_surface(surfaces, "a training")
    seen = {geometry_key(frame): index for index, frame in enumerate(_frames(training, "training"))}
    for index, frame in enumerate(_frames(validation, "validation")):
        if geometry_key(frame) in seen:
            raise InputError(
                f"configuration {index} of the validation set <{validation.pk}> is configuration "
                f"{seen[geometry_key(frame)]} of the training set <{training.pk}>; validation frames are never "
                "training frames."
            )


def _frames(dataset: LabelledDataSetData, name: str) -> list[Any]:
    """Return the configurations of a set; an error names the set."""
    try:
        return dataset.frames()
    except InputError as error:
        raise InputError(f"nothing can be learned from the {name} set <{dataset.pk}>: {error}") from error


def _check_checkpoint(inputs: Mapping[str, Any]) -> None:
    """Raise where a training would go on with other inputs than the one that left the checkpoint had."""
    checkpoint = inputs["checkpoint"]
    creator = checkpoint.creator
    if creator is None:
        return
    earlier_inputs = creator.base.links.get_incoming(link_type=LinkType.INPUT_CALC).nested()
    for name in TRAINED_WITH:
        before = earlier_inputs.get(name)
        now = inputs.get(name)
        if before is None and now is None:
            continue
        if before is None or now is None or not _same(before, now):
            raise InputError(
                f"`checkpoint` <{checkpoint.pk}> was left by calculation <{creator.pk}>, whose `{name}` is another "
                "one: a training goes on with the same inputs. Give those, or start again without a checkpoint."
            )


def _same(one: orm.Data, other: orm.Data) -> bool:
    """Return whether two nodes, stored or not, have the same content."""
    if one.uuid == other.uuid:
        return True
    if isinstance(one, orm.Dict) and isinstance(other, orm.Dict):
        # These are parameters; one may name defaults that the other leaves out.
        return TrainingParameters.complete(one.get_dict()) == TrainingParameters.complete(other.get_dict())
    return one.base.attributes.all == other.base.attributes.all and (
        one.base.repository.hash() == other.base.repository.hash()
    )
