"""Inputs of the calcfunction that scales temperature and barrier of the first rounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida_sicmlip.science.dynamics.ramp import RampSettings


def inputs_of_ramp(inputs: Mapping[str, Any]) -> tuple[dict[str, Any], str] | None:
    """Return the inputs of ``ramp_exploration`` and the report message of the round; None for full values.

    :param inputs: inputs of an ``ExplorationWorkChain``.
    """
    if "ramp" not in inputs:
        return None
    ramp, number = RampSettings.from_mapping(inputs["ramp"].get_dict()), inputs["round_number"]
    if ramp.share(number.value) == 1:
        return None
    run = inputs["walker"]["exploration"]
    settings = {name: run[name] for name in ("parameters", "bias") if name in run}
    if "walker_parameters" in inputs:
        settings["walker_parameters"] = {name: dict(own) for name, own in inputs["walker_parameters"].items()}
    return {"ramp": inputs["ramp"], "round_number": number, **settings}, ramp.message(number.value)


def settings_of_walker(
    inputs: Mapping[str, Any], ramped: Mapping[str, Any], start: str, condition: str
) -> dict[str, Any]:
    """Return the settings of a walker that replace those of ``walker.exploration``.

    :param inputs: inputs of an ``ExplorationWorkChain``.
    :param ramped: outputs of ``ramp_exploration``, if it was run.
    :param start: name of the start structure.
    :param condition: name of the condition; empty if there is only one.
    """
    settings = {name: ramped[name] for name in ("parameters", "bias") if name in ramped}
    if condition:
        own = ramped.get("walker_parameters", inputs.get("walker_parameters", {}))
        settings["parameters"] = own[start][condition]
    return settings
