"""Settings of the explorations of early rounds."""

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.science.dynamics.ramp import RampSettings

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def ramp_exploration(ramp: orm.Dict, round_number: orm.Int, **settings: Any) -> dict:
    """Return settings of walkers and of their bias with the temperature and the barrier of a round.

    :param ramp: see :class:`aiida_sicmlip.science.dynamics.ramp.RampSettings`.
    :param round_number: from 0.
    :param settings: nodes of settings, or mappings of names to such nodes, nested as they may be.
    :return: the same names with settings of the round.
    """
    rises = RampSettings.from_mapping(ramp.get_dict())

    def scaled(given: Any) -> Any:
        if isinstance(given, Mapping):
            return {name: scaled(value) for name, value in given.items()}
        return orm.Dict(rises.scale(given.get_dict(), round_number.value))

    return scaled(settings)
