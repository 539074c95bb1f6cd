"""A look at running explorations, so that a run whose potential has failed does not use up its walltime."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine.processes.calcjobs.monitors import CalcJobMonitorResult
from aiida.transports import Transport

from aiida_sicmlip.science.dynamics.blow_up import MonitorSettings, describe_blow_up, excerpt_command
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings

ENTRY_POINT = "sicmlip.blown_up"


def monitor_input(settings: MonitorSettings) -> orm.Dict:
    """Return what the input ``monitors`` of a calculation takes to be looked at by :func:`blown_up`."""
    content: dict[str, Any] = settings.to_dict()
    interval = content.pop("minimum_poll_interval")
    return orm.Dict({"entry_point": ENTRY_POINT, "minimum_poll_interval": interval, "kwargs": content})


def blown_up(
    node: orm.CalcJobNode,
    transport: Transport,
    maximum_temperature: float | None = None,
    energy_window: float = MonitorSettings.energy_window,
    rows: int = MonitorSettings.rows,
) -> CalcJobMonitorResult | None:
    """Stop an exploration whose log shows that the potential has failed.

    AiiDA kills the job, fetches and parses what there is, and ends the calculation with `STOPPED_BY_MONITOR` and the
    message. The parser's own exit code gives way: it would call the cut run one that can be continued.

    :param maximum_temperature: and the others, see :class:`MonitorSettings`.
    """
    settings = ExplorationSettings.from_mapping(node.inputs.parameters.get_dict())
    limits = MonitorSettings(maximum_temperature=maximum_temperature, energy_window=energy_window, rows=rows)
    _, excerpt, _ = transport.exec_command_wait(excerpt_command(), workdir=node.get_remote_workdir())
    message = describe_blow_up(excerpt, limits, settings, n_atoms=len(node.inputs.structure.sites))
    return None if message is None else CalcJobMonitorResult(message=message)
