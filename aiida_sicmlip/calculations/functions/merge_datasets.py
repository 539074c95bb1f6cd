"""Several data sets as one."""

from collections.abc import Mapping

from aiida.engine import calcfunction
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import dataset_label
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.level_of_theory import require_same_level
from aiida_sicmlip.science.labels.comparison import configuration_key

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


def merged_frames(datasets: Mapping[str, LabelledDataSetData]) -> list[Atoms]:
    """Return the configurations of all data sets, one set after the other in the order of their names.

    :param datasets: by name: `dataset_00`, `dataset_01` and so on.
    :raises InputError: if there are fewer than two sets or they are named otherwise, levels of theory differ (with
        setting and both values), or a configuration stands in two sets.
    """
    names = [dataset_label(index) for index in range(len(datasets))]
    if len(datasets) < 2 or set(names) != set(datasets):
        raise InputError(
            f"there are {len(datasets)} data sets with the names {sorted(datasets)}; give at least two, named "
            f"{dataset_label(0)}, {dataset_label(1)} and so on."
        )
    first = datasets[names[0]]
    frames: list[Atoms] = []
    owners: dict[str, tuple[str, int]] = {}
    for name in names:
        dataset = datasets[name]
        what = f"data set `{name}` <{dataset.pk}>"
        require_same_level(first.level_of_theory, dataset.level_of_theory, what)
        new = dataset.frames()
        found = [owners.setdefault(configuration_key(frame), (name, place)) for place, frame in enumerate(new)]
        repeated = {
            place: f"{place} (which is {at} of <{datasets[owner].pk}>)"
            for place, (owner, at) in enumerate(found)
            if owner != name
        }
        if repeated:
            raise InputError(
                f"configurations of {what} stand in an earlier data set, exactly: {', '.join(repeated.values())}. A "
                f"configuration counts once; leave them out first: `aiida-sicmlip dataset subset {dataset.pk} "
                f"--without --places {','.join(map(str, repeated))}`."
            )
        frames += new
    return frames


@calcfunction
def merge_datasets(**datasets: LabelledDataSetData) -> LabelledDataSetData:
    """Return the configurations of several data sets, one set after the other, as a new data set.

    :param datasets: at least two, under ``dataset_00``, ``dataset_01`` and so on, which is their order.
    :raises InputError: if levels of theory differ (with setting and both values), or a configuration stands in two
        sets exactly (with its places).
    """
    frames = merged_frames(datasets)
    return LabelledDataSetData.from_frames(frames, datasets[dataset_label(0)].level_of_theory)
