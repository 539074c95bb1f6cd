"""From the disagreement of a committee to its error, and to the disagreement at which walkers are stopped."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.science.evaluation.calibration import CalibrationSettings, calibrate

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def calibrate_disagreement(evaluation: orm.Dict, parameters: orm.Dict) -> orm.Dict:
    """Return the line from disagreement to error and ``max_disagreement`` (eV/A), None where labels are too few.

    :param evaluation: of a committee on labels that it was not trained on.
    :param parameters: see :class:`aiida_sicmlip.science.evaluation.calibration.CalibrationSettings`.
    """
    frames = evaluation.get_dict()["committee"]["frames"]
    settings = CalibrationSettings.from_mapping(parameters.get_dict())
    return orm.Dict(calibrate(frames["disagreement"], frames["error"], settings))
