"""Validation of the inputs of a training."""

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

MAX_COMMITTEE_SIZE = 20
"""Maximum size of a committee; more members do not improve the estimate of the uncertainty."""
MACHINE = ("code", "parameters", "options")
"""Inputs for each further machine."""


def validate_compilation(inputs: Mapping[str, Any] | None, _: Any) -> str | None:
    """Validate that the model is compiled for LAMMPS, which exploration and evaluation require."""
    parameters = (inputs or {}).get("parameters")
    if parameters is not None and parameters.get_dict().get("target", "pair_allegro") != "pair_allegro":
        return (
            "`compilation.parameters.target` must be `pair_allegro` here, as exploration and evaluation use that model."
        )
    return None


def require_fitted_prior(inputs: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` if ``prior_settings`` are given, but no prior is fitted."""
    training = inputs.get("training", {})
    if "prior_settings" not in inputs or "parameters" not in training:
        return
    for name in ("prior", "initial_potential"):
        if name in training:
            raise InputError(f"`prior_settings` and `training.{name}` are both given: remove one of them.")
    if not prior_is_wanted(training["parameters"].get_dict()):
        raise InputError(
            "`prior_settings` are given, but `training.parameters.model.pair_potential` is not lennard-jones: set it, "
            "or remove the settings."
        )


def validate_further_compilations(machines: Mapping[str, Any] | None, _: Any) -> str | None:
    """Validate code, settings and options of each further machine."""
    for name, machine in (machines or {}).items():
        where = f"further_compilations.{name}"
        if not re.fullmatch(r"[A-Za-z]\w*", name) or "__" in name:
            return f"`{where}`: the name is used as a link label; use letters, digits and single underscores."
        if not isinstance(machine, Mapping) or "code" not in machine:
            return f"`{where}.code` is missing: give a code of `sicmlip` on that machine."
        for key, kind in zip(MACHINE, (orm.AbstractCode, orm.Dict, orm.Dict), strict=True):
            if key in machine and not isinstance(machine[key], kind):
                return f"`{where}.{key}` is a {type(machine[key]).__name__}; give a {kind.__name__}."
        message = validate_code(SICMLIP)(machine["code"], None)
        try:
            require_known_names(machine, MACHINE, f"{where}.")
            CompilationSettings.from_mapping(machine["parameters"].get_dict() if "parameters" in machine else {})
            _check_options(machine["options"].get_dict() if "options" in machine else {}, f"{where}.options")
        except InputError as error:
            message = message or str(error)
        if message:
            return f"in `{where}`: {message}"
    return None


def _check_options(options: Mapping[str, Any], where: str) -> None:
    """Raise :class:`InputError` for an option that is unknown to AiiDA or would be rejected at submission."""
    ports = CompilationCalculation.spec().inputs["metadata"]["options"]
    require_known_names(options, ports, f"{where}.")
    for key, value in options.items():
        if (error := ports[key].validate(value)) is not None:
            raise InputError(f"`{where}.{key}` is {value!r}, which AiiDA rejects: {error.message}")
