"""Inputs of the exploration from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_sicmlip.calculations.monitors import monitor_input
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.dynamics.blow_up import MonitorSettings
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.workflows.protocols.settings import OwnExplorationSettings


def exploration_settings(exploration: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the exploration without the single temperature if there is a list of temperatures.

    :param exploration: complete settings.
    :param overrides: settings given by the user.
    :raises InputError: if the overrides contain both.
    """
    if exploration["temperatures"] is None:
        return dict(exploration)
    if "temperature" in (overrides.get("parameters") or {}):
        raise InputError(
            "`exploration.temperatures` and `exploration.parameters.temperature` are both given; remove one of them."
        )
    parameters = {key: value for key, value in exploration["parameters"].items() if key != "temperature"}
    return {**exploration, "parameters": parameters}


def own_settings(description: Any, field: str) -> dict[str, Any]:
    """Return the exploration settings that are specific to a start structure, if any.

    :param description: description of the structure, as in a settings file.
    :param field: path of the description in the settings.
    :raises InputError: for an unknown setting, or if both `temperature` and `temperatures` are given.
    """
    own = description.get("exploration") if isinstance(description, Mapping) else None
    if own is None:
        return {}
    OwnExplorationSettings.check_given(own, f"{field}.exploration.")
    if "temperatures" in own and "temperature" in own:
        raise InputError(f"`{field}.exploration` has `temperature` and `temperatures`; remove one of them.")
    return dict(own)


def conditions_of_structures(
    exploration: Mapping[str, Any], structures: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """Return the complete parameters of the walkers of each start structure, one mapping for each temperature.

    :param exploration: settings ``exploration``.
    :param structures: settings ``structures``.
    """
    conditions_by_name = {}
    for name, description in structures.items():
        own = own_settings(description, f"structures.{name}")
        # Temperatures of a structure take precedence over the common ones.
        temperatures = own.pop("temperatures", None if "temperature" in own else exploration["temperatures"])
        common = {**exploration["parameters"], **own}
        conditions = [{**common, "temperature": value} for value in temperatures] if temperatures else [common]
        conditions_by_name[name] = [{**ExplorationSettings.defaults(), **condition} for condition in conditions]
    return conditions_by_name


def unbiased_parameters(exploration: Mapping[str, Any], own: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the parameters of the unbiased runs: those of the walkers, updated by `exploration.unbiased.parameters`.

    :param own: settings that are specific to the start structure; those of the unbiased runs take precedence.
    """
    parameters = {**exploration["parameters"], **(own or {})}
    walkers = {key: value for key, value in parameters.items() if key not in ("restart_interval", "temperatures")}
    return {**ExplorationSettings.defaults(), **walkers, **exploration["unbiased"]["parameters"]}


def final_run_parameters(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the parameters of the free runs of each start structure: those of its walkers, at one temperature.

    Nothing is restrained; that would be no free dynamics.

    :param settings: complete settings of a loop with a final run.
    """
    final, parameters = settings["final_run"], {}
    for name, conditions in conditions_of_structures(settings["exploration"], settings["structures"]).items():
        hottest = max(condition["temperature"] for condition in conditions)
        parameters[name] = {
            **conditions[0],
            "temperature": hottest if final["temperature"] is None else final["temperature"],
            "production": final["production"],
            "restart_interval": None,
            "restrained_shell": None,
        }
    return parameters


def fill_walker(namespace: Any, exploration: Mapping[str, Any], code: orm.AbstractCode, switches: list[str]) -> None:
    """Set the inputs of a ``WalkerWorkChain`` in a builder, except for start structure and bias.

    :param exploration: settings ``exploration``, with options in the form of AiiDA.
    :param code: code of LAMMPS.
    :param switches: command-line switches of LAMMPS.
    """
    namespace.max_iterations = orm.Int(exploration["max_segments"])
    namespace.clean_workdir = orm.Bool(exploration["clean_workdir"])
    run = namespace.exploration
    run.code = code
    run.parameters = exploration["parameters"]
    run.metadata.options = exploration["options"]
    if switches:
        run.switches = switches
    if exploration["monitor"] is not None:
        run.monitors = {"blown_up": monitor_input(MonitorSettings.from_mapping(exploration["monitor"]))}


def fill_exploration(
    namespace: Any,
    exploration: Mapping[str, Any],
    structures: Mapping[str, Any],
    codes: Mapping[str, orm.AbstractCode],
    switches: list[str],
) -> None:
    """Set the inputs of an ``ExplorationWorkChain`` in a builder.

    :param exploration: settings ``exploration``, with options in the form of AiiDA.
    :param structures: settings ``structures``.
    :param codes: the codes ``lammps`` and ``collective_variables``.
    :param switches: command-line switches of ``lammps``.
    """
    namespace.walkers = exploration["walkers"]
    namespace.max_concurrent = exploration["max_concurrent"]
    namespace.start_from_states = exploration["start_from_states"]
    namespace.softer_repeats = exploration["softer_repeats"]
    fill_walker(namespace.walker, exploration, codes["lammps"], switches)
    namespace.walker_parameters = {
        name: {f"condition_{index:02d}": orm.Dict(condition) for index, condition in enumerate(conditions)}
        for name, conditions in conditions_of_structures(exploration, structures).items()
        if conditions != [exploration["parameters"]]
    }
    for name in ("filter", "calibration"):
        if exploration[name]:
            namespace[name] = exploration[name]
    if exploration["bias"] is None:
        return
    namespace.walker.exploration.bias = exploration["bias"]
    namespace.unbiased.walkers = exploration["unbiased"]["walkers"]
    namespace.unbiased.parameters = unbiased_parameters(exploration)
    own = {
        name: unbiased_parameters(exploration, own_settings(description, f"structures.{name}"))
        for name, description in structures.items()
    }
    namespace.unbiased_parameters = {
        name: orm.Dict(parameters) for name, parameters in own.items() if parameters != unbiased_parameters(exploration)
    }
    variables = exploration["collective_variables"]
    namespace.variables.code = codes["collective_variables"]
    namespace.variables.parameters = variables["parameters"]
    namespace.variables.metadata.options = variables["options"]
