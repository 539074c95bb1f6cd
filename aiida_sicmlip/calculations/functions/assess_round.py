"""The verdict on one round."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.science.evaluation.assessment import assess
from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria

CACHE_VERSION = 5
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def assess_round(
    criteria: orm.Dict,
    exploring: orm.Dict,
    training: orm.Dict,
    validation: orm.Dict,
    selection: orm.Dict,
    **further: orm.Dict,
) -> orm.Dict:
    """Return errors, criteria with their verdicts, and whether the potential is converged.

    :param exploring: evaluation of the exploring potential on the new labels, before any training on them.
    :param training: evaluation of the new potential on the training set.
    :param validation: evaluation of the new potential on the validation set.
    :param selection: summary of the selection.
    :param further: where there are such, ``fixed_validation``, evaluation of the new potential on that set,
        ``defect_types``, numbers of new labels by type of defect, and ``previous``, the assessment of the round before.
    """
    return orm.Dict(
        assess(
            ConvergenceCriteria.from_mapping(criteria.get_dict()),
            exploring=exploring.get_dict(),
            training=training.get_dict(),
            validation=validation.get_dict(),
            selection=selection.get_dict(),
            **{name: node.get_dict() for name, node in further.items()},
        )
    )
