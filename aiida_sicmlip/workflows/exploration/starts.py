"""Which walkers start from states that earlier walkers found, and from which of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm

from aiida_sicmlip.calculations.exploration_checks import validate_host
from aiida_sicmlip.common.labels import state_label


def last_walkers(name: str, count: int, start_of: Mapping[str, str], condition_of: Mapping[str, str]) -> list[str]:
    """Return the last ``count`` walkers of a start structure at each of its conditions.

    :param start_of: start structure of each walker, in their order.
    :param condition_of: condition of each walker.
    """
    groups: dict[str, list[str]] = {}
    for walker, start in start_of.items():
        if start == name:
            groups.setdefault(condition_of[walker], []).append(walker)
    return [walker for group in groups.values() for walker in group[max(0, len(group) - count) :] if count]


def usable_states(
    found: Mapping[str, Any], run: Mapping[str, Any], parameters: Sequence[orm.Dict]
) -> tuple[list[orm.StructureData], list[str]]:
    """Return the states that walkers can start from, and a message on each state.

    Where a shell is held, there may be none in the cell around a state whose vacant sites are far apart.

    :param found: result of :func:`~aiida_sicmlip.calculations.functions.find_states.find_states`.
    :param run: inputs of the walkers that do not depend on where they start.
    :param parameters: settings of the walkers.
    """
    states, messages = [], []
    for index, state in enumerate(found["summary"]["states"], start=1):
        ((_, structure),) = found[state_label(index)].items()
        problems = [validate_host({**run, "structure": structure, "parameters": node}) for node in parameters]
        problem = next((f", but walkers cannot start from it: {problem}" for problem in problems if problem), "")
        states += [] if problem else [structure]
        messages.append(f"state {index}, {state['name']}, was visited for {state['total']:.3g} ps{problem}")
    return states, messages
