"""Part of a data set."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.dataset import LabelledDataSetData

CACHE_VERSION = 2
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


def check_indices(indices: Sequence[Any], n_frames: int) -> None:
    """Check the indices of a subset.

    :raises InputError: if there is none, or they are not ascending indices of a data set of ``n_frames``.
    """
    if not indices:
        raise InputError("`places` is empty, so that nothing would be kept; give at least one index.")
    for index in indices:
        if isinstance(index, bool) or not isinstance(index, int):
            raise InputError(f"`places` holds {index!r}; give whole numbers, from 0.")
        if not 0 <= index < n_frames:
            raise InputError(f"`places` holds {index}; the indices of the data set are 0 to {n_frames - 1}.")
    for index, later in pairwise(indices):
        if later <= index:
            raise InputError(f"`places` has {later} after {index}; give each index once, in ascending order.")


@calcfunction
def subset_dataset(dataset: LabelledDataSetData, places: orm.List) -> LabelledDataSetData:
    """Return the configurations of ``dataset`` that stand at ``places``, in their order, as a new data set.

    Labels are removed by keeping all others.

    :param places: indices of the configurations to keep, from 0, ascending and without repeats.
    :raises InputError: if there is none, or they are not ascending indices of ``dataset``.
    """
    kept = places.get_list()
    check_indices(kept, dataset.n_frames)
    frames = dataset.frames()
    return LabelledDataSetData.from_frames([frames[index] for index in kept], dataset.levels_of_theory)
