"""The settings of a training that was stored when its length was counted in passes, for running it again."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.science.training.earlier_settings import settings_in_steps

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def count_training_in_steps(parameters: orm.Dict, training_set: LabelledDataSetData, packaged: orm.Bool) -> orm.Dict:
    """Return settings in optimiser steps that give the weights that the earlier ones gave.

    :param parameters: as ``TrainingCalcJob`` took them, with ``maximum_epochs``.
    :param packaged: whether the training starts from a package, which has its own settings of the model.
    """
    return orm.Dict(settings_in_steps(parameters.get_dict(), training_set.n_frames, packaged=packaged.value))
