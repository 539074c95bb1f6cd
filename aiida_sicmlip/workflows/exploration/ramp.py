"""Inputs of the calcfunction that scales temperature and barrier, of first rounds and of walkers that are repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_sicmlip.science.dynamics.ramp import RampSettings

SOFTER = 0.6
"""Share of the temperature and the barrier of walkers that repeat others, which the brake stopped at once. Ours."""


def inputs_of_ramp(inputs: Mapping[str, Any]) -> tuple[dict[str, Any], str] | None:
    """Return the inputs of ``ramp_exploration`` and the report message of the round; None for full values.

    :param inputs: inputs of an ``ExplorationWorkChain``.
    """
    if "ramp" not in inputs:
        return None
    ramp, number = RampSettings.from_mapping(inputs["ramp"].get_dict()), inputs["round_number"]
    if ramp.share(number.value) == 1:
        return None
    return {"ramp": inputs["ramp"], "round_number": number, **_scaled(inputs)}, ramp.message(number.value)


def inputs_of_softer_walkers(inputs: Mapping[str, Any], repeats: int) -> tuple[dict[str, Any], str]:
    """Return the inputs of ``ramp_exploration`` for walkers that are repeated, and the report message.

    :param inputs: inputs of an ``ExplorationWorkChain``.
    :param repeats: how many times walkers have been repeated, this time included.
    """
    share = SOFTER**repeats
    if "ramp" in inputs:
        share *= RampSettings.from_mapping(inputs["ramp"].get_dict()).share(inputs["round_number"].value)
    message = (
        "the brake stopped all walkers before any of their frames counts; they are repeated with "
        f"{100 * share:.0f} % of the temperature and the barrier"
    )
    ramp = orm.Dict({"first": round(share, 6), "rounds": 2})
    return {"ramp": ramp, "round_number": orm.Int(0), **_scaled(inputs)}, message


def _scaled(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of walkers that a ramp scales."""
    run = inputs["walker"]["exploration"]
    settings = {name: run[name] for name in ("parameters", "bias") if name in run}
    if "walker_parameters" in inputs:
        settings["walker_parameters"] = {name: dict(own) for name, own in inputs["walker_parameters"].items()}
    return settings


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
