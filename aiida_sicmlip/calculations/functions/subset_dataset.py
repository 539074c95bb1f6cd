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


def check_places(places: Sequence[Any], n_frames: int) -> None:
    """Check the places of a subset.

    :raises InputError: if there is none, or they are not ascending places of a data set of ``n_frames``.
    """
    if not places:
        raise InputError("`places` is empty, so that nothing would be kept; name at least one configuration.")
    for place in places:
        if isinstance(place, bool) or not isinstance(place, int):
            raise InputError(f"`places` holds {place!r}; give whole numbers, from 0.")
        if not 0 <= place < n_frames:
            raise InputError(f"`places` holds {place}; the data set has the places 0 to {n_frames - 1}.")
    for place, later in pairwise(places):
        if later <= place:
            raise InputError(f"`places` has {later} after {place}; give each place once, in ascending order.")


@calcfunction
def subset_dataset(dataset: LabelledDataSetData, places: orm.List) -> LabelledDataSetData:
    """Return the configurations of ``dataset`` that stand at ``places``, in their order, as a new data set.

    Labels are removed by keeping all others.

    :param places: the kept places, from 0, ascending and without repeats.
    :raises InputError: if there is none, or they are not ascending places of ``dataset``.
    """
    kept = places.get_list()
    check_places(kept, dataset.n_frames)
    frames = dataset.frames()
    return LabelledDataSetData.from_frames([frames[place] for place in kept], dataset.levels_of_theory)
