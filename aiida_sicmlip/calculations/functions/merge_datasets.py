"""Several data sets as one."""

from collections.abc import Mapping
from typing import Any

from aiida.engine import calcfunction
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import dataset_label
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.science.labels.comparison import configuration_key
from aiida_sicmlip.science.labels.states import LEVEL

CACHE_VERSION = 2
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


def merged_frames(datasets: Mapping[str, LabelledDataSetData]) -> tuple[list[Atoms], list[dict[str, Any]]]:
    """Return the configurations of all data sets, one set after the other by their names, and the levels of theory.

    :param datasets: by name: `dataset_00`, `dataset_01` and so on.
    :raises InputError: if there are fewer than two sets or they are named otherwise, or a configuration stands in two
        sets with the same charge, spin and level of theory.
    """
    names = [dataset_label(index) for index in range(len(datasets))]
    if len(datasets) < 2 or set(names) != set(datasets):
        raise InputError(
            f"there are {len(datasets)} data sets with the names {sorted(datasets)}; give at least two, named "
            f"{dataset_label(0)}, {dataset_label(1)} and so on."
        )
    frames: list[Atoms] = []
    levels: list[dict[str, Any]] = []
    owners: dict[tuple[str, int], tuple[str, int]] = {}
    for name in names:
        dataset = datasets[name]
        of_dataset = dataset.levels_of_theory
        levels += [level for level in of_dataset if level not in levels]
        new = dataset.frames()
        repeated = {}
        for index, frame in enumerate(new):
            frame.info[LEVEL] = levels.index(of_dataset[frame.info[LEVEL]])
            key = configuration_key(frame), frame.info[LEVEL]
            owner, there = owners.setdefault(key, (name, index))
            if owner != name:
                repeated[index] = f"{index} (which is {there} of <{datasets[owner].pk}>)"
        if repeated:
            raise InputError(
                f"configurations of data set `{name}` <{dataset.pk}> are in an earlier data set, exactly: "
                f"{', '.join(repeated.values())}. A configuration counts once; leave them out first: "
                f"`aiida-sicmlip dataset subset {dataset.pk} --without --indices {','.join(map(str, repeated))}`."
            )
        frames += new
    return frames, levels


@calcfunction
def merge_datasets(**datasets: LabelledDataSetData) -> LabelledDataSetData:
    """Return the configurations of several data sets, one set after the other, as a new data set.

    :param datasets: at least two, under ``dataset_00``, ``dataset_01`` and so on, which is their order.
    :raises InputError: if a configuration stands in two sets exactly, with the same charge, spin and level of theory
        (with its indices).
    """
    return LabelledDataSetData.from_frames(*merged_frames(datasets))
