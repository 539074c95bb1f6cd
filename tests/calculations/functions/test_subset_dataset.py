"""Parts of data sets: kept configurations, in order, as a new node."""

from __future__ import annotations

from typing import Any

import pytest
from aiida import orm

from aiida_sicmlip.calculations.functions.subset_dataset import subset_dataset
from aiida_sicmlip.common.exceptions import InputError


def test_kept_configurations_are_those_of_the_set(generate_dataset, labelled_frames) -> None:
    whole = generate_dataset(5)
    part = subset_dataset(whole, orm.List([0, 3, 4]))
    frames = labelled_frames(5)
    expected = generate_dataset([frames[place] for place in (0, 3, 4)])
    assert part.get_content(mode="rb") == expected.get_content(mode="rb")
    assert part.base.caching.compute_hash() == expected.base.caching.compute_hash()
    assert set(part.creator.inputs) == {"dataset", "places"}
    assert whole.n_frames == 5


def test_all_places_give_the_same_content(generate_dataset) -> None:
    whole = generate_dataset(3)
    assert subset_dataset(whole, orm.List([0, 1, 2])).get_content(mode="rb") == whole.get_content(mode="rb")


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ([], "`places` is empty, so that nothing would be kept"),
        ([0, 3], "`places` holds 3; the indices of the data set are 0 to 2"),
        ([-1], "`places` holds -1"),
        ([1, 0], "has 0 after 1; give each index once, in ascending order"),
        ([1, 1], "has 1 after 1"),
        ([0, 1.0], "holds 1.0; give whole numbers"),
        ([True], "holds True"),
        (["1"], "holds '1'"),
    ],
)
def test_wrong_indices(generate_dataset, places: list[Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        subset_dataset(generate_dataset(3), orm.List(places))
