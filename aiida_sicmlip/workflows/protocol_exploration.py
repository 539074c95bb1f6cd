"""The exploration's part of a settings file, turned into inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_sicmlip.calculations.monitors import MonitorSettings


def scouting_parameters(exploration: Mapping[str, Any]) -> dict[str, Any]:
    """Return how the scouts run: as the walkers do, but for what `exploration.scouting.parameters` says otherwise."""
    walkers = {key: value for key, value in exploration["parameters"].items() if key != "restart_interval"}
    return {**walkers, **(exploration["scouting"]["parameters"] or {})}


def fill_exploration(
    namespace: Any, exploration: Mapping[str, Any], codes: Mapping[str, orm.AbstractCode], switches: list[str]
) -> None:
    """Fill ``namespace``, that of an ``ExplorationWorkChain`` in a builder.

    :param exploration: the settings called ``exploration``, with options as AiiDA takes them.
    :param codes: the codes ``lammps`` and ``cv``.
    :param switches: command-line switches of ``lammps``.
    """
    namespace.walkers = exploration["walkers"]
    namespace.max_concurrent = exploration["max_concurrent"]
    namespace.walker.max_iterations = orm.Int(exploration["max_segments"])
    namespace.walker.clean_workdir = orm.Bool(exploration["clean_workdir"])
    run = namespace.walker.exploration
    run.code = codes["lammps"]
    run.parameters = exploration["parameters"]
    run.metadata.options = exploration["options"]
    if switches:
        run.switches = switches
    if exploration["monitor"] is not None:
        run.monitors = {"blown_up": MonitorSettings.from_mapping(exploration["monitor"]).monitor()}
    if exploration["filter"]:
        namespace.filter = exploration["filter"]
    if exploration["bias"] is None:
        return
    run.bias = exploration["bias"]
    namespace.scouting.walkers = exploration["scouting"]["walkers"]
    namespace.scouting.parameters = scouting_parameters(exploration)
    variables = exploration["collective_variables"]
    namespace.variables.code = codes["cv"]
    namespace.variables.parameters = variables["parameters"] or {}
    namespace.variables.metadata.options = variables["options"]
