"""Whether a training is underfitted."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.science.evaluation.underfit import assess_errors

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def assess_fit(results: orm.Dict, asked_force_mae: orm.Float) -> orm.Dict:
    """Return whether a training is underfitted; see :func:`~aiida_sicmlip.science.evaluation.underfit.assess_errors`.

    :param results: of a ``TrainingCalcJob``.
    :param asked_force_mae: eV/A.
    """
    errors = results["best"]
    return orm.Dict(
        assess_errors(errors["training"]["force_mae"], errors["validation"]["force_mae"], asked_force_mae.value)
    )
