"""The settings of a training whose loss became not-a-number, for another attempt."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.science.training.settings import with_lower_learning_rate

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def lower_learning_rate(parameters: orm.Dict, factor: orm.Float) -> orm.Dict:
    """Return the settings of a training with a lower learning rate.

    :param parameters: as ``TrainingCalcJob`` takes them.
    :param factor: between 0 and 1.
    :raises InputError: where :func:`aiida_sicmlip.science.training.settings.with_lower_learning_rate` does.
    """
    return orm.Dict(with_lower_learning_rate(parameters.get_dict(), factor.value))
