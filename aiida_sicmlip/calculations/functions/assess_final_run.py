"""The verdict on a final run."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.common.labels import parse_frame_label, segment_label
from aiida_sicmlip.science.evaluation.final_run import FinalRunSettings, assess_labels_of_run

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def assess_final_run(
    parameters: orm.Dict, plan: orm.Dict, labelled: orm.List, evaluation: orm.Dict | None = None
) -> orm.Dict:
    """Return errors against time, and whether the potential passed.

    :param parameters: see :class:`aiida_sicmlip.science.evaluation.final_run.FinalRunSettings`.
    :param plan: of :func:`~aiida_sicmlip.calculations.functions.pick_frames_in_time.pick_frames_in_time`.
    :param labelled: link labels of the frames that have a label, in the order of the evaluated data set.
    :param evaluation: of the potential on that data set; None where no frame could be labelled.
    :return: see :func:`~aiida_sicmlip.science.evaluation.final_run.assess_labels_of_run`.
    """
    places = {}
    for place, label in enumerate(labelled.get_list()):
        segment, index = parse_frame_label(label)
        places[segment_label(segment), index] = place
    return orm.Dict(
        assess_labels_of_run(
            FinalRunSettings.from_mapping(parameters.get_dict()),
            plan.get_dict()["runs"],
            places,
            None if evaluation is None else evaluation.get_dict(),
        )
    )
