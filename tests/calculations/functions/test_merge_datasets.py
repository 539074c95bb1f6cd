"""Merged data sets: order, level of theory, and configurations that stand in two of them."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_sicmlip.calculations.functions.merge_datasets import merge_datasets
from aiida_sicmlip.calculations.functions.subset_dataset import subset_dataset
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import dataset_label
from aiida_sicmlip.science.labels.states import LabelState


def named(*datasets):
    return {dataset_label(index): dataset for index, dataset in enumerate(datasets)}


def test_sets_follow_each_other_in_order(generate_dataset, labelled_frames) -> None:
    frames = labelled_frames(6)
    parts = [generate_dataset(frames[start : start + 2]) for start in (0, 2, 4)]
    merged = merge_datasets(**dict(reversed(named(*parts).items())))
    assert merged.get_content(mode="rb") == generate_dataset(frames).get_content(mode="rb")
    assert merged.base.caching.compute_hash() == generate_dataset(frames).base.caching.compute_hash()
    assert {label: merged.creator.inputs[label].pk for label in merged.creator.inputs} == {
        label: part.pk for label, part in named(*parts).items()
    }


def test_more_than_a_hundred_sets(generate_dataset, labelled_frames) -> None:
    """Labels of more digits keep the order of their numbers."""
    frames = labelled_frames(101)
    merged = merge_datasets(**named(*(generate_dataset([frame]) for frame in frames)))
    assert merged.get_content(mode="rb") == generate_dataset(frames).get_content(mode="rb")


def test_charges_spins_and_levels_are_kept(generate_dataset) -> None:
    parts = [
        generate_dataset(2),
        generate_dataset(2, seed=2, state=(-1, 1), ecutwfc=45.0),
        generate_dataset(2, seed=3, state=(1, 1)),
        generate_dataset(1, seed=4, state=(None, None), ecutwfc=45.0),
    ]
    merged = merge_datasets(**named(*parts))
    states = [LabelState(0, 2, 0), LabelState(-1, 1, 1), LabelState(1, 1, 0), LabelState(None, None, 1)]
    assert merged.state_counts == dict(zip(states, (2, 2, 2, 1), strict=True))
    assert [level["settings"]["ecutwfc"] for level in merged.levels_of_theory] == [30.0, 45.0]
    # Taken apart, it gives the same content.
    for part, places in zip(parts, ([0, 1], [2, 3], [4, 5], [6]), strict=True):
        again = subset_dataset(merged, orm.List(places))
        assert again.base.caching.compute_hash() == part.base.caching.compute_hash()


@pytest.mark.parametrize("other", [{"state": (-1, 1)}, {"state": (0, 0)}, {"state": (None, 2)}, {"ecutwfc": 45.0}])
def test_one_geometry_counts_once_for_each_energy_surface(generate_dataset, other) -> None:
    merged = merge_datasets(**named(generate_dataset(2), generate_dataset(2, **other)))
    assert merged.n_frames == 4


def test_configuration_of_two_sets_is_refused(generate_dataset, labelled_frames) -> None:
    frames = labelled_frames(4)
    first, second = generate_dataset(frames[:3]), generate_dataset(frames[2:])
    with pytest.raises(InputError) as caught:
        merge_datasets(**named(first, second))
    words = f"of data set `dataset_01` <{second.pk}> are in an earlier data set, exactly: 0 (which is 2 of"
    assert f"{words} <{first.pk}>)" in str(caught.value)
    with pytest.raises(InputError, match=f"dataset subset {first.pk} --without --indices 0,1,2`"):
        merge_datasets(**named(first, first))


@pytest.mark.parametrize("names", [("dataset_00",), ("dataset_00", "dataset_02"), ("first", "second"), ()])
def test_names_and_number(generate_dataset, names: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="give at least two, named dataset_00"):
        merge_datasets(**{name: generate_dataset(2, seed=seed) for seed, name in enumerate(names)})
