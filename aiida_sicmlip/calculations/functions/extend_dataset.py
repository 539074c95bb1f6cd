"""Data sets from labels."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import index_of_label, label_of_index
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.labels import labelled_frame, level_of_label
from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData, require_same_level
from aiida_sicmlip.science.labels.states import LEVEL

CACHE_VERSION = 2
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def extend_dataset(
    level_of_theory: LevelOfTheoryData, previous: LabelledDataSetData | None = None, **labels: orm.TrajectoryData
) -> LabelledDataSetData:
    """Return ``previous`` and after it the new labels, as a new data set.

    Charge and spin of each label are those of its calculation.

    :param level_of_theory: that of all new labels; checked against each.
    :param previous: an earlier data set, at any level of theory; without it a new one begins.
    :param labels: ``output_trajectory`` of each new label; its link label is ``label_`` and its index, six digits.
    :raises InputError: if indices are not consecutive, or a label is at another level of theory (with setting and both
        values).
    """
    level = level_of_theory.get_dict()
    frames, levels = ([], []) if previous is None else (previous.frames(), previous.levels_of_theory)
    expected = [label_of_index(len(frames) + index) for index in range(len(labels))]
    if sorted(labels) != expected:
        raise InputError(
            f"the labels are named {', '.join(sorted(labels))}; after {len(frames)} earlier configurations they "
            f"have to be named {', '.join(expected)}."
        )
    for name in sorted(labels, key=index_of_label):
        require_same_level(level, level_of_label(labels[name], name), f"label `{name}` <{labels[name].pk}>")
        frame = labelled_frame(labels[name], name)
        frame.info[LEVEL] = len(levels)
        frames.append(frame)
    return LabelledDataSetData.from_frames(frames, [*levels, level])
