"""What a training, from data sets to a judged potential, takes, hands out, and ends with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ProcessSpec

from aiida_sicmlip.calculations.compilation import CompilationCalculation, CompilationSettings
from aiida_sicmlip.calculations.evaluation import EvaluationCalculation
from aiida_sicmlip.calculations.training import TrainingCalcJob
from aiida_sicmlip.calculations.training_checks import prior_is_wanted
from aiida_sicmlip.calculations.validation import SICMLIP, sentence_of, validate_code
from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.lennard_jones_prior import LennardJonesPriorData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.science.training.lennard_jones_fit import LennardJonesSettings
from aiida_sicmlip.workflows.training.base import TrainingBaseWorkChain

LARGEST_COMMITTEE = 20
"""More members than that say nothing new of the spread, and cost as many trainings."""
MACHINE = ("code", "parameters", "options")
"""What is given for each further machine."""


def validate_compilation(parameters: orm.Dict | None, _: Any) -> str | None:
    """The compiled model is meant for LAMMPS, and the evaluation takes the same."""
    if parameters is not None and parameters.get_dict().get("target", "pair_allegro") != "pair_allegro":
        return "`compilation.parameters.target` must be `pair_allegro` here: exploration and evaluation run that model."
    return None


def check_prior_settings(settings: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` where a setting of the prior is unknown, out of range, or the model's to say."""
    if "cutoff" in settings:
        raise InputError("`prior.cutoff` is that of the model (`training.parameters.model.cutoff`); leave it out.")
    LennardJonesSettings.from_mapping(settings)


def require_fitted_prior(inputs: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` where ``prior_settings`` are given to a ``TrainingWorkChain`` that fits no prior."""
    training = inputs.get("training", {})
    if "prior_settings" not in inputs or "parameters" not in training:
        return
    for name in ("prior", "initial_potential"):
        if name in training:
            raise InputError(f"`prior_settings` are given beside `training.{name}`, with which none is fitted.")
    if not prior_is_wanted(training["parameters"].get_dict()):
        raise InputError(
            "Settings of a prior are given, but `training.parameters.model.pair_potential` is not lennard-jones: set "
            "it, or leave them out."
        )


def validate_committee_size(value: orm.Int | None, _: Any) -> str | None:
    """A committee has at least one member, and no more than are of use."""
    if value is not None and not 1 <= value.value <= LARGEST_COMMITTEE:
        return f"`committee_size` is {value.value}; give a whole number from 1 (no committee) to {LARGEST_COMMITTEE}."
    return None


def validate_further_compilations(machines: Mapping[str, Any] | None, _: Any) -> str | None:
    """Each further machine has a code, and settings and options that a compilation takes."""
    for name, machine in (machines or {}).items():
        where = f"further_compilations.{name}"
        if not re.fullmatch(r"[A-Za-z]\w*", name) or "__" in name:
            return f"`{where}`: the name becomes a label; give letters, digits and single underscores."
        if not isinstance(machine, Mapping) or "code" not in machine:
            return f"`{where}` lacks `code`: give `sicmlip` on that machine."
        for key, kind in zip(MACHINE, (orm.AbstractCode, orm.Dict, orm.Dict), strict=True):
            if key in machine and not isinstance(machine[key], kind):
                return f"`{where}.{key}` is a {type(machine[key]).__name__}; give a {kind.__name__}."
        if unknown := sorted(set(machine) - set(MACHINE)):
            return f"`{where}.{unknown[0]}` is not known. {nearest_name(unknown[0], MACHINE)}"
        sentence = validate_code(SICMLIP)(machine["code"], None)
        try:
            CompilationSettings.from_mapping(machine["parameters"].get_dict() if "parameters" in machine else {})
            _check_options(machine["options"].get_dict() if "options" in machine else {}, f"{where}.options")
        except InputError as error:
            sentence = sentence or str(error)
        if sentence:
            return f"in `{where}`: {sentence}"
    return None


def _check_options(options: Mapping[str, Any], where: str) -> None:
    """Raise :class:`InputError` for an option that AiiDA does not know or would refuse at submission."""
    ports = CompilationCalculation.spec().inputs["metadata"]["options"]
    for key, value in options.items():
        if key not in ports:
            raise InputError(f"`{where}.{key}` is not a known option. {nearest_name(key, ports)}")
        if (error := ports[key].validate(value)) is not None:
            raise InputError(f"`{where}.{key}` is {value!r}, which AiiDA refuses: {error.message}")


def define_inputs(spec: ProcessSpec) -> None:
    """Define the inputs of a ``TrainingWorkChain``."""
    spec.expose_inputs(TrainingCalcJob, namespace="training", exclude=("training_set", "validation_set", "checkpoint"))
    spec.expose_inputs(TrainingCalcJob, include=("training_set", "validation_set"))
    spec.expose_inputs(TrainingBaseWorkChain, include=("max_iterations",))
    spec.input(
        "prior_settings",
        valid_type=orm.Dict,
        serializer=orm.to_aiida_type,
        required=False,
        validator=sentence_of(check_prior_settings),
        help="How a prior is fitted where `model.pair_potential` asks for one: fields of `LennardJonesSettings`. Its "
        "cutoff is the model's.",
    )
    spec.input(
        "committee_size",
        valid_type=orm.Int,
        serializer=orm.to_aiida_type,
        default=lambda: orm.Int(1),
        validator=validate_committee_size,
        help="Number of potentials that are trained, with seeds of their own; the first is the one that is used.",
    )
    spec.input_namespace(
        "further_sets",
        dynamic=True,
        required=False,
        valid_type=LabelledDataSetData,
        help="Further sets that the compiled model is evaluated on, under the names that their errors get.",
    )
    spec.expose_inputs(CompilationCalculation, namespace="compilation", exclude=("potential",))
    spec.input_namespace(
        "further_compilations",
        dynamic=True,
        required=False,
        valid_type=(orm.AbstractCode, orm.Dict),
        validator=validate_further_compilations,
        help="Further machines that the potential is compiled for, by name: `code`, `parameters` and `options`.",
    )
    spec.expose_inputs(EvaluationCalculation, namespace="evaluation", exclude=("potential", "dataset", "committee"))


def define_outcomes(spec: ProcessSpec) -> None:
    """Define its outputs and exit codes."""
    spec.output("potential", valid_type=PotentialData, help="The portable model.")
    spec.output("compiled_potential", valid_type=CompiledPotentialData, help="The model, compiled for LAMMPS.")
    spec.output(
        "prior",
        valid_type=LennardJonesPriorData,
        required=False,
        help="The prior that was fitted here.",
    )
    spec.output("training_curve", valid_type=orm.ArrayData, required=False, help="Loss and errors by epoch.")
    spec.output(
        "training_results", valid_type=orm.Dict, required=False, help="Errors, epochs, reason to stop, versions."
    )
    spec.output(
        "configuration", valid_type=orm.SinglefileData, required=False, help="The complete NequIP configuration."
    )
    spec.output_namespace(
        "further_compilations",
        dynamic=True,
        valid_type=CompiledPotentialData,
        help="The model, compiled for the further machines, under their names.",
    )
    spec.output_namespace(
        "committee",
        dynamic=True,
        valid_type=CompiledPotentialData,
        help="The other members of the committee, compiled: `member_01` and so on.",
    )
    spec.output_namespace(
        "committee_potentials",
        dynamic=True,
        valid_type=PotentialData,
        help="The other members of the committee, portable.",
    )
    spec.output_namespace(
        "evaluations",
        dynamic=True,
        valid_type=orm.Dict,
        help="Errors of the compiled model on the `training` and the `validation` set, and on the further sets.",
    )
    spec.exit_code(401, "ERROR_TRAINING_FAILED", message="The training <{pk}> failed: {reason}")
    spec.exit_code(402, "ERROR_COMPILATION_FAILED", message="The compilation <{pk}> failed: {reason}")
    spec.exit_code(403, "ERROR_EVALUATION_FAILED", message="The evaluation <{pk}> failed: {reason}")
