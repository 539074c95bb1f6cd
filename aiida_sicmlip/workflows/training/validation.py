"""What is wrong with the inputs of a training, in messages, before any compute is spent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_sicmlip.calculations.compilation import CompilationCalculation, CompilationSettings
from aiida_sicmlip.calculations.training_checks import prior_is_wanted
from aiida_sicmlip.calculations.validation import SICMLIP, validate_code
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.settings import require_known_names

LARGEST_COMMITTEE = 20
"""More members than that say nothing new of the spread, and cost as many trainings."""
MACHINE = ("code", "parameters", "options")
"""What is given for each further machine."""


def validate_compilation(inputs: Mapping[str, Any] | None, _: Any) -> str | None:
    """The compiled model is meant for LAMMPS, and the evaluation takes the same."""
    parameters = (inputs or {}).get("parameters")
    if parameters is not None and parameters.get_dict().get("target", "pair_allegro") != "pair_allegro":
        return "`compilation.parameters.target` must be `pair_allegro` here: exploration and evaluation run that model."
    return None


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
        sentence = validate_code(SICMLIP)(machine["code"], None)
        try:
            require_known_names(machine, MACHINE, f"{where}.")
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
    require_known_names(options, ports, f"{where}.")
    for key, value in options.items():
        if (error := ports[key].validate(value)) is not None:
            raise InputError(f"`{where}.{key}` is {value!r}, which AiiDA refuses: {error.message}")
